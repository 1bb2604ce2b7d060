"""The cost of a search, and whether it fits: loads everything, times a batch, writes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import torch

import pyswarmopt_llm.engine.memory as memory_of
from pyswarmopt_llm.common.config import PATIENCE, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, NoRoomError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.engine.memory import LEAST_TOKENS, Sizes, copies
from pyswarmopt_llm.experts.adapter import changed_weights
from pyswarmopt_llm.experts.base import INT8, BaseModel, empty_model, resolve_base
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.one_base import find_adapters
from pyswarmopt_llm.searching.decide import filled_in
from pyswarmopt_llm.searching.grid import make_grid
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.run_directory import check_new

CONTEXT = 2**30  # bytes of a card that CUDA and fragmentation take
_UNITS = {"": 10**9, "GB": 10**9, "MB": 10**6, "TB": 10**12, "GIB": 2**30, "MIB": 2**20}
_BITS = {"nf4": 4.13, "int8": 8.1, INT8: 8.1}  # bits of a packed weight, with its scales
_PACKED_BITS = 4.5  # bits in other formats
_ADAM = 16  # bytes of a trained number: value, gradient and two moments, in float32
_SMALL = LEAST_TOKENS // 8  # tokens of a batch where larger ones do not fit
SAMPLE = 16  # items timed
_LONG = 3  # rows this many times as long as the median are named


@dataclass(frozen=True)
class Need:
    """Memory that a step needs on a device, and how the step runs.

    Attributes:
        bytes: total.
        mix: how candidates are mixed into the base.
        tokens: tokens per batch.
        checkpointing: whether the backward pass recomputes activations.
    """

    bytes: int
    mix: str
    tokens: int = LEAST_TOKENS
    checkpointing: bool = False

    def __str__(self) -> str:
        how = " and gradient checkpointing" if self.checkpointing else ""
        return f"{_gb(self.bytes)} ({self.mix}) with {self.tokens:,} tokens a batch{how}"


@dataclass(frozen=True)
class Fit:
    """Memory that a search needs on a device, and that the device has.

    Attributes:
        device: name of the device.
        free: free bytes.
        base: bytes of the base's weights.
        scoring: need of scoring candidates: the first way that fits, or else the smallest.
        training: need of training, likewise; None without training.
    """

    device: str
    free: int
    base: int
    scoring: Need
    training: Need | None

    @property
    def short(self) -> int:
        """Bytes that are missing; 0 or less: it fits."""
        return max(need.bytes for need in (self.scoring, self.training) if need) - self.free

    def lines(self) -> Iterator[str]:
        """The verdict, with its reasons."""
        verdict = "fits" if self.short <= 0 else "does not fit"
        yield f"{self.device}, {_gb(self.free)} free: {verdict} (arithmetic from shapes)"
        yield f"the base takes {_gb(self.base)}; scoring {self.scoring}"
        if self.training is not None:
            yield f"training {self.training}"
        if self.short > 0:
            yield (
                f"{_gb(self.short)} short: put nf4: before the base (four bits), or take a smaller "
                "one"
            )


def _gb(number: int) -> str:
    return f"{number / 1e9:.1f} GB"


def fit_of(config: SearchConfig, memory: str | None = None) -> Fit | None:
    """Whether a search fits into free memory, or into that of another device.

    On a CPU the base's values are read from its files, and the experts are kept beside it in
    float32; on a GPU each worker has its own base.

    Args:
        config: the search's configuration; only the base's config.json and the adapters' headers
            are read.
        memory: size of a GPU that need not be present, such as ``24GB``; None: this machine.

    Returns:
        None: the system does not report free memory, or there is no single base here.

    Raises:
        UserError: not a size, or the experts do not fit together.
    """
    asked = filled_in(config)
    kind = space_kind(asked.space)
    if kind.several_models:
        if memory is not None:
            raise InvalidOption("memory", memory, "says what one base needs; remove it")
        return None
    device = pick_device(asked.device) if memory is None else torch.device("cuda")
    if memory is None:
        free = memory_of.free_memory(device)
        dtype = pick_dtype(asked.dtype, device)
    else:
        free = bytes_of(memory) - CONTEXT
        dtype = torch.bfloat16 if asked.dtype == "auto" else pick_dtype(asked.dtype, device)
    if free is None:
        return None
    base = resolve_base(asked.base, weights=False)
    experts = find_adapters(asked, base)[0] if kind.adapters else ()
    model = empty_model(base, dtype=dtype)
    sizes = Sizes.of(model)
    held = weights_of(model, base)
    factors = sum(info.parameters for info in experts)
    kept, merging = copies(model, changed_weights(experts))
    beside = {"merged": kept + merging, "runtime": factors * dtype.itemsize}
    times = asked.processes or 1
    if device.type == "cpu":
        beside = {"merged": merging + 4 * factors, "runtime": factors * (dtype.itemsize + 4)}
        times = 1
    ways = [
        ("merged", LEAST_TOKENS, not base.packing and asked.mix != "runtime"),
        ("runtime", LEAST_TOKENS, kind.adapters and asked.mix != "merged"),
        ("runtime", _SMALL, kind.adapters and asked.mix != "merged"),
        ("merged", _SMALL, True),
    ]
    scoring = _first(
        [
            Need(times * (held + beside[mix] + sizes.scoring(tokens)), mix, tokens)
            for mix, tokens, possible in ways
            if possible
        ],
        free,
    )
    training = None
    if kind.linear and asked.train != "off":  # by default, if the task has the items
        held_in_training = held + beside[scoring.mix] + _ADAM * experts[0].parameters
        needs = []
        for tokens, again in ((LEAST_TOKENS, False), (LEAST_TOKENS, True), (_SMALL, True)):
            needed = held_in_training + sizes.training(tokens, again)
            needs.append(Need(needed, scoring.mix, tokens, again))
        training = _first(needs, free)
    device_name = str(device) if memory is None else f"a GPU of {memory}"
    return Fit(device_name, free, held, scoring, training)


def _first(needs: Sequence[Need], free: int) -> Need:
    """The first need that fits, or else the smallest."""
    fitting = [need for need in needs if need.bytes <= free]
    return fitting[0] if fitting else min(needs, key=lambda need: need.bytes)


def bytes_of(memory: str) -> int:
    """Bytes in a memory size; without a unit the size is in GB.

    Example:
        >>> bytes_of("24GB"), bytes_of("0.5 GiB"), bytes_of("8")
        (24000000000, 536870912, 8000000000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", memory.strip())
    if found is None or found[2].upper() not in _UNITS:
        raise InvalidOption("memory", memory, "not a size; write it like 24GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def weights_of(model: Any, base: BaseModel) -> int:
    """Bytes of a model's weights; linear layers are packed if the base's are."""
    plain = {name: p.numel() * p.element_size() for name, p in model.named_parameters()}
    if base.packing:
        bits = _BITS.get(base.scheme or base.packing, _PACKED_BITS)
        output = model.get_output_embeddings()
        for name, layer in model.named_modules():
            if isinstance(layer, torch.nn.Linear) and layer is not output:
                plain[f"{name}.weight"] = int(layer.weight.numel() * bits / 8)
    return sum(plain.values())


@dataclass(frozen=True)
class Timed:
    """One task, its number of items, and their time on this machine.

    Attributes:
        name: the task.
        dev, test: numbers of items.
        scoring: timed answer format; the slower one if a trial chooses between two.
        seconds_per_item: None: items cost money, so none was timed.
        longest: ids of dev items much longer than the others.
    """

    name: str
    dev: int
    test: int
    scoring: str
    seconds_per_item: float | None = None
    longest: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedCost:
    """The most that a search would cost, with this dtype, threads and device.

    Attributes:
        evaluations: candidates scored on dev.
        passes: forward passes per item in total, training and final scores included.
        seconds: for all passes.
        phases: part of the search -> its seconds.
    """

    tasks: tuple[Timed, ...]
    evaluations: int
    passes: int
    seconds: float
    phases: dict[str, float]
    dtype: str
    threads: int
    notes: tuple[str, ...]
    device: str


def dry_run_search(config: SearchConfig) -> PlannedCost:
    """The cost of a search (of all draws where it has a grid), or that it does not fit.

    Raises:
        NoRoomError: the search does not fit into memory.
    """
    check_new(user_path(config.out))
    fit = fit_of(config)
    notes = [] if fit is None else [*fit.lines()]
    if fit is not None and fit.short > 0:
        raise NoRoomError("; ".join(notes))
    job = prepare(config)
    plan = job.plan
    timed = [_time_task(job, name) for name in job.tasks]
    dev = sum(task.dev * (task.seconds_per_item or 0.0) for task in timed)
    test = sum(task.test * (task.seconds_per_item or 0.0) for task in timed)
    phases = plan.seconds(dev, test, dev / max(plan.items, 1))
    evaluations = once = plan.affordable(plan.evaluations)
    if plan.config.is_grid:
        grid = make_grid(plan.config)
        draws = len(grid.waiting)
        notes.append(f"{draws} searches, draws from {grid.size:,} combinations of coefficients")
        # only the first draw scores the starting swarm
        later = (draws - 1) * (plan.evaluations - plan.config.population)
        evaluations = plan.affordable(plan.evaluations + later)
        if plan.config.budget_minutes is None:
            phases["mixtures"] += dev * (evaluations - once) / plan.side_by_side
    return PlannedCost(
        tasks=tuple(timed),
        evaluations=evaluations,
        passes=sum(plan.passes.values()) + plan.items * (evaluations - once),
        seconds=round(sum(phases.values()), 1),
        phases={name: round(seconds, 1) for name, seconds in phases.items() if seconds},
        dtype=str(job.engine.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        notes=(*notes, *_notes(job, timed)),
        device=str(pick_device(config.device)),
    )


def _time_task(job: Job, name: str) -> Timed:
    """Time the scoring of some dev items with two experts, twice: the first time warms up.

    An item's time is taken to grow with its length.
    """
    task = job.tasks[name]
    metric = job.objectives.metrics[name]
    possible = job.objectives.scorings(name, job.plan.config.scoring)
    how = " or ".join(possible)
    if metric.usage is not None:
        return Timed(name, len(task.dev), len(task.test), how)
    lengths = dict.fromkeys((item.id for item in task.dev), 0)
    questions = metric.on(task.dev, possible[-1], job.engine.chat, task.prompt)
    for item, text, new in questions.texts():
        lengths[item.id] += len(text) + new
    sample = task.dev[:SAMPLE]
    batch = metric.on(sample, possible[-1], job.engine.chat, task.prompt)
    times = []
    for vertex in (*job.pool.space.vertices()[:2],) * 2:
        start = time.perf_counter()
        job.engine.load(job.pool.space.realise(vertex))
        batch(job.engine)
        times.append(time.perf_counter() - start)
    typical = fmean(lengths[item.id] for item in sample) or 1.0
    long = _LONG * median(lengths.values())
    return Timed(
        name,
        len(task.dev),
        len(task.test),
        how,
        seconds_per_item=min(times[1:]) / len(sample) * fmean(lengths.values()) / typical,
        longest=tuple(item for item, length in lengths.items() if length > long > 0),
    )


def _notes(job: Job, timed: Sequence[Timed]) -> list[str]:
    plan = job.plan
    notes = [*job.notes.values()]
    for name in job.objectives.externals:
        notes.append(f"{name} has no examples and is not in the time")
    for task in timed:
        if task.longest:
            notes.append(
                f"{task.name}: examples {', '.join(task.longest[:3])} are over {_LONG} times as "
                f"long as most ({len(task.longest)} in all); shortened, they cost less"
            )
    notes += plan.prices
    if plan.trains and not (job.objectives.written or plan.config.quick):
        notes.append("faster: with `quick` only the best of base and experts is fine-tuned")
    patience = plan.config.patience or PATIENCE
    if patience < plan.config.iterations:
        notes.append(f"the search stops early after {patience} iterations without a new best")
    return notes
