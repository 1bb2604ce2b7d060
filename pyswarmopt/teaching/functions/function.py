"""Test functions, and the helpers that all of them are written with.

Sources: Surjanovic & Bingham, Virtual Library of Simulation Experiments; Jamil & Yang 2013, arXiv
1308.4008 (numbers in brackets); and the COCO bbob functions, Hansen et al. 2009, INRIA RR-6829,
here without their transformations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats, is_tensor


def zero(i: int, dim: int) -> float:
    """An optimum at the origin."""
    return 0.0


def one(i: int, dim: int) -> float:
    """An optimum at (1, ..., 1)."""
    return 1.0


@dataclass(frozen=True)
class ToyFunction:
    """A test function that is called like a function.

    Attributes:
        name: its name.
        formula: the formula, coordinates counted from 1.
        source: where it is defined.
        domain: the usual (low, high) for every coordinate.
        evaluate: the formula in code, (..., D) -> (...).
        coordinate: (i, D) -> the optimum's coordinate i = 1..D.
        optimum_per_dim: value at the optimum divided by D.
        min_dim: the smallest dimension in which it is defined.
        max_dim: the largest one, or None.

    Example:
        >>> from pyswarmopt.teaching.functions.functions import sphere
        >>> float(sphere([3.0, 4.0])), sphere.optimum(2).tolist(), sphere.optimal_value(2)
        (25.0, [0.0, 0.0], 0.0)
    """

    name: str
    formula: str
    source: str
    domain: tuple[float, float]
    evaluate: Callable[[Any], Any]
    coordinate: Callable[[int, int], float] = zero
    optimum_per_dim: float = 0.0
    min_dim: int = 1
    max_dim: int | None = None

    def __call__(self, x: Any) -> Any:
        """Value at x, (..., D) -> (...): a tensor for a tensor, else NumPy (a float64 for a single
        point).

        Raises:
            ValueError: no coordinates, fewer than `min_dim` or more than `max_dim`.
        """
        x = x if is_tensor(x) else np.asarray(x, dtype=np.float64)
        if x.ndim == 0 or not self.defined_in(x.shape[-1]):
            raise ValueError(
                f"{self.name} needs points of {self.dimensions()} coordinates, got {tuple(x.shape)}"
            )
        return self.evaluate(x)

    def defined_in(self, dim: int) -> bool:
        """Whether there is such a function in `dim` dimensions."""
        return dim >= self.min_dim and (self.max_dim is None or dim <= self.max_dim)

    def dimensions(self) -> str:
        """The dimensions in which it is defined, in words."""
        if self.max_dim is None:
            return f"at least {self.min_dim}"
        return (
            f"{self.min_dim}"
            if self.min_dim == self.max_dim
            else f"{self.min_dim} to {self.max_dim}"
        )

    def bounds(self, dim: int) -> list[tuple[float, float]]:
        """The usual box, one (low, high) per coordinate."""
        return [self.domain] * dim

    def optimum(self, dim: int) -> Floats:
        """The point of the smallest value, (dim,)."""
        return np.array([self.coordinate(i, dim) for i in range(1, dim + 1)])

    def optimal_value(self, dim: int) -> float:
        """The smallest value in `dim` dimensions."""
        return self.optimum_per_dim * dim


def lib_of(x: Any) -> Any:
    """torch for a tensor, else NumPy."""
    if not is_tensor(x):
        return np
    import torch

    return torch


def index(x: Any) -> Any:
    """1..D, of the kind of x."""
    d = x.shape[-1]
    return (
        lib_of(x).arange(1, d + 1, dtype=x.dtype, device=x.device)
        if is_tensor(x)
        else np.arange(1.0, d + 1)
    )


def exponents(x: Any) -> Any:
    """(i - 1) / (D - 1) for i = 1..D; 0 in one dimension."""
    return (index(x) - 1) / max(x.shape[-1] - 1, 1)
