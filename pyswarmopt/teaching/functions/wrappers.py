"""Harder test functions: shifted and rotated ones, each with a known optimum."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, like
from pyswarmopt.teaching.functions.functions import ToyFunction


def shifted(function: ToyFunction, shift: npt.ArrayLike) -> ToyFunction:
    """``f(x - shift)``: the optimum is moved by `shift`, (D,); the domain does not change.

    An optimiser that is drawn to the middle of its box does well only on functions whose optimum is
    there.

    Args:
        function: a test function.
        shift: (D,), in the units of x.

    Returns:
        A test function of D coordinates.

    Example:
        >>> from pyswarmopt import functions
        >>> moved = shifted(functions.sphere, [1.0, -2.0])
        >>> float(moved([1.0, -2.0])), moved.optimum(2).tolist()
        (0.0, [1.0, -2.0])
    """
    by = np.asarray(shift, dtype=np.float64)
    return replace(
        function,
        name=f"shifted_{function.name}",
        formula=f"f(x - shift), f(x) = {function.formula}",
        evaluate=partial(_at_a_distance, function, by),
        optimal_x=tuple((function.optimum(by.size) + by).tolist()),
    )


def rotated(function: ToyFunction, seed: int) -> ToyFunction:
    """``f(R (x - x*) + x*)`` with a random rotation R about the optimum x*, which stays in place.

    Methods that move coordinate by coordinate lose their advantage. R is uniform over the
    orthogonal matrices (Mezzadri 2007, Notices AMS 54(5)) and determined by seed and dimension.

    Args:
        function: a test function.
        seed: seed of the rotation.

    Returns:
        A test function.

    Example:
        >>> from pyswarmopt import functions
        >>> turned = rotated(functions.rosenbrock, seed=1)
        >>> float(turned([1.0, 1.0])), turned.optimum(2).tolist()
        (0.0, [1.0, 1.0])
    """
    return replace(
        function,
        name=f"rotated_{function.name}",
        formula=f"f(R (x - x*) + x*), f(x) = {function.formula}",
        evaluate=partial(_turned, function, seed),
    )


# At the top level, so that they can be sent to processes.


def _at_a_distance(function: ToyFunction, by: Floats, x: Any) -> Any:
    return function(x - like(by, x))


def _turned(function: ToyFunction, seed: int, x: Any) -> Any:
    dim = x.shape[-1]
    matrix = like(_rotation(dim, seed), x)
    centre = like(function.optimum(dim), x)
    return function((x - centre) @ matrix.T + centre)


@lru_cache
def _rotation(dim: int, seed: int) -> Floats:
    random = np.random.default_rng([seed, dim])
    q, r = np.linalg.qr(random.standard_normal((dim, dim)))
    return q * np.sign(np.diag(r))


__all__ = ["rotated", "shifted"]
