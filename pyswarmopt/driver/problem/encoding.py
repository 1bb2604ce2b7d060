"""Integers and categories: maps the swarm's coordinates to the objective's.

An integer coordinate moves like any other and is rounded. A category has no order, so moving along
its labels would be meaningless: the swarm moves one number per label instead, and the label with
the largest number is chosen (the random keys of Bean 1994, ORSA J. Computing 6(2), one key per
label). Renaming labels renames the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Bools, Floats, Ints
from pyswarmopt.default.box import Kinds


@dataclass(frozen=True, repr=False, eq=False)
class Coding:
    """Encoding of the user's D coordinates as the swarm's M.

    Attributes:
        low: the user's lower bounds, (D,); those of integers and categories are whole numbers.
        high: upper bounds, (D,).
        integers: (D,) mask of rounded coordinates.
        categories: (D,) mask of coordinates with unordered values low, low + 1, ..., high.
        smooth: (D,) mask of coordinates that are real numbers for the objective as well.
        widths: (D,) number of the swarm's coordinates for each: one, or one per label.
        orders: coordinates whose ranks are one order, for each order.
    """

    low: Floats
    high: Floats
    integers: Bools
    categories: Bools
    smooth: Bools
    widths: Ints
    orders: Sequence[slice] = ()

    @cached_property
    def first(self) -> Ints:
        """First of the swarm's coordinates for each coordinate, (D,)."""
        return np.cumsum(self.widths) - self.widths

    @cached_property
    def all_real(self) -> bool:
        """Whether no coordinate is an integer or a category."""
        return not (self.integers.any() or self.categories.any())

    @property
    def size(self) -> int:
        """M."""
        return int(self.widths.sum())

    @cached_property
    def count(self) -> float:
        """Points of the grid, infinite if there is none."""
        whole = self.integers | self.categories
        if whole.all():
            return float((self.high - self.low + 1).prod())
        return np.inf

    def bounds(self) -> tuple[Floats, Floats]:
        """The swarm's box, (M,) each: the user's, (0, 1) for every label, and half a step more on
        either side for integers, so that all are equally likely at first.
        """
        half = np.where(self.integers, 0.5, 0.0)
        low = np.where(self.categories, 0.0, self.low - half)
        high = np.where(self.categories, 1.0, self.high + half)
        return np.repeat(low, self.widths), np.repeat(high, self.widths)

    @property
    def kinds(self) -> Kinds:
        """Kinds of the swarm's coordinates; labels differ by their keys."""
        levels = np.where(self.integers, self.high - self.low + 1, self.categories).astype(np.int64)
        parameter = np.repeat(np.arange(len(levels)), self.widths)
        smooth = np.repeat(self.smooth, self.widths)
        orders = [slice(self.first[o.start], self.first[o.stop - 1] + 1) for o in self.orders]
        return Kinds(np.repeat(levels, self.widths), parameter, smooth, orders)

    def decode(self, positions: Floats) -> Floats:
        """The objective's points, (n, D), for positions of the swarm, (n, M), never out of bounds."""
        if self.all_real:
            return positions
        x = positions[:, self.first]
        x = np.where(self.integers, np.clip(np.rint(x), self.low, self.high), x)
        for i in np.flatnonzero(self.categories).tolist():
            keys = slice(self.first[i], self.first[i] + self.widths[i])
            x[:, i] = self.low[i] + positions[:, keys].argmax(axis=1)
        return x

    def encode(self, x: Floats) -> Floats:
        """Positions of the swarm, (n, M), that decode to the points x, (n, D)."""
        keys = np.repeat(self.categories, self.widths)
        labels = np.repeat(self.low - self.first, self.widths) + np.arange(self.size)
        positions = np.repeat(x, self.widths, axis=1)
        return np.where(keys, np.rint(positions) == labels, positions)


def make_coding(
    bounds: tuple[Floats, Floats],
    integrality: npt.ArrayLike | None,
    categorical: npt.ArrayLike | None,
    rounded: npt.ArrayLike | None = None,
    orders: Sequence[slice] = (),
) -> Coding:
    """Check the masks against the bounds.

    Args:
        bounds: the user's, low and high, (D,) each.
        integrality: (D,) mask of the integer coordinates, or one boolean for all; None for none.
        categorical: mask of the categorical coordinates, likewise.
        rounded: mask of the integer coordinates that the objective rounds itself, likewise.
        orders: coordinates whose ranks are one order, for each order.

    Raises:
        ValueError: a mask has another shape, both masks contain a coordinate, or bounds contain no
            whole number.

    Example:
        >>> bounds = np.array([-2.5, 1.0]), np.array([2.5, 3.0])
        >>> coding = make_coding(bounds, [True, False], [False, True])
        >>> coding.decode(np.array([[0.7, 0.1, 0.9, 0.2]])).tolist()  # the second label of 1, 2, 3
        [[1.0, 2.0]]
    """
    low, high = bounds
    integers = _mask("integrality", integrality, len(low))
    categories = _mask("categorical", categorical, len(low))
    whole = integers | categories
    inner_low = np.ceil(low)
    inner_high = np.floor(high)
    both = integers & categories
    if both.any():
        raise ValueError(f"coordinate {both.argmax()} is in both integrality and categorical")
    empty = whole & (inner_low > inner_high)
    if empty.any():
        i = empty.argmax()
        raise ValueError(f"the bounds of coordinate {i} ({low[i]}, {high[i]}) contain no integer")
    return Coding(
        low=np.where(whole, inner_low, low),
        high=np.where(whole, inner_high, high),
        integers=integers,
        categories=categories,
        smooth=~(whole | _mask("rounded", rounded, len(low))),
        widths=np.where(categories, inner_high - inner_low + 1, 1).astype(np.int64),
        orders=orders,
    )


def check_inside(start: Floats, low: Floats, high: Floats, name: str = "x0") -> None:
    """Raise ValueError for starting points, (n, D), out of bounds."""
    outside = np.argwhere(~((start >= low) & (start <= high)))
    if outside.size:
        row, i = outside[0]
        raise ValueError(
            f"{name}[{row}][{i}] = {start[row, i]} is not within its bounds ({low[i]}, {high[i]})"
        )


def _mask(name: str, truth: Any, dim: int) -> Bools:
    if truth is None:
        truth = False
    mask = np.asarray(truth)
    if (
        mask.shape not in ((), (dim,))
        or mask.dtype.kind not in "biuf"
        or (mask != (mask == 1)).any()
    ):
        raise ValueError(
            f"{name}={truth!r} must be True or False, or a list with one of them per coordinate"
        )
    return np.broadcast_to(mask == 1, (dim,))
