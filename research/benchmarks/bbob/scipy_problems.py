"""The functions of SciPy's own benchmark of global optimisers, from its source."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

CENTRED = 0.01  # of the box: as near to the middle the optimum counts as centred
CUT = 0.3  # of every side


def functions(folder: Path) -> list[type[Any]]:
    """The classes of `benchmarks/go_benchmark_functions` in the given folder `benchmarks`, by
    name.
    """
    package, common = ModuleType("scipy_benchmarks"), ModuleType("scipy_benchmarks.common")
    package.__path__ = [str(folder)]
    common.safe_import = contextlib.nullcontext  # type: ignore[attr-defined] # the real one needs asv
    sys.modules |= {module.__name__: module for module in (package, common)}
    suite = importlib.import_module("scipy_benchmarks.go_benchmark_functions")
    return [
        kind
        for _, kind in sorted(inspect.getmembers(suite, inspect.isclass))
        if kind.__name__ != "Benchmark"
    ]


def box(benchmark: Any) -> tuple[Any, Any]:
    """Its least and greatest coordinates, (D,) each."""
    low, high = np.array(benchmark.bounds, dtype=np.float64).T
    return low, high


def centred(benchmark: Any) -> bool:
    """Whether an optimum is in the middle of the box."""
    low, high = box(benchmark)
    optima = np.array(benchmark.global_optimum, dtype=np.float64).reshape(-1, benchmark.N)
    return bool((np.abs(optima - (low + high) / 2) <= CENTRED * (high - low)).all(axis=1).any())


def cut(benchmark: Any) -> tuple[Any, Any]:
    """The box without `CUT` of every side, at the low or the high end as drawn for this
    function.
    """
    low, high = box(benchmark)
    at_low = np.random.default_rng(len(type(benchmark).__name__)).random(benchmark.N) < 0.5
    taken = CUT * (high - low)
    return np.where(at_low, low + taken, low), np.where(at_low, high, high - taken)
