"""The cost of a search, and whether its weights fit into memory: loads everything, times a batch, and
writes nothing."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

import pyswarmopt_llm.engine.memory as memory_of
from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, NoRoomError
from pyswarmopt_llm.common.events import duration
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.experts.base import INT8, BaseModel, empty_model, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.pretrained import BITSANDBYTES
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.run.directory import check_new
from pyswarmopt_llm.searching.decide import filled_in
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.regime import regime

CONTEXT = 2**30  # bytes of a card that CUDA and fragmentation take
GB = 1e9
SAMPLE = 16  # items timed
LONG = 60.0  # seconds of a search from which on it is told what workers save
WORKERS = (1, 2, 4, 8)


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
    def fits(self) -> bool:
        """Whether there is room for the weights."""
        return self.weights <= self.free

    @property
    def line(self) -> str:
        """The verdict."""
        sizes = f"{self.device}, {self.free / GB:.1f} GB free: the weights take {self.weights / GB:.1f} GB"
        if self.fits:
            return f"{sizes}, not counting forward passes and merged copies"
        return (
            f"{sizes}, so the search does not fit; put nf4: before the base model (4 bits), or use a "
            "smaller one"
        )


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
        free = memory_of.free_memory(device)
        if free is None:
            return None
    else:
        device = torch.device("cuda")
        name = f"a GPU with {memory}"
        free = bytes_of(memory) - CONTEXT
        asked = replace(asked, dtype=asked.dtype.replace("auto", "bfloat16"))
    dtype = pick_dtype(asked.dtype, device)
    base = resolve_base(asked.base, weights=False)
    weights = weights_of(empty_model(base, dtype=dtype), base)
    if kind.adapters:
        report = inspect_experts(asked.experts, base)
        weights += dtype.itemsize * sum(info.parameters for info in report.experts)
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
    bits = {"": 8.0 * itemsize, BITSANDBYTES: 4.13, INT8: 8.1}.get(base.packing, 4.5)  # with scales
    output = model.get_output_embeddings()
    linear = 0
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear) and layer is not output:
            linear += layer.weight.numel()
    return int((model.num_parameters() - linear) * itemsize + linear * bits / 8)


@dataclass(frozen=True)
class PlannedCost:
    """The greatest cost of a search with this dtype, these threads and this device.

    Attributes:
        examples: numbers of dev and test examples.
        evaluations: candidates scored on dev.
        passes: forward passes per item in total, training and final scores included.
        seconds: for all passes.
        phases: part of the search -> its seconds.
        notes: what to expect (see `regime`), and what else a user should know.
    """

    examples: tuple[int, int]
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
        notes.append(fit.line)
        if not fit.fits:
            raise NoRoomError(fit.line)
    job = prepare(config)
    notes += [*regime(job), *job.notes.values(), *job.prices, *job.idle(job.config.processes)]
    for name in job.objectives.externals:
        notes.append(f"the harness reads the examples of {name}, so their time is not included")
    per_pass = seconds_per_pass(job)
    phases = {part: count * per_pass for part, count in job.passes.items() if count}
    most = 60 * (config.budget_minutes or math.inf)
    if config.quantize:
        from pyswarmopt_llm.searching.rounded import seconds_per_rounding

        phases["rounding"] = seconds_per_rounding(job) * job.roundings
    alone = phases["search"]
    phases["search"] = min(alone * job.share(job.side_by_side), most)
    if job.config.workers != "1" or alone > LONG:
        notes.append(times_of_search(job, alone))
    return PlannedCost(
        examples=job.examples,
        evaluations=job.evaluations,
        passes=sum(job.passes.values()),
        seconds=round(sum(phases.values()), 1),
        phases={name: round(seconds, 1) for name, seconds in phases.items()},
        dtype=str(job.engine.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        notes=tuple(notes),
        device=str(pick_device(config.device)),
    )


def times_of_search(job: Job, alone: float) -> str:
    """What workers would save of the search's seconds, in a line."""
    times = []
    for workers in WORKERS:
        seconds = duration(alone * job.share(workers))
        times.append(f"{seconds} with {counted(workers, 'worker')}")
    return f"the search alone, if no other work shares the machine: {', '.join(times)}"


def seconds_per_pass(job: Job) -> float:
    """Seconds that a dev item takes with an expert; items that cost money count as 0.

    Short and long items of each task are scored twice, in the slower answer format if there are
    two; the first time warms up. A second score of the same replies costs nothing.
    """
    total = 0.0
    written = set()
    for name, task in job.tasks.items():
        metric = job.objectives.metrics[name]
        if metric.usage is not None or task.name in written:
            continue
        if metric.new_tokens is not None:
            written.add(task.name)
        ordered = sorted(task.dev, key=lambda item: len(item.question))
        sample = ordered[:: -(-len(ordered) // SAMPLE)]
        *_, slowest = job.objectives.answer_formats(name, job.config.scoring)
        score = metric.on(sample, slowest, job.engine.chat, task.prompt)
        seconds = 0.0
        for vertex in job.pool.space.vertices()[:2]:
            start = time.perf_counter()
            job.engine.load(job.pool.space.realise(vertex))
            score(job.engine)
            seconds = time.perf_counter() - start
        total += seconds / len(sample) * len(task.dev)
    return total / max(job.items, 1)
