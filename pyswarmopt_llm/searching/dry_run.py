"""The cost of a search, and whether its weights fit into memory: loads everything, times a batch, and
writes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch

import pyswarmopt_llm.engine.memory as memory_of
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, NoRoomError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.experts.base import INT8, BaseModel, empty_model, resolve_base
from pyswarmopt_llm.experts.pretrained import BITSANDBYTES
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.one_base import find_adapters
from pyswarmopt_llm.searching.decide import filled_in
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.run_directory import check_new

CONTEXT = 2**30  # bytes of a card that CUDA and fragmentation take
GB = 1e9
_BITS = {BITSANDBYTES: 4.13, INT8: 8.1}  # bits of a packed weight, with its scales
_PACKED_BITS = 4.5  # bits in other formats
SAMPLE = 16  # items timed


@dataclass(frozen=True)
class Fit:
    """The weights of a search, and the memory that a device has.

    Attributes:
        device: name of the device.
        free: free bytes.
        weights: bytes of the base's and the experts' weights; passes need more.
    """

    device: str
    free: float
    weights: float

    @property
    def short(self) -> float:
        """Bytes that are missing; 0 or less: the weights fit."""
        return self.weights - self.free

    def lines(self) -> list[str]:
        """The verdict."""
        lines = [
            f"{self.device}, {self.free / GB:.1f} GB free: the weights take {self.weights / GB:.1f} GB, "
            "not counting forward passes and merged copies"
        ]
        if self.short > 0:
            lines.append(
                f"the search does not fit: {self.short / GB:.1f} GB more are needed; put nf4: before the "
                "base model (4 bits), or use a smaller one"
            )
        return lines


def fit_of(config: SearchConfig, memory: str | None = None) -> Fit | None:
    """Whether the weights of a search fit into free memory, or into a GPU of a given size.

    Args:
        config: the search's configuration; only the base's config.json and the adapters' headers
            are read.
        memory: size of the GPU, such as ``24GB``; None: this machine.

    Returns:
        None if the system does not report free memory, or if there is more than one base.

    Raises:
        UserError: a size is invalid, or the experts are incompatible.
    """
    asked = filled_in(config)
    kind = space_kind(asked.space)
    if kind.several_models:
        if memory is not None:
            raise InvalidOption("memory", memory, "works only with a single base model; remove it")
        return None
    if memory is None:
        device = pick_device(asked.device)
        name = str(device)
        dtype = pick_dtype(asked.dtype, device)
        free = memory_of.free_memory(device)
        if free is None:
            return None
    else:
        device = torch.device("cuda")
        name = f"a GPU with {memory}"
        dtype = pick_dtype(asked.dtype.replace("auto", "bfloat16"), device)
        free = bytes_of(memory) - CONTEXT
    base = resolve_base(asked.base, weights=False)
    weights = weights_of(empty_model(base, dtype=dtype), base)
    if kind.adapters:
        experts = find_adapters(asked, base)[0]
        weights += dtype.itemsize * sum(info.parameters for info in experts)
    if device.type == "cuda":  # on a CPU all workers share the base's files
        weights *= asked.processes or 1
    return Fit(name, free, weights)


def bytes_of(memory: str) -> int:
    """Bytes in a memory size in GB.

    Example:
        >>> bytes_of("24GB"), bytes_of("0.5 GB"), bytes_of("8")
        (24000000000, 500000000, 8000000000)
    """
    try:
        return int(float(memory.upper().removesuffix("GB")) * GB)
    except (ValueError, OverflowError) as error:
        raise InvalidOption("memory", memory, "is not a size; use the form 24GB") from error


def weights_of(model: Any, base: BaseModel) -> int:
    """Bytes of a model's weights; its linear layers are packed if those of the base are."""
    itemsize = model.dtype.itemsize
    if base.packing:
        bits = _BITS.get(base.packing, _PACKED_BITS)
    else:
        bits = 8 * itemsize
    output = model.get_output_embeddings()
    linear = 0
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear) and layer is not output:
            linear += layer.weight.numel()
    return int((model.num_parameters() - linear) * itemsize + linear * bits / 8)


@dataclass(frozen=True)
class Timed:
    """A task, its numbers of items, and their time on this machine.

    Attributes:
        name: the task.
        dev, test: numbers of items.
        scoring: timed answer format; the slower one if a trial chooses between two.
        seconds_per_item: None if items cost money, so none was timed.
    """

    name: str
    dev: int
    test: int
    scoring: str
    seconds_per_item: float | None = None


@dataclass(frozen=True)
class PlannedCost:
    """The greatest cost of a search with this dtype, these threads and this device.

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
    """The cost of a search, or of all draws of a grid.

    Raises:
        NoRoomError: the search does not fit into memory.
    """
    check_new(user_path(config.out))
    fit = fit_of(config)
    notes = []
    if fit is not None:
        notes = fit.lines()
        if fit.short > 0:
            raise NoRoomError("; ".join(notes))
    job = prepare(config)
    plan = job.plan
    timed = [_time_task(job, name) for name in job.tasks]
    dev = sum(task.dev * (task.seconds_per_item or 0.0) for task in timed)
    test = sum(task.test * (task.seconds_per_item or 0.0) for task in timed)
    phases = plan.seconds(dev, test, dev / max(plan.items, 1))
    return PlannedCost(
        tasks=tuple(timed),
        evaluations=plan.affordable(plan.evaluations),
        passes=sum(plan.passes.values()),
        seconds=round(sum(phases.values()), 1),
        phases={name: round(seconds, 1) for name, seconds in phases.items() if seconds},
        dtype=str(job.engine.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        notes=(*notes, *_notes(job)),
        device=str(pick_device(config.device)),
    )


def _time_task(job: Job, name: str) -> Timed:
    """Time the scoring of some dev items, short and long, with two experts; the first warms up."""
    task = job.tasks[name]
    metric = job.objectives.metrics[name]
    possible = job.objectives.scorings(name, job.plan.config.scoring)
    timed = Timed(name, len(task.dev), len(task.test), " or ".join(possible))
    if metric.usage is not None:
        return timed
    ordered = sorted(task.dev, key=lambda item: len(item.question))
    sample = ordered[:: -(-len(ordered) // SAMPLE)]
    batch = metric.on(sample, possible[-1], job.engine.chat, task.prompt)
    seconds = 0.0
    for vertex in job.pool.space.vertices()[:2]:
        start = time.perf_counter()
        job.engine.load(job.pool.space.realise(vertex))
        batch(job.engine)
        seconds = time.perf_counter() - start
    return replace(timed, seconds_per_item=seconds / len(sample))


def _notes(job: Job) -> list[str]:
    """What a user should know of the plan, and cheaper ways."""
    plan = job.plan
    notes = [*job.notes.values(), *plan.prices]
    for name in job.objectives.externals:
        notes.append(f"the harness reads the examples of {name}, so their time is not included")
    if plan.trains and not (job.objectives.written or plan.config.quick):
        notes.append(
            "`quick` is faster: it only fine-tunes the best expert, or the base model if it scores higher"
        )
    return notes
