"""The cost of a search, and whether it fits: loads everything, times a batch, writes nothing."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Any

import torch

import pyswarmopt_llm.engine.memory as memory_of
from pyswarmopt_llm.common.config import PATIENCE, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, NoRoomError
from pyswarmopt_llm.common.events import duration
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import peak_memory, pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.engine.chat import prompt_of
from pyswarmopt_llm.engine.memory import LEAST_TOKENS, Sizes, copies, free_memory
from pyswarmopt_llm.experts.adapter import AdapterInfo, changed_weights
from pyswarmopt_llm.experts.base import INT8, BaseModel, empty_model, load_tokenizer, resolve_base
from pyswarmopt_llm.experts.table import weight_count
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.one_base import find_adapters
from pyswarmopt_llm.scores.metrics.metric import Metric
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.searching.decide import filled_in, make_plan
from pyswarmopt_llm.searching.find import price_in_requests
from pyswarmopt_llm.searching.grid import make_grid
from pyswarmopt_llm.searching.plan import Plan
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.run_directory import GRID, check_new

CONTEXT = 2**30  # bytes of a card that CUDA and fragmentation take
_UNITS = {"": 10**9, "GB": 10**9, "MB": 10**6, "TB": 10**12, "GIB": 2**30, "MIB": 2**20}
_BITS = {"nf4": 4.13, "int8": 8.1, INT8: 8.1}  # bits of a packed weight, with its scales
_PACKED_BITS = 4.5  # bits in other formats
_ADAM = 16  # bytes of a trained number: value, gradient and two moments, in float32
_BATCHES = tuple(LEAST_TOKENS >> halvings for halvings in range(4))
# Shares of an H100's peak rate that five searches reached, loading included (docs/how-to/gpu.md).
_LEAST = 0.04
_MOST = 0.08


@dataclass(frozen=True)
class Card:
    """A card's data sheet: memory, and dense operations a second in bfloat16 (T4: float16)."""

    memory: str
    rate: float


CARDS = {
    "T4": Card("16GB", 65e12),
    "L4": Card("24GB", 121e12),
    "RTX3090": Card("24GB", 71e12),
    "RTX4090": Card("24GB", 165e12),
    "RTX5090": Card("32GB", 209e12),
    "A100": Card("80GB", 312e12),
    "H100": Card("80GB", 989e12),
}
RUN_FILES = (
    "run.json",
    "results.jsonl",
    "history.jsonl",
    "checkpoint/",
    "best/",
    "result.json",
    "report.html",
)
SAMPLE = 16  # items timed


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
        seconds: least and greatest seconds of the search on a named card; see `seconds_on`.
    """

    device: str
    free: int
    base: int
    scoring: Need
    training: Need | None
    merged: int | None
    seconds: tuple[float, float] | None = None

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
        if self.seconds is not None:
            low, high = map(duration, self.seconds)
            yield (
                f"time: {low} to {high} (arithmetic: {_LEAST:.0%} to {_MOST:.0%} of the "
                "card's rate in its data sheet, as five searches on an H100; slower cards reach more)"
            )
        if not self.fits:
            yield "put nf4: before the base (four bits), or take a smaller one"

    def _in_words(self, need: Need) -> str:
        how = f"{_gb(need.bytes)} with {need.tokens:,} tokens a batch"
        how += " and gradient checkpointing" if need.checkpointing else ""
        missing = need.bytes - self.free
        return how if missing <= 0 else f"{how}, {_gb(missing)} too many"


def _gb(number: int) -> str:
    return f"{number / 1e9:.1f} GB"


def fit_of(config: SearchConfig, memory: str | None = None) -> Fit | None:
    """Whether a search fits into free memory, or onto a named card.

    Args:
        config: the search's configuration; only the base's config.json and the adapters' headers
            are read.
        memory: size, or name of a card that need not be present, such as ``24GB`` or ``RTX4090``.

    Returns:
        None: the system does not report free memory.

    Raises:
        UserError: not a size, or the experts do not fit together.
    """
    asked = filled_in(config)
    kind = space_kind(asked.space)
    if kind.several_models:
        if memory is not None:
            why = "says what one base needs, on this machine; leave it out"
            raise InvalidOption("memory", memory, why)
        return None
    room = _room(asked, memory)
    if room is None:
        return None
    base = resolve_base(asked.base, weights=False)
    experts = find_adapters(asked, base)[0] if kind.adapters else ()
    elsewhere = memory is not None and asked.dtype == "auto"
    dtype = torch.bfloat16 if elsewhere else pick_dtype(asked.dtype, room.device)
    needs = _Needs(base, experts, dtype, room.device.type == "cpu", asked.processes or 1)
    scoring = _first(needs.scoring(_mixes(asked, base, kind.adapters)), room.free)
    trains = kind.linear and asked.train != "off"  # by default, if the task has the items
    return Fit(
        device=room.name,
        free=room.free,
        base=needs.base,
        scoring=scoring,
        training=_first(needs.training(scoring.mix), room.free) if trains else None,
        merged=None if base.packing else next(needs.scoring(("merged",))).bytes,
        seconds=seconds_on(room.card, config, base, needs.parameters) if room.card else None,
    )


def _mixes(config: SearchConfig, base: BaseModel, adapters: bool) -> tuple[str, ...]:
    """The ways in which candidates may be put into the base, the preferred one first."""
    if not adapters or config.mix == "merged":
        return ("merged",)
    if base.packing or config.mix == "runtime":
        return ("runtime",)
    return "merged", "runtime"


@dataclass(frozen=True)
class _Room:
    """A device and its free bytes; the data sheet of a named card."""

    device: torch.device
    name: str
    free: int
    card: Card | None = None


def _room(config: SearchConfig, memory: str | None) -> _Room | None:
    """This machine's device, or one with this memory; None: the system reports no free memory."""
    if memory is None:
        device = pick_device(config.device)
        free = memory_of.free_memory(device)
        return None if free is None else _Room(device, str(device), free)
    card = CARDS.get(memory.upper().replace(" ", ""))
    size = memory if card is None else card.memory
    name = f"a GPU of {size}" if card is None else f"{memory} ({size})"
    return _Room(torch.device("cuda"), name, bytes_of(size) - CONTEXT, card)


def seconds_on(
    card: Card, config: SearchConfig, base: BaseModel, parameters: int
) -> tuple[float, float]:
    """Least and greatest seconds of a search on a card: two operations per weight and token.

    Args:
        card: data sheet.
        config: configuration of the search; its tasks are read.
        base: model whose tokenizer counts the tokens.
        parameters: parameters of the base.

    Raises:
        UserError: a task cannot be read.
    """
    plan = make_plan(config)
    tokenizer = load_tokenizer(base)

    def chat(text: str) -> str:
        return prompt_of(tokenizer, config.system, text, thinking=config.thinking)

    tokens = count = 0
    for name, task in plan.objectives.tasks.items():
        scoring = plan.objectives.scorings(name, plan.config.scoring)[0]
        sample = task.dev[:SAMPLE]
        asked = plan.objectives.metrics[name].on(sample, scoring, chat, task.prompt)
        tokens += tokens_read(asked.texts(), lambda text: len(tokenizer(text)["input_ids"]))
        count += len(sample)
    passes = _planned(plan)[2]
    operations = 2.0 * parameters * passes * tokens / max(count, 1)
    return operations / (_MOST * card.rate), operations / (_LEAST * card.rate)


def tokens_read(texts: Iterable[tuple[Item, str, int]], length: Callable[[str], int]) -> int:
    """Tokens of examples: tokens read, plus the most that are written. The common prefix of an
    example's options is read once.

    Args:
        texts: example, text, and maximum number of new tokens, see `Metric.on`.
        length: counts the tokens of a text.

    Example:
        >>> first, second = Item("1", "?", None, ""), Item("2", "?", None, "")
        >>> tokens_read([(first, "1234 a", 0), (first, "1234 bc", 0), (second, "123", 9)], len)
        20
    """
    total = 0
    read = defaultdict[str, list[str]](list)
    for item, text, new in texts:
        read[item.id].append(text)
        total += new
    for options in read.values():
        alike = takewhile(lambda signs: len({*signs}) == 1, zip(*options, strict=False))
        head = len([*alike])
        total += length(options[0][:head]) + sum(length(text[head:]) for text in options)
    return total


def bytes_of(memory: str) -> int:
    """Bytes in a memory size; without a unit the size is in GB.

    Example:
        >>> bytes_of("24GB"), bytes_of("0.5 GiB"), bytes_of("8")
        (24000000000, 536870912, 8000000000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", memory.strip())
    if found is None or found[2].upper() not in _UNITS:
        why = f"not a size; write it like 24GB, or a card: {', '.join(CARDS)}"
        raise InvalidOption("memory", memory, why)
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _first(needs: Iterator[Need], free: int) -> Need:
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
        self.parameters = sum(each.numel() for each in model.parameters())
        factors = sum(map(weight_count, experts))
        kept, merging = copies(model, changed_weights(experts))
        added = factors * (dtype.itemsize if not on_cpu else dtype.itemsize + 4)
        self._mixed = {"runtime": added, "merged": merging + (4 * factors if on_cpu else kept)}
        self._trained = _ADAM * weight_count(experts[0]) if experts else 0

    def scoring(self, mixes: Collection[str]) -> Iterator[Need]:
        """Ways to score: each way of mixing, then the last one with smaller batches."""
        *_, last = mixes
        for mix, tokens in [(mix, LEAST_TOKENS) for mix in mixes] + [(last, n) for n in _BATCHES]:
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
    draws, evaluations, passes = _planned(job.plan)
    timed = _timed(job)
    notes = list[str]()
    if draws > 1:
        size = make_grid(job.plan.config).size
        notes = [f"{draws} searches, draws from {size:,} combinations of coefficients"]
    notes += [] if fit is None else [*fit.lines()]
    device = pick_device(config.device)
    return PlannedCost(
        tasks=tuple(timed),
        evaluations=evaluations,
        passes=passes,
        seconds=round(_seconds(job, timed, passes, draws), 1),
        memory_bytes=peak_memory() * job.plan.side_by_side,
        free_bytes=free_memory(device),
        dtype=str(job.engine.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        notes=(*notes, *_notes(job, timed)),
        device=str(device),
        out=config.out,
        writes=(*[GRID] * (draws > 1), *RUN_FILES, *["trained/"] * job.plan.trains),
    )


def _planned(plan: Plan) -> tuple[int, int, int]:
    """Number of searches (several with a grid), and the evaluations and passes of all."""
    draws = len(make_grid(plan.config).waiting) if plan.config.is_grid else 1
    # only the first draw scores the starting swarm
    later = (draws - 1) * (plan.evaluations - plan.config.population)
    evaluations = plan.affordable(plan.evaluations + later)
    more = plan.items * (evaluations - plan.affordable(plan.evaluations))
    return draws, evaluations, sum(plan.passes.values()) + more


def _timed(job: Job) -> list[Timed]:
    """Time a batch of each task with two experts."""
    candidates = [
        partial(job.pool.space.realise, vertex) for vertex in job.pool.space.vertices()[:2]
    ]
    timed = []
    for name, task in job.tasks.items():
        possible = job.objectives.scorings(name, job.plan.config.scoring)
        metric = job.objectives.metrics[name]
        timed.append(time_items(job.engine, task, metric, possible, candidates))
    return timed


def _seconds(job: Job, timed: Sequence[Timed], passes: int, draws: int) -> float:
    """The most seconds of all searches, given the timed tasks."""
    dev = sum(one.seconds(one.dev) for one in timed)
    test = sum(one.seconds(one.test) for one in timed) if any(one.test for one in timed) else 0.0
    items = sum(one.dev for one in timed)
    item = sum(one.seconds(one.dev, 0) for one in timed) / max(items, 1)
    of_one = max(sum(job.plan.passes.values()), 1)
    seconds = sum(job.plan.seconds(dev, test, item).values()) * passes / of_one
    minutes = job.plan.config.budget_minutes
    return seconds if draws == 1 or minutes is None else min(seconds, 60 * minutes)


def _notes(job: Job, timed: Iterable[Timed]) -> list[str]:
    notes = [*job.notes.values()]
    for name in job.objectives.externals:
        notes.append(f"{name} has no examples and is not in the time")
    for task in timed:
        if task.seconds_per_item is None:
            notes.append(f"{task.name} is paid for by the request and is not in the time")
    notes += price_in_requests(job)
    patience = job.plan.config.patience or PATIENCE
    if patience < job.plan.config.iterations:
        notes.append(f"the search stops early after {patience} iterations without a new best")
    return notes


@dataclass(frozen=True)
class Timed:
    """One task, its number of items, and their time on this machine."""

    name: str
    dev: int
    test: int
    scoring: str  # the timed answer format; the slower one if a trial chooses between two
    seconds_per_item: float | None = None  # None: items cost money, so none was timed
    seconds_per_load: float = 0.0  # seconds to load a candidate

    def seconds(self, items: int, evaluations: int = 1) -> float:
        """Seconds for some items, in some evaluations."""
        return (self.seconds_per_item or 0.0) * items + self.seconds_per_load * evaluations


@dataclass(frozen=True)
class PlannedCost:
    """The most that a search would cost, with this dtype, threads and device."""

    tasks: tuple[Timed, ...]
    evaluations: int  # candidates scored on dev
    # forward passes per item in total, training and final scores on dev and test included
    passes: int
    seconds: float  # for all passes
    memory_bytes: int  # memory of this process after a batch, times the number of workers
    free_bytes: int | None  # further free memory; None: unknown
    dtype: str
    threads: int
    notes: tuple[str, ...]
    device: str
    out: str  # the directory to write
    writes: tuple[str, ...]  # files in `out`


def time_items(
    engine: Engine,
    task: Task,
    metric: Metric,
    possible: Sequence[Scoring],
    candidates: Sequence[Callable[[], Patch]],
) -> Timed:
    """Time the scoring of some dev items with each candidate, twice: the first time warms up."""
    scoring = possible[-1]
    timed = Timed(task.name, len(task.dev), len(task.test), " or ".join(possible))
    if metric.usage is not None:
        return timed
    sample = task.dev[:SAMPLE]
    batch = metric.on(sample, scoring, engine.chat, task.prompt)
    times = []
    for candidate in (*candidates, *candidates):
        start = time.perf_counter()
        engine.load(candidate())
        loaded = time.perf_counter()
        batch(engine)
        times.append((loaded - start, (time.perf_counter() - loaded) / len(sample)))
    load, item = min(times[1:], key=sum)
    return replace(timed, seconds_per_item=item, seconds_per_load=load)
