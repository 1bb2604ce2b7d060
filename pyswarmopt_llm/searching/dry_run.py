"""The cost of a search, and whether it fits: loads everything, times a batch, writes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median
from typing import Any

import torch

import pyswarmopt_llm.engine.memory as memory_of
from pyswarmopt_llm.common.config import PATIENCE, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, NoRoomError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import peak_memory, pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.memory import LEAST_TOKENS, Sizes, copies
from pyswarmopt_llm.experts.adapter import AdapterInfo, changed_weights
from pyswarmopt_llm.experts.base import INT8, BaseModel, empty_model, resolve_base
from pyswarmopt_llm.experts.table import weight_count
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.one_base import find_adapters
from pyswarmopt_llm.searching.decide import filled_in
from pyswarmopt_llm.searching.grid import make_grid
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.run_directory import GRID, check_new

CONTEXT = 2**30  # bytes of a card that CUDA and fragmentation take
_UNITS = {"": 10**9, "GB": 10**9, "MB": 10**6, "TB": 10**12, "GIB": 2**30, "MIB": 2**20}
_BITS = {"nf4": 4.13, "int8": 8.1, INT8: 8.1}  # bits of a packed weight, with its scales
_PACKED_BITS = 4.5  # bits in other formats
_ADAM = 16  # bytes of a trained number: value, gradient and two moments, in float32
_BATCHES = tuple(LEAST_TOKENS >> halvings for halvings in range(4))
_WRITES = ("run.json", "results.jsonl", "history.jsonl", "checkpoint/", "best/", "result.json")
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


@dataclass(frozen=True)
class Fit:
    """Memory that a search needs on a device, and that the device has.

    Attributes:
        device: name of the device.
        free: free bytes.
        base: bytes of the base's weights.
        scoring: need of scoring candidates: the first way that fits, or else the smallest.
        training: need of training, likewise; None without training.
        merged: bytes of scoring with candidates merged into the base; None if the base is packed.
    """

    device: str
    free: int
    base: int
    scoring: Need
    training: Need | None
    merged: int | None

    @property
    def fits(self) -> bool:
        """Whether scoring and training fit."""
        needs = (self.scoring, self.training)
        return all(need is None or need.bytes <= self.free for need in needs)

    def lines(self) -> Iterator[str]:
        """The verdict, with its reasons."""
        verdict = "fits" if self.fits else "does not fit"
        yield f"{self.device}, {_gb(self.free)} free: {verdict} (arithmetic from shapes)"
        yield f"the base takes {_gb(self.base)}; scoring {self._in_words(self.scoring)}"
        if self.merged is not None and self.merged > self.free:
            yield f"merged, candidates need {_gb(self.merged)}; they would be added at run time"
        if self.training is not None:
            yield f"training {self._in_words(self.training)}"
        if not self.fits:
            yield "put nf4: before the base (four bits), or take a smaller one"

    def _in_words(self, need: Need) -> str:
        how = f"{_gb(need.bytes)} with {need.tokens:,} tokens a batch"
        if need.checkpointing:
            how += " and gradient checkpointing"
        missing = need.bytes - self.free
        return how if missing <= 0 else f"{how}, {_gb(missing)} short"


def _gb(number: int) -> str:
    return f"{number / 1e9:.1f} GB"


def fit_of(config: SearchConfig, memory: str | None = None) -> Fit | None:
    """Whether a search fits into free memory, or into that of another device.

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
    if memory is None:
        device = pick_device(asked.device)
        name = str(device)
        free = memory_of.free_memory(device)
        if free is None:
            return None
    else:
        device = torch.device("cuda")
        name = f"a GPU of {memory}"
        free = bytes_of(memory) - CONTEXT
    base = resolve_base(asked.base, weights=False)
    experts = find_adapters(asked, base)[0] if kind.adapters else ()
    elsewhere = memory is not None and asked.dtype == "auto"
    dtype = torch.bfloat16 if elsewhere else pick_dtype(asked.dtype, device)
    needs = _Needs(base, experts, dtype, device.type == "cpu", asked.processes or 1)
    merges = not base.packing and asked.mix != "runtime"
    scoring = _first(needs.scoring(merges, kind.adapters and asked.mix != "merged"), free)
    training = None
    if kind.linear and asked.train != "off":  # by default, if the task has the items
        training = _first(needs.training(scoring.mix), free)
    merged = None if base.packing else next(needs.scoring(True, False)).bytes
    return Fit(name, free, needs.base, scoring, training, merged)


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


def _first(needs: Iterable[Need], free: int) -> Need:
    """The first need that fits, or else the smallest."""
    tried = []
    for need in needs:
        if need.bytes <= free:
            return need
        tried.append(need)
    return min(tried, key=lambda need: need.bytes)


class _Needs:
    """The arithmetic for a base and its experts.

    Args:
        base: model; its config.json is read.
        experts: adapters; their headers are read.
        dtype: dtype of the weights.
        on_cpu: whether the base runs on a CPU: there its values are read from its files, and the
            experts are kept beside it in float32.
        workers: processes, each with its own base on a GPU.
    """

    def __init__(
        self,
        base: BaseModel,
        experts: Sequence[AdapterInfo],
        dtype: torch.dtype,
        on_cpu: bool,
        workers: int,
    ) -> None:
        model = empty_model(base, dtype=dtype)
        self._sizes = Sizes.of(model)
        self._times = 1 if on_cpu else workers
        self.base = weights_of(model, base)
        factors = sum(map(weight_count, experts))
        kept, merging = copies(model, changed_weights(experts))
        if on_cpu:
            self._mixed = {
                "runtime": factors * (dtype.itemsize + 4),
                "merged": merging + 4 * factors,
            }
        else:
            self._mixed = {"runtime": factors * dtype.itemsize, "merged": merging + kept}
        self._trained = _ADAM * weight_count(experts[0]) if experts else 0

    def scoring(self, merges: bool, adds: bool) -> Iterator[Need]:
        """Ways to score: merged, added at run time, then the last one with smaller batches."""
        mix = "runtime" if adds else "merged"
        ways = [(mix, tokens) for tokens in _BATCHES]
        if merges and adds:
            ways.insert(0, ("merged", LEAST_TOKENS))
        for mix, tokens in ways:
            needed = self.base + self._mixed[mix] + self._sizes.scoring(tokens)
            yield Need(self._times * needed, mix, tokens)

    def training(self, mix: str) -> Iterator[Need]:
        """Ways to train: plain, with checkpointing, with checkpointing and smaller batches."""
        held = self.base + self._mixed[mix] + self._trained
        for checkpointing, tokens in [(False, LEAST_TOKENS), *((True, n) for n in _BATCHES)]:
            needed = held + self._sizes.training(tokens, checkpointing)
            yield Need(needed, mix, tokens, checkpointing)


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
        seconds_per_load: seconds to load a candidate.
        longest: ids of dev items much longer than the others.
    """

    name: str
    dev: int
    test: int
    scoring: str
    seconds_per_item: float | None = None
    seconds_per_load: float = 0.0
    longest: tuple[str, ...] = ()

    def seconds(self, items: int, evaluations: int = 1) -> float:
        """Seconds for some items, in some evaluations."""
        return (self.seconds_per_item or 0.0) * items + self.seconds_per_load * evaluations


@dataclass(frozen=True)
class PlannedCost:
    """The most that a search would cost, with this dtype, threads and device.

    Attributes:
        evaluations: candidates scored on dev.
        passes: forward passes per item in total, training and final scores included.
        seconds: for all passes.
        phases: part of the search -> its seconds.
        memory_bytes: memory of this process after a batch, times the number of workers.
        free_bytes: further free memory; None: unknown.
        out, writes: the directory to write, and its files.
    """

    tasks: tuple[Timed, ...]
    evaluations: int
    passes: int
    seconds: float
    phases: dict[str, float]
    memory_bytes: int
    free_bytes: int | None
    dtype: str
    threads: int
    notes: tuple[str, ...]
    device: str
    out: str
    writes: tuple[str, ...]


def dry_run_search(config: SearchConfig) -> PlannedCost:
    """The cost of a search (of all draws where it has a grid), or that it does not fit.

    Raises:
        NoRoomError: the search does not fit into memory.
    """
    check_new(user_path(config.out))
    fit = fit_of(config)
    if fit is not None and not fit.fits:
        raise NoRoomError("; ".join(fit.lines()))
    job = prepare(config)
    plan = job.plan
    timed = [_time_task(job, name) for name in job.tasks]
    notes = [] if fit is None else [*fit.lines()]
    writes = [*_WRITES, "report.html"]
    if plan.trains:
        writes.append("trained/")
    draws = 1
    if plan.config.is_grid:
        grid = make_grid(plan.config)
        draws = len(grid.waiting)
        writes.append(GRID)
        notes.append(f"{draws} searches, draws from {grid.size:,} combinations of coefficients")
    # only the first draw scores the starting swarm
    later = (draws - 1) * (plan.evaluations - plan.config.population)
    evaluations = plan.affordable(plan.evaluations + later)
    once = plan.affordable(plan.evaluations)
    phases = _phases(job, timed, evaluations / max(once, 1))
    device = pick_device(config.device)
    return PlannedCost(
        tasks=tuple(timed),
        evaluations=evaluations,
        passes=sum(plan.passes.values()) + plan.items * (evaluations - once),
        seconds=round(sum(phases.values()), 1),
        phases={name: round(seconds, 1) for name, seconds in phases.items() if seconds},
        memory_bytes=peak_memory() * plan.side_by_side,
        free_bytes=memory_of.free_memory(device),
        dtype=str(job.engine.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        notes=(*notes, *_notes(job, timed)),
        device=str(device),
        out=config.out,
        writes=tuple(writes),
    )


def _phases(job: Job, timed: Sequence[Timed], times: float) -> dict[str, float]:
    """Part of the search -> its most seconds; candidates of several draws cost `times` as much."""
    dev = sum(task.seconds(task.dev) for task in timed)
    test = sum(task.seconds(task.test) for task in timed if task.test)
    items = sum(task.dev for task in timed)
    item = sum(task.seconds(task.dev, 0) for task in timed) / max(items, 1)
    phases = job.plan.seconds(dev, test, item)
    if job.plan.config.budget_minutes is None:
        phases["mixtures"] += (times - 1) * (phases["experts"] + phases["mixtures"])
    return phases


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
    vertices = job.pool.space.vertices()[:2]
    candidates = [partial(job.pool.space.realise, vertex) for vertex in vertices]
    load, seconds = _time_batch(job, batch, [*candidates, *candidates])
    typical = fmean(lengths[item.id] for item in sample) or 1.0
    long = _LONG * median(lengths.values())
    return Timed(
        name,
        len(task.dev),
        len(task.test),
        how,
        seconds_per_item=seconds / len(sample) * fmean(lengths.values()) / typical,
        seconds_per_load=load,
        longest=tuple(item for item, length in lengths.items() if length > long > 0),
    )


def _time_batch(
    job: Job, batch: Callable[[Any], object], candidates: Sequence[Callable[[], Patch]]
) -> tuple[float, float]:
    """Seconds to load a candidate, and to score the batch: the fastest after the first."""
    times = []
    for candidate in candidates:
        start = time.perf_counter()
        job.engine.load(candidate())
        loaded = time.perf_counter()
        batch(job.engine)
        times.append((loaded - start, time.perf_counter() - loaded))
    return min(times[1:], key=sum)


def _notes(job: Job, timed: Iterable[Timed]) -> list[str]:
    notes = [*job.notes.values()]
    for name in job.objectives.externals:
        notes.append(f"{name} has no examples and is not in the time")
    for task in timed:
        if task.seconds_per_item is None:
            notes.append(f"{task.name} is paid for by the request and is not in the time")
        if task.longest:
            notes.append(f"{task.name}: {_longest(task)}")
    notes += job.plan.prices
    if job.plan.trains and not (job.objectives.written or job.plan.config.quick):
        notes.append("faster: with `quick` only the best of base and experts is fine-tuned")
    patience = job.plan.config.patience or PATIENCE
    if patience < job.plan.config.iterations:
        notes.append(f"the search stops early after {patience} iterations without a new best")
    return notes


def _longest(task: Timed) -> str:
    """The rows that cost most, in words."""
    first = ", ".join(task.longest[:3])
    more = f" and {len(task.longest) - 3} more" if len(task.longest) > 3 else ""
    return (
        f"examples {first}{more} are over {_LONG} times as long as most; shortened, they cost less"
    )
