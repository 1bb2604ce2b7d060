"""The unit box of a search: real numbers, integers and categories side by side.

An integer with k values divides its side into k equal parts. A category has one coordinate per
label, of which the largest counts (see `pyswarmopt.driver.problem.encoding`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, Ints

MUTANTS = 8  # mutations of a point
NARROWEST = 1e-4  # width of a mutation, as a share of the range
WIDEST = 0.5
LAST_CHANGE = 0.9  # probability that a change of an order is the last one
MUTATED = 1.5  # parameters changed in a neighbour, on average; at least one


@dataclass(frozen=True, repr=False, eq=False)
class UnitBox:
    """The unit box of the coordinates with distinct bounds.

    Example:
        >>> box = UnitBox(np.array([-5.0, 3.0, 0.0]), np.array([5.0, 3.0, 1.0]))
        >>> box.decode(np.array([[0.5, 0.25]])).tolist()
        [[0.0, 3.0, 0.25]]
        >>> box.encode(np.array([0.0, 3.0, 0.25])).tolist()
        [0.5, 0.25]
    """

    low: Floats
    high: Floats

    @cached_property
    def free(self) -> Ints:
        """Numbers of the free coordinates, (F,)."""
        return np.flatnonzero(self.high > self.low)

    @cached_property
    def dim(self) -> int:
        """F."""
        return len(self.free)

    def decode(self, unit: Floats) -> Floats:
        """Points of the unit box, (m, F), in the user's box, (m, D)."""
        x = np.repeat(self.low[None], len(unit), axis=0)
        x[:, self.free] += unit * self._sides
        return np.clip(x, self.low, self.high)

    def encode(self, x: Floats) -> Floats:
        """Points of the user's box, (..., D), in the unit box, (..., F)."""
        return np.clip((x - self.low)[..., self.free] / self._sides, 0.0, 1.0)

    @cached_property
    def _sides(self) -> Floats:
        """Lengths of the free sides, (F,)."""
        return (self.high - self.low)[self.free]


@dataclass(frozen=True, repr=False, eq=False)
class Kinds:
    """Kinds of the M coordinates of the unit box.

    Args:
        levels: (M,), 0 for a real number, k for an integer with k values; ignored for labels.
        parameter: (M,) number of each coordinate's parameter, from 0 on; a category's coordinates
            are adjacent.
        smooth: (M,) mask of coordinates that are real numbers for the objective as well.
        orders: coordinates whose ranks are one order, for each order.

    Example:
        >>> kinds = Kinds(np.array([0, 4, 0, 0]), np.array([0, 1, 2, 2]), np.array([True, False, False, False]))
        >>> kinds.snap(np.array([[0.3, 0.3, 0.6, 0.7]])).tolist()  # a real, the second of 4 values, the second label
        [[0.3, 0.375, 0.0, 1.0]]
    """

    levels: Ints
    parameter: Ints
    smooth: Bools
    orders: Sequence[slice] = ()

    @classmethod
    def real(cls, count: int, smooth: bool = True) -> Kinds:
        """`count` real numbers."""
        return cls(np.zeros(count, np.int64), np.arange(count), np.full(count, smooth))

    def of(self, coordinates: Ints) -> Kinds:
        """Kinds of a selection of coordinates, (k,) numbers in order."""
        parameter = np.unique(self.parameter[coordinates], return_inverse=True)[1]
        ends = [np.searchsorted(coordinates, (o.start, o.stop)) for o in self.orders]
        orders = [slice(*end) for end in ends]
        return Kinds(self.levels[coordinates], parameter, self.smooth[coordinates], orders)

    @property
    def count(self) -> int:
        """Number of parameters."""
        return int(self.parameter[-1]) + 1

    @cached_property
    def blocks(self) -> list[slice]:
        """Slices of each category's labels."""
        first = np.searchsorted(self.parameter, np.arange(self.count + 1))
        labels = np.flatnonzero(np.diff(first) > 1)
        return [slice(int(first[i]), int(first[i + 1])) for i in labels]

    @cached_property
    def ordered(self) -> Bools:
        """Mask of the coordinates that are not labels, (M,)."""
        ordered = np.ones(len(self.parameter), np.bool_)
        for block in self.blocks:
            ordered[block] = False
        return ordered

    @cached_property
    def whole(self) -> Bools:
        """Mask of the integers, (M,)."""
        return self.ordered & (self.levels > 0)

    @property
    def orders_only(self) -> bool:
        """Whether all are keys of orders."""
        return sum(order.stop - order.start for order in self.orders) == len(self.levels)

    @property
    def binary(self) -> bool:
        """Whether all are integers with two values."""
        return bool((self.whole & (self.levels == 2)).all())

    def snap(self, unit: Floats) -> Floats:
        """Points, (n, M), with integers in the middle of their parts, and 1 for the chosen label,
        else 0.
        """
        points = unit.copy()
        levels = self.levels[self.whole]
        part = np.minimum(np.floor(points[:, self.whole] * levels), levels - 1)
        points[:, self.whole] = (part + 0.5) / levels
        for block in self.blocks:
            points[:, block] = (
                np.arange(block.stop - block.start) == points[:, block].argmax(axis=1)[:, None]
            )
        return points

    def draw(self, n: int, random: np.random.Generator) -> Floats:
        """Points, (n, M), with each parameter spread evenly over its range (a Latin hypercube),
        snapped.
        """
        size = self.levels.size
        points = np.empty((n, size))
        for j in range(size):
            points[:, j] = (random.permutation(n) + random.random(n)) / n
        for block in self.blocks:
            labels = block.stop - block.start
            points[:, block] = np.arange(labels) == (random.permutation(n) % labels)[:, None]
        return self.snap(points)

    def neighbours(self, points: Floats, widths: Floats, random: np.random.Generator) -> Floats:
        """A neighbour of each point, (n, M), snapped, with one or a few parameters changed.

        Args:
            points: (n, M), snapped.
            widths: (n,) standard deviation of a change as a share of the range; integers change by
                at least one, categories to any other label.
            random: random source.
        """
        n = len(points)
        changed = random.random((n, self.count)) < min(1.0, (MUTATED - 1) / max(self.count - 1, 1))
        changed[np.arange(n), random.integers(self.count, size=n)] = True
        steps = widths[:, None] * random.standard_normal(points.shape)
        steps = np.copysign(np.maximum(np.minimum(np.abs(steps), 0.5), self.units), steps)
        after = points + steps
        after = np.where((after < 0) | (after > 1), points - steps, after)
        moving = changed[:, self.parameter] & self.ordered
        moved = np.where(moving, np.minimum(np.maximum(after, 0.0), 1.0), points)
        for block in self.blocks:
            labels = block.stop - block.start
            further = random.integers(1, labels, size=n)
            rows = np.flatnonzero(changed[:, self.parameter[block.start]])
            label = (points[rows, block].argmax(axis=1) + further[rows]) % labels
            moved[rows, block] = np.arange(labels) == label[:, None]
        for order in self.orders:
            for row in np.flatnonzero(changed[:, order].any(axis=1)):
                moved[row, order] = reordered(points[row, order], random)
        return self.snap(moved)

    def mutants(self, point: Floats, random: np.random.Generator, count: int = MUTANTS) -> Floats:
        """Neighbours of a snapped point, (M,), with all widths, (count, M)."""
        widths = NARROWEST * (WIDEST / NARROWEST) ** random.random(count)
        return self.neighbours(np.tile(point, (count, 1)), widths, random)

    @cached_property
    def units(self) -> Floats:
        """Distance between an integer's values, (M,); 0 for other coordinates."""
        return np.where(self.whole, 1 / np.maximum(self.levels, 1), 0.0)


def reordered(keys: Floats, random: np.random.Generator) -> Floats:
    """Keys, (n,), of an order in which some stretches are reversed (2-opt: Croes 1958, Operations
    Research 6) or have one end moved to the other.
    """
    ranked = keys.argsort(kind="stable")
    for _ in range(random.geometric(LAST_CHANGE)):
        first, last = np.sort(random.integers(len(keys), size=2))
        stretch = ranked[first : last + 1]
        changes = stretch[::-1], stretch[::-1], np.roll(stretch, 1), np.roll(stretch, -1)
        ranked[first : last + 1] = changes[random.integers(4)]
    return ranked.argsort() / max(len(keys) - 1, 1)
