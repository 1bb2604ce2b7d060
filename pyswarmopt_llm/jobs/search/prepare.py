"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.config import PROPOSALS, SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Space, Utility
from pyswarmopt_llm.evaluation.evaluator import Evaluator
from pyswarmopt_llm.evaluation.surrogate.proposals import proposal_count
from pyswarmopt_llm.evaluation.workers.messages import LETTERS, Questions
from pyswarmopt_llm.evaluation.workers.spec import parse_workers
from pyswarmopt_llm.jobs.search.budget import Budget
from pyswarmopt_llm.jobs.search.validate import VLLM, check_budget, check_screen, check_settings
from pyswarmopt_llm.metrics.combine import harmonic
from pyswarmopt_llm.metrics.objectives import Objectives, load_objectives, task_print
from pyswarmopt_llm.metrics.questions.answer_format import trial_of
from pyswarmopt_llm.metrics.questions.context_window import check_askable
from pyswarmopt_llm.models import BaseModel, resolve_base
from pyswarmopt_llm.models.adapters.adapter import AdapterFile, AdapterInfo
from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
from pyswarmopt_llm.models.engines.calibration import calibrated
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.models.full_model import ModelInfo, inspect_models
from pyswarmopt_llm.models.side_by_side import find_members, load_members
from pyswarmopt_llm.spaces import SEVERAL, build_space
from pyswarmopt_llm.spaces.full import FullSpace
from pyswarmopt_llm.spaces.graph.engine import GraphEngine
from pyswarmopt_llm.spaces.graph.mixing import mixer
from pyswarmopt_llm.spaces.graph.space import GraphSpace
from pyswarmopt_llm.spaces.load import load_engine, load_vllm
from pyswarmopt_llm.spaces.mixture.engine import MixtureEngine
from pyswarmopt_llm.spaces.mixture.space import TokenSpace
from pyswarmopt_llm.tasks import Scoring, Task

if TYPE_CHECKING:
    from pyswarmopt_llm.models.engines.vllm import VllmEngine



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

    def evaluator(self, questions: Questions) -> Evaluator:
        """What scores candidates on these questions."""
        if questions.split == LETTERS:
            tried: dict[str, Utility] = {
                name: trial_of(self.tasks[name], self.engine.chat) for name, _ in questions.scorings
            }
            return Evaluator(self.space, self.engine, tried, harmonic)
        asked = self.utilities(questions.split, dict(questions.scorings))
        return Evaluator(self.space, self.engine, asked, self.objectives.combine)

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
        kept = 0
        if self.config.screen is not None:
            items = self.config.budget_items
            kept = self.dev_items * (PROPOSALS if items is None else proposal_count(items // self.dev_items))
        return Budget(None if minutes is None else 60 * minutes, self.config.budget_items, closing, kept)


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
    check_budget(config, objectives.tasks)
    job = (_members_job if config.space in SEVERAL else _weights_job)(config, objectives)
    check_screen(config, objectives, job.space.size)
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


def _task_prints(objectives: Objectives) -> dict[str, str]:
    """Name of what is maximised -> its fingerprint."""
    own = {name: task_print(task) for name, task in objectives.tasks.items()}
    return own | {name: external.fingerprint for name, external in objectives.externals.items()}
