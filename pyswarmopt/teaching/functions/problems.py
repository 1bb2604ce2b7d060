"""Test problems by name, for the command line."""

from __future__ import annotations

import numpy as np

from pyswarmopt.base.spelling import did_you_mean
from pyswarmopt.teaching.functions.functions import ALL, ToyFunction
from pyswarmopt.teaching.functions.wrappers import rotated, shifted


def problem(name: str, dim: int, seed: int = 0) -> ToyFunction:
    """The test function with this name, for D = dim: one of `pyswarmopt.functions`.

    The prefix "shifted:" moves the optimum to a random place in the box, and "rotated:" rotates the
    axes about it; they can be combined. `seed` determines the shift and the rotation.

    Example:
        >>> p = problem("shifted:rotated:rastrigin", dim=3)
        >>> p.optimal_value(3), len(p.bounds(3))
        (0.0, 3)
    """
    *wrappers, core = name.replace("-", "_").split(":")
    if core not in ALL:
        hint = did_you_mean(core, ALL, "see pyswarmopt list")
        raise ValueError(f"there is no function named {core!r}; {hint}")
    function = ALL[core]
    if not function.defined_in(dim):
        raise ValueError(f"{core} needs {function.dimensions()} dimensions, not {dim}")
    for wrapper in reversed(wrappers):
        if wrapper not in ("rotated", "shifted"):
            raise ValueError(
                f"unknown prefix {wrapper!r}; use shifted: or rotated: before a function's name"
            )
        if wrapper == "rotated":
            function = rotated(function, seed)
        else:
            # not too near the walls
            low, high = function.domain
            middle = (low + high) / 2
            half = 0.8 * (high - low) / 2
            target = np.random.default_rng([seed, dim]).uniform(middle - half, middle + half, dim)
            function = shifted(function, target - function.optimum(dim))
    return function
