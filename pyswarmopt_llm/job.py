"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import torch

import pyswarmopt as pso
from pyswarmopt_llm.asking import Asker
from pyswarmopt_llm.config import SearchConfig
from pyswarmopt_llm.effort import Budget, check_effort, check_items_alone
from pyswarmopt_llm.engines.calibration import calibrated
from pyswarmopt_llm.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.engines.transformers_engine import TransformersEngine
from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.experts import BaseModel, load_model, load_tokenizer, resolve_base
from pyswarmopt_llm.experts.adapter import AdapterFile, AdapterInfo, load_factors
from pyswarmopt_llm.experts.models import ModelInfo, inspect_models
from pyswarmopt_llm.experts.preflight import inspect_experts
from pyswarmopt_llm.experts.stored import StoredTensors
from pyswarmopt_llm.graphs.engine import GraphEngine
from pyswarmopt_llm.graphs.files import holds_graph
from pyswarmopt_llm.graphs.mixing import mixer
from pyswarmopt_llm.graphs.opening import open_graph
from pyswarmopt_llm.interfaces import Patch, Space, Utility
from pyswarmopt_llm.objectives import Objectives, load_objectives, scorings_of, task_print
from pyswarmopt_llm.optimizers import make_optimizer
from pyswarmopt_llm.spaces import SEVERAL, build_space, check_space
from pyswarmopt_llm.spaces.full import FullSpace
from pyswarmopt_llm.spaces.graph import GraphSpace
from pyswarmopt_llm.spaces.starts import check_start
from pyswarmopt_llm.spaces.token import TokenSpace
from pyswarmopt_llm.tasks import Scoring, Task
from pyswarmopt_llm.tokens.engine import MixtureEngine, open_mixture
from pyswarmopt_llm.tokens.files import holds_mixture
from pyswarmopt_llm.tokens.members import find_members, load_members
from pyswarmopt_llm.utilities.combine import harmonic
from pyswarmopt_llm.utilities.metrics import METRICS, Metric
from pyswarmopt_llm.utilities.scoring import possible_scorings, trial_of
from pyswarmopt_llm.workers.spec import check_workers, parse_workers

if TYPE_CHECKING:
    from pyswarmopt_llm.engines.vllm_engine import VllmEngine

_PACKAGES = ("pyswarmopt", "torch", "numpy", "transformers", "peft", "safetensors")


TRANSFORMERS, VLLM = ENGINES = ("transformers", "vllm")
LETTERS = "letters"  # in place of a split: the trial by letters, on the first items of dev


@dataclass(frozen=True)
class Questions:
    """What a search asks, said so that another process can ask the same.

    Attributes:
        split: ``dev``, ``fresh``, or `LETTERS`.
        scorings: of each task its way of being asked.
    """

    split: str
    scorings: tuple[tuple[str, Scoring], ...]


@dataclass(frozen=True)
class Job:
    """What a search works with.

    Attributes:
        config: what was asked.
        objectives: what is maximised.
        base_name: the base's public name; "" where the experts have several.
        space: holds the experts' weights, or knows where they are.
        engine: holds the resident base, or all experts.
        fingerprints: of base, experts and tasks, for ``run.json``.
        experts: what the space was made of.
        trial: what a calibration measured, for ``run.json``; empty without one.
    """

    config: SearchConfig
    objectives: Objectives
    base_name: str
    space: Space
    engine: TransformersEngine | MixtureEngine | GraphEngine | VllmEngine
    fingerprints: Mapping[str, Any]
    experts: Sequence[AdapterInfo | ModelInfo] = ()
    trial: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> task, in the order given."""
        return self.objectives.tasks

    def utilities(self, split: str, scorings: Mapping[str, Scoring]) -> dict[str, Utility]:
        """Name -> what is asked on ``dev``, ``test`` or ``fresh``; see `Objectives.utilities`."""
        return self.objectives.utilities(split, scorings, self.engine.chat)

    def asker(self, questions: Questions) -> Asker:
        """Who puts these questions to candidates."""
        if questions.split == LETTERS:
            tried: dict[str, Utility] = {
                name: trial_of(self.tasks[name], self.engine.chat) for name, _ in questions.scorings
            }
            return Asker(self.space, self.engine, tried, harmonic)
        asked = self.utilities(questions.split, dict(questions.scorings))
        return Asker(self.space, self.engine, asked, self.objectives.combine)

    @property
    def adapters(self) -> list[AdapterInfo]:
        """The experts, where they are adapters."""
        return [info for info in self.experts if isinstance(info, AdapterInfo)]

    @property
    def particles(self) -> int:
        """Population of the swarm: never fewer than the experts."""
        return self.config.population

    @property
    def planned(self) -> int:
        """Evaluations if nothing stops the search early."""
        return self.config.planned

    @property
    def dev_items(self) -> int:
        """Items of one evaluation."""
        return sum(len(task.dev) for task in self.tasks.values())

    @property
    def budget(self) -> Budget:
        """What the search may spend."""
        minutes = self.config.budget_minutes
        # Closing asks best and average on dev, and best, average and best single expert on test.
        closing = 2 * self.dev_items + 3 * sum(len(task.test) for task in self.tasks.values())
        return Budget(None if minutes is None else 60 * minutes, self.config.budget_items, closing)


def prepare(config: SearchConfig) -> Job:
    """Load tasks, experts and base; whatever is wrong is said here, in one line, with nothing written.

    Raises:
        UserError: the first thing that is wrong.
    """
    check_settings(config)  # first, since it is cheap
    objectives = load_objectives(config)
    paid = [metric.name for metric in objectives.metrics.values() if metric.usage is not None]
    if paid and not parse_workers(config.workers).alone:
        raise UserError(
            f"--workers {config.workers}: {paid[0]} counts and limits its requests in one process; leave it out"
        )
    _check_budget(config, objectives.tasks)
    job = (_members_job if config.space in SEVERAL else _weights_job)(config, objectives)
    check_items_alone(config, objectives, job.space.size)
    for name, task in objectives.tasks.items():
        check_askable(task, config.scoring, job.engine, metric=objectives.metrics[name])
    return job


def _weights_job(config: SearchConfig, objectives: Objectives) -> Job:
    """Adapters or models of one base, which alone is resident."""
    base = resolve_base(config.base)
    experts = find_experts(config, base)
    config, trial = calibrated(config, base) if config.calibrate else (config, {})
    engine: TransformersEngine | VllmEngine
    if config.engine == VLLM:
        engine = load_vllm(config, base, experts)
        adapters = [AdapterFile(info) for info in experts if isinstance(info, AdapterInfo)]
        space = build_space(config.space, adapters, config.exact_flat, config.granularity)
    else:
        engine = load_engine(
            base, config.dtype, config.device, config.threads, config.batch_tokens, config.space == "full"
        )
        space = open_space(config, base, experts, engine)
    prints = {
        "base": base.fingerprint,
        "experts": {info.name: info.fingerprint for info in experts},
        "tasks": _task_prints(objectives),
    }
    return Job(config, objectives, base.name, space, engine, prints, experts, trial)


def _members_job(config: SearchConfig, objectives: Objectives) -> Job:
    """Models and adapters of any bases, all resident side by side."""
    if objectives.externals:
        name = next(iter(objectives.externals))
        raise UserError(f"--space {config.space}: {name} asks one model, not several; give task files")
    members = find_members(config.experts, config.base or None)
    loaded = load_members(members, config.dtype, config.device, config.threads)
    bases = {member.base.name for member in members}
    prints = {
        "experts": {member.name: member.fingerprint for member in members},
        "tasks": _task_prints(objectives),
    }
    name = bases.pop() if len(bases) == 1 else ""
    if config.space == "graph":
        graphs = GraphSpace(members, config.seed)
        return Job(config, objectives, name, graphs, GraphEngine(loaded, mixer(members)), prints)
    return Job(config, objectives, name, TokenSpace(members, config.contrast), MixtureEngine(loaded), prints)


def find_experts(config: SearchConfig, base: BaseModel) -> Sequence[AdapterInfo | ModelInfo]:
    """The experts, proven to fit the base and each other as the space needs it.

    Raises:
        UserError: one does not.
    """
    if config.space == "full":
        return inspect_models(config.experts, base)
    report = inspect_experts(config.experts, base)
    report.require(config.space)
    return report.experts


def open_space(
    config: SearchConfig, base: BaseModel, experts: Sequence[AdapterInfo | ModelInfo], engine: TransformersEngine
) -> Space:
    """The space over the experts that `find_experts` found; adapters are read one at a time, models not at all.

    Raises:
        UserError: an expert's weights are damaged.
    """
    models = [info for info in experts if isinstance(info, ModelInfo)]
    if models:
        parameters = [name for name, _ in engine.model.named_parameters()]
        return FullSpace(base, models, parameters, config.granularity)
    files = [AdapterFile(info) for info in experts if isinstance(info, AdapterInfo)]
    return build_space(config.space, files, config.exact_flat, config.granularity)


def check_settings(config: SearchConfig) -> None:
    """Refuse settings that are out of range or unknown.

    Raises:
        UserError: names the option.
    """
    if len(config.experts) < 2:
        raise UserError(f"--experts: {len(config.experts)} given, a search mixes at least 2; name more of them")
    least = {"particles": 1, "max_iter": 0, "patience": 1, "seed": 0, "threads": 1, "batch_tokens": 1, "output_rank": 1}
    for name, lowest in least.items():
        value = getattr(config, name)
        if value is not None and not lowest <= value < 2**63:
            raise UserError(f"--{name.replace('_', '-')} {value}: out of range; give at least {lowest}")
    check_workers(config)
    if config.compat not in ("paper", "reference"):
        raise UserError(f"--compat {config.compat}: unknown; use paper or reference")
    possible_scorings(config.scoring, ())
    check_space(config.space, config.exact_flat, config.granularity)
    check_start(config.start, config.space, config.exact_flat)
    if config.space != "token" and config.contrast:
        raise UserError(f"--contrast: goes with --space token only, not with {config.space}; leave it out")
    if config.space not in SEVERAL and not config.base:
        raise UserError("--base: missing; name the model that the experts are adapters of")
    if config.engine not in ENGINES:
        raise UserError(f"--engine {config.engine}: unknown; use {' or '.join(ENGINES)}")
    if config.engine == VLLM:
        if config.space not in ("factor", "delta"):
            raise UserError(f"--engine vllm: takes LoRA candidates, not space {config.space}; leave it out")
        if not parse_workers(config.workers).alone or config.calibrate:
            raise UserError("--engine vllm: makes its own batches in one process; leave out --workers and --calibrate")
    if config.space in SEVERAL and config.calibrate:
        raise UserError(f"--calibrate: tries one base, space {config.space} has several models; leave it out")
    if config.space == "graph" and config.particles <= len(config.experts):
        raise UserError(
            f"--particles {config.particles}: the first {len(config.experts)} are the experts alone, the others random "
            "graphs; give more particles than experts"
        )
    if config.output_rank is not None and config.space != "delta":
        raise UserError(f"--output-rank {config.output_rank}: goes with --space delta only; leave it out")
    check_effort(config, optimizer(config, torch.eye(len(config.experts), dtype=torch.float64)))


def _check_budget(config: SearchConfig, tasks: Mapping[str, Task]) -> None:
    particles = config.population
    items = sum(len(task.dev) for task in tasks.values())
    if config.budget_items is not None and config.budget_items < particles * items:
        raise UserError(
            f"--budget-items {config.budget_items}: the starting swarm alone takes {particles} x {items} = "
            f"{particles * items}; raise it, or lower --particles or --dev"
        )


def check_askable(
    task: Task,
    scoring: str,
    engine: TransformersEngine | MixtureEngine | GraphEngine | VllmEngine,
    splits: Sequence[str] = ("dev", "test"),
    metric: Metric = METRICS["accuracy"],
    asked: str = "the base",
    room: int = 0,
) -> None:
    """Prove that every item of these splits can be put to this model, long before its turn comes.

    `room` is how many tokens more a model has to have for what it writes in between (messages).

    Raises:
        UserError: names the task's source, the item and whose context window is too short for it.
    """
    if isinstance(engine, MixtureEngine | GraphEngine):
        for name, member in engine.members.items():
            check_askable(task, scoring, member, splits, metric, name, engine.room)
        return
    window = engine.window
    for split in splits:
        metric.check(task.split(split), f"{task.source}: {split}")
    for how in scorings_of(metric, scoring, task):
        for split in splits:
            try:
                questions = metric.build(task.split(split), how, engine.chat, task.prompt)
            except UserError as error:
                raise UserError(f"{task.source}: {split} {error}") from error
            for item, text, written in questions.texts():
                new = max(written, room)
                # A token takes a byte or more of text (twice as many allowed for, where a tokenizer rewrites
                # it), so that the few long items alone have to be tokenised here.
                if window is None or 2 * len(text.encode()) + new <= window:
                    continue
                plain = engine.tokenizer.chat_template is None
                needed = len(engine.tokenizer(text, add_special_tokens=plain)["input_ids"]) + new
                if needed > window:
                    raise UserError(
                        f"{task.source}: {split} item {item.id}: {how} scoring needs {needed} tokens, {asked}'s "
                        f"context window holds {window}; shorten the item or remove it"
                    )


def _task_prints(objectives: Objectives) -> dict[str, str]:
    """Name of what is maximised -> its fingerprint."""
    own = {name: task_print(task) for name, task in objectives.tasks.items()}
    return own | {name: external.fingerprint for name, external in objectives.externals.items()}


def load_engine(
    base: BaseModel,
    dtype: str,
    device: str,
    threads: int | None,
    batch_tokens: int = 1024,
    whole_models: bool = False,
) -> TransformersEngine:
    """The resident base.

    On a CPU the base's own values are read from its files again when a candidate needs them; on a GPU, where that
    would be slow against its arithmetic, those that candidates change are kept beside it, unless candidates are
    `whole_models`, which replace all of them.

    Raises:
        UserError: no such device or dtype, or the model cannot be loaded.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    where = pick_device(device)
    model, tokenizer = load_model(base, pick_dtype(dtype, where), where)
    stored = StoredTensors(base.weight_files) if where.type == "cpu" or whole_models else None
    return TransformersEngine(model, tokenizer, batch_tokens, stored)


def holds_several(base: str) -> bool:
    """Whether a directory holds a mixture or a graph of several models instead of one."""
    return holds_mixture(base) or holds_graph(base)


def load_vllm(config: SearchConfig, base: BaseModel, experts: Sequence[AdapterInfo | ModelInfo]) -> VllmEngine:
    """The base in vLLM, with room for the candidates of these experts.

    Raises:
        UserError: vLLM cannot be imported, or has no such room.
    """
    from transformers import AutoConfig

    from pyswarmopt_llm.engines.texts import window_of
    from pyswarmopt_llm.engines.vllm_engine import VllmEngine

    adapters = [info for info in experts if isinstance(info, AdapterInfo)]
    ranks = [max(shape.rank for shape in info.modules.values()) for info in adapters]
    model = AutoConfig.from_pretrained(base.path, trust_remote_code=False, local_files_only=True)
    dtype = pick_dtype(config.dtype, pick_device(config.device))
    return VllmEngine(
        base.path,
        load_tokenizer(base),
        window_of(model),
        dtype,
        max(ranks) if config.space == "factor" else sum(ranks),
    )


def open_model(
    base: str, adapter: str | None, dtype: str, device: str, threads: int | None
) -> TransformersEngine | MixtureEngine | GraphEngine:
    """A base model, an adapter merged into it, or the mixture or graph in a directory such as RUN/best, ready to ask.

    Raises:
        UserError: the base or the adapter cannot be used.
    """
    if holds_several(base):
        if adapter is not None:
            raise UserError(f"{base}: stands for several models, so it takes no adapter; leave out --adapter")
        return (open_mixture if holds_mixture(base) else open_graph)(base, dtype, device, threads)
    patch = Patch() if adapter is None else adapter_patch(base, adapter)
    engine = load_engine(resolve_base(base), dtype, device, threads)
    engine.load(patch)
    return engine


def adapter_patch(base: str, adapter: str) -> Patch:
    """What an adapter changes in a base.

    Raises:
        UserError: it does not fit.
    """
    report = inspect_experts([adapter], resolve_base(base))
    report.require("delta")
    return Patch(low_rank=load_factors(report.experts[0]))


def optimizer(config: SearchConfig, vertices: torch.Tensor) -> pso.Optimizer:
    """The optimizer that starts from the experts' positions, (n, D), or from more (see `Space.starts`).

    Raises:
        UserError: an unknown optimizer.
    """
    return make_optimizer(
        config.optimizer,
        vertices,
        population=max(config.particles, len(vertices)),
        max_iter=config.max_iter,
        patience=config.patience,
        seed=config.seed,
        compat=config.compat,
        settings=config.settings,
    )


def versions() -> dict[str, str]:
    """Versions of what a result depends on.

    Example:
        >>> "torch" in versions()
        True
    """
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
