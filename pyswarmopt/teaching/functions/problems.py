"""Test problems by name, for the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.teaching.functions.functions import ALL, ToyFunction
from pyswarmopt.teaching.functions.wrappers import rotated, shifted


@dataclass(frozen=True)
class ToyProblem:
    """A function to minimise, with its box."""

    name: str
    function: Callable[[Any], Any]  # (..., D) -> (...)
    bounds: list[tuple[float, float]]
    optimum: float  # smallest value


def problem(name: str, dim: int, seed: int = 0) -> ToyProblem:
    """The test problem with this name: a function of `pyswarmopt.functions`.

    The prefix "shifted:" moves the optimum to a random place in the box, "rotated:" rotates the
    axes about it; both may be combined. The seed is for shift and rotation.

    Example:
        >>> p = problem("shifted:rotated:rastrigin", dim=3)
        >>> p.optimum, len(p.bounds)
        (0.0, 3)
    """
    *wrappers, core = name.replace("-", "_").split(":")
    function = _toy(core)
    if not function.defined_in(dim):
        raise ValueError(f"{core} needs {function.dimensions()} dimensions, not {dim}")
    for wrapper in reversed(wrappers):
        function = _wrapped(wrapper, function, dim, seed)
    return ToyProblem(name, function, function.bounds(dim), function.optimal_value(dim))


def _toy(name: str) -> ToyFunction:
    if name not in ALL:
        hint = did_you_mean(name, ALL, "see pyswarmopt list")
        raise ValueError(f"no function is called {name!r}; {hint}")
    return ALL[name]


def _wrapped(wrapper: str, function: ToyFunction, dim: int, seed: int) -> ToyFunction:
    if wrapper == "rotated":
        return rotated(function, seed)
    if wrapper == "shifted":
        low, high = function.domain
        middle = (low + high) / 2
        half = (high - low) / 2
        target = np.random.default_rng([seed, dim]).uniform(
            middle - 0.8 * half, middle + 0.8 * half, dim
        )
        return shifted(function, target - function.optimum(dim))
    raise ValueError(
        f"no wrapper is called {wrapper!r}: use shifted: or rotated: before a function's name"
    )
