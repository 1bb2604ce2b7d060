"""Whether each adapter is applied, whole, at its own scale and the same again, in both dtypes.

An adapter that is loaded and ignored gives no error anywhere (lm-eval issue 2432, unsloth issues
869 and 2142), and that weight 1 has to give an adapter back is how PEFT issue 3761 finds wrong
sums.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import (
    ADAPTER_FILES,
    AdapterInfo,
    load_factors,
)
from pyswarmopt_llm.experts.base import INT8, BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import local_directory, refuse_unmatched
from pyswarmopt_llm.experts.outliers import inspect_weights
from pyswarmopt_llm.experts.safetensors_file import read_header
from pyswarmopt_llm.experts.skeleton import skeleton
from pyswarmopt_llm.tools.check.layer_by_layer import LayerByLayer
from pyswarmopt_llm.tools.check.measure import (
    Changes,
    Differences,
    Meter,
    apart,
    coverage_problems,
    kept,
    notes,
    result_problems,
)

# cosine above which two A began from the same random numbers; that of two draws is near 0
SAME_A = 0.5


@dataclass(frozen=True)
class Numbers:
    """The measurements of one adapter; differences are the largest of any log-probability, in nats.

    Attributes:
        tensors, used: in the file, and of these those that are loaded.
        selected, adapted: modules of the base that the config selects, and those that the adapter
            changes.
        float32: see `Differences`.
        bfloat16_change: weight 1 from the base, both in bfloat16.
        bfloat16_kept: share of the change in float32 that is left in it, by projection.
        bfloat16_from_float32: weight 1 in bfloat16 from weight 1 in float32.
        quantisation: norm of what 4 bits leave out of the weights that it changes, relative to its
            change (|W - dequant(W4)| / |B A|); None for a plain base.
    """

    tensors: int
    used: int
    selected: int
    adapted: int
    float32: Differences
    bfloat16_change: float
    bfloat16_kept: float
    bfloat16_from_float32: float
    quantisation: float | None = None


@dataclass(frozen=True)
class AdapterCheck:
    """One adapter.

    Attributes:
        adapter: its name.
        path: as given.
        problems: what is wrong, each with what to do; empty: nothing.
        warnings: what is odd about it, as `inspect` says it.
        notes: what is worth knowing though nothing is wrong.
        numbers: None: it could not be loaded.
    """

    adapter: str
    path: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    numbers: Numbers | None = None

    @property
    def ok(self) -> bool:
        """Whether it does what its files say; there may be warnings."""
        return not self.problems

    def __str__(self) -> str:
        if self.problems:
            return f"{self.adapter}: {'; also, '.join(self.problems)}"
        verdict = f"warning: {'; also, '.join(self.warnings)}" if self.warnings else "ok"
        return f"{self.adapter}: {'; '.join([verdict, *self.notes])}"


@dataclass(frozen=True)
class CheckReport:
    """The result of `check`.

    Attributes:
        base: as given.
        base_bfloat16_from_float32: the bare base in bfloat16 from itself in float32, the largest
            difference of any log-probability; None: no adapter could be loaded.
        adapters: one per adapter, in the order given.
        same_a: adapter, adapter, and the cosine of their A, of those that began from the same
            random numbers.
    """

    base: str
    base_bfloat16_from_float32: float | None
    adapters: tuple[AdapterCheck, ...]
    same_a: tuple[tuple[str, str, float], ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with any of them."""
        return all(adapter.ok for adapter in self.adapters)


@dataclass(frozen=True)
class _Loaded:
    """An adapter, its weight changes, and the modules that its config selects."""

    info: AdapterInfo
    changes: Changes
    selected: frozenset[str]


def check(
    adapters: Sequence[str | Path], base: str, device: str = "auto", threads: int | None = None
) -> CheckReport:
    """Load each adapter in every way that has to give the same, and compare log-probabilities.

    Beside the adapters memory holds the base as it is stored, and one layer of it in float32.

    Args:
        adapters: PEFT adapter directories or hub ids.
        base: that they are adapters of: directory, hub id or ``embedded:smollm2-135m``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads; default: PyTorch's choice.

    Raises:
        UserError: an adapter is not there, or the base cannot be used. What is wrong with an
            adapter itself is in the report.
    """
    if not adapters:
        raise UserError("no adapters given; name their directories")
    refuse_unmatched(adapters)
    for path in adapters:
        local_directory(path, ADAPTER_FILES)
    resolved = resolve_base(base)
    if resolved.packing == INT8:
        raise UserError(
            f"{base}: its layers round their inputs to 8 bits, which makes differences that are no "
            "adapter's; check on the original checkpoint, or on nf4:BASE"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    report = inspect_weights(inspect_experts(adapters, resolved), base)
    said = {severity: defaultdict[str, list[str]](list) for severity in ("error", "warning")}
    for problem in report.problems:
        if "delta" in problem.spaces:
            said[problem.severity][problem.expert].append(problem.text)
    results = {
        name: AdapterCheck(
            name, str(path), tuple(said["error"][name]), tuple(said["warning"][name])
        )
        for name, path in zip(report.names, adapters, strict=True)
    }
    modules = skeleton(resolved)
    loaded = {
        info.name: _Loaded(
            info, load_factors(info), info.config.selected(modules.linear, modules.output)
        )
        for info in report.experts
        if results[info.name].ok
    }
    if not loaded:
        return CheckReport(base, None, tuple(results.values()), ())
    same_a = _same_a({name: adapter.changes for name, adapter in loaded.items()})
    measured, base_off = _measure(resolved, loaded, device, threads)
    for name, numbers in measured.items():
        if isinstance(numbers, str):
            results[name] = replace(results[name], problems=(numbers,))
        else:
            results[name] = _judged(results[name], loaded[name], numbers, same_a)
    return CheckReport(base, base_off, tuple(results.values()), same_a)


def _measure(
    base: BaseModel, loaded: Mapping[str, _Loaded], device: str, threads: int | None
) -> tuple[dict[str, Numbers | str], float]:
    """The numbers of each adapter, or why there are none; how far the bare base's dtypes differ."""
    exact: dict[str, Tensor] = {}
    differences: dict[str, Differences] = {}
    measured: dict[str, Numbers | str] = {}
    engines = _engines(base, device, threads)
    meter = Meter(next(engines))
    for name, adapter in loaded.items():
        try:
            exact[name] = meter.of(adapter.changes)
            again = load_factors(adapter.info)
            differences[name] = meter.differences(
                exact[name], adapter.changes, again, adapter.info.path
            )
        except UserError as error:
            measured[name] = str(error)
    exact_base = meter.base
    del meter  # before the base is loaded a second time
    rough = Meter(next(engines))
    for name, in_float32 in differences.items():
        info = loaded[name].info
        try:
            result = rough.of(loaded[name].changes)
        except UserError as error:
            measured[name] = str(error)
            continue
        measured[name] = Numbers(
            tensors=len(read_header(info.weights_file)),
            used=len(info.tensors),
            selected=len(loaded[name].selected),
            adapted=len(info.modules),
            float32=in_float32,
            bfloat16_change=apart(result, rough.base),
            bfloat16_kept=kept(result - rough.base, exact[name] - exact_base),
            bfloat16_from_float32=apart(result, exact[name]),
            quantisation=rough.quantisation(base, loaded[name].changes),
        )
    return measured, apart(rough.base, exact_base)


def _engines(
    base: BaseModel, device: str, threads: int | None
) -> Iterator[TransformersEngine | LayerByLayer]:
    """The base computing in float32, then in bfloat16; in memory once.

    Packed weights stay packed, others as they are stored.
    """
    if base.packing:
        for dtype in ("float32", "bfloat16"):
            yield load_engine(base, dtype, device, threads)
        return
    engine = LayerByLayer(base, device)
    for engine.dtype in (torch.float32, torch.bfloat16):
        yield engine


def _judged(
    result: AdapterCheck,
    adapter: _Loaded,
    numbers: Numbers,
    same_a: Sequence[tuple[str, str, float]],
) -> AdapterCheck:
    """The result with what the numbers say."""
    before = [(first, cosine) for first, second, cosine in same_a if second == result.adapter]
    problems = (
        *coverage_problems(adapter.info, adapter.selected),
        *result_problems(numbers.float32, adapter.changes, numbers.bfloat16_kept),
    )
    return replace(
        result,
        problems=problems,
        notes=tuple(notes(adapter.changes, before, numbers.quantisation)),
        numbers=numbers,
    )


def _same_a(adapters: Mapping[str, Changes]) -> tuple[tuple[str, str, float], ...]:
    """The pairs whose A began from the same random numbers, and the cosines."""
    cosines = ((a, b, cosine_of_a(adapters[a], adapters[b])) for a, b in combinations(adapters, 2))
    return tuple(pair for pair in cosines if pair[2] > SAME_A)


def cosine_of_a(first: Changes, second: Changes) -> float:
    """The cosine of all A in modules that both adapt with one rank; 0 without such modules.

    Example:
        >>> import torch
        >>> from pyswarmopt_llm.common.interfaces import LowRank
        >>> first = {"q": LowRank(b=torch.zeros(1, 1), a=torch.tensor([[3.0, 4.0]]))}
        >>> second = {"q": LowRank(b=torch.ones(1, 1), a=torch.tensor([[4.0, 3.0]]))}
        >>> round(cosine_of_a(first, second), 2)
        0.96
    """
    shared = [
        name for name in first if name in second and first[name].a.shape == second[name].a.shape
    ]
    product = math.fsum(float((first[name].a * second[name].a).sum()) for name in shared)
    squares = math.fsum(float((first[name].a ** 2).sum()) for name in shared)
    other_squares = math.fsum(float((second[name].a ** 2).sum()) for name in shared)
    length = math.sqrt(squares * other_squares)
    return product / length if length else 0.0
