"""Real numbers, integers and categories side by side in the unit box.

An integer with k values has k equal parts of its side. A category has one coordinate for each
label, of which the largest counts (see `pyswarmopt.driver.problem.encoding`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Bools, Floats

Ints = npt.NDArray[np.int64]
MUTATED = 1.5  # parameters changed in a neighbour, on average, one of them always


@dataclass(frozen=True, eq=False)
class Kinds:
    """What the M coordinates of the unit box are.

    Args:
        levels: (M,), 0 for a real number, k for an integer with k values; of no meaning for labels.
        parameter: (M,) number of the parameter, from 0 on, that a coordinate belongs to; those of a
            category are neighbours.

    Example:
        >>> kinds = Kinds(np.array([0, 4, 0, 0]), np.array([0, 1, 2, 2]))
        >>> kinds.snap(np.array([[0.3, 0.3, 0.6, 0.7]])).tolist()  # a real, the second of 4 values, the second label
        [[0.3, 0.375, 0.0, 1.0]]
    """

    levels: Ints
    parameter: Ints

    @property
    def count(self) -> int:
        """Parameters."""
        return int(self.parameter[-1]) + 1 if len(self.parameter) else 0

    @cached_property
    def blocks(self) -> list[slice]:
        """Where the labels of each category are."""
        first = np.searchsorted(self.parameter, np.arange(self.count + 1))
        labels = np.flatnonzero(np.diff(first) > 1)
        return [slice(int(first[i]), int(first[i + 1])) for i in labels]

    @cached_property
    def ordered(self) -> Bools:
        """Mask of the coordinates that are no labels, (M,)."""
        mask = np.ones(len(self.levels), dtype=np.bool_)
        for block in self.blocks:
            mask[block] = False
        return mask

    @cached_property
    def whole(self) -> Bools:
        """Mask of the integers, (M,)."""
        return self.ordered & (self.levels > 0)

    def snap(self, unit: Floats) -> Floats:
        """Points, (n, M), with integers in the middle of their parts, and 1 for the label that
        counts, else 0.
        """
        points = unit.copy()
        if self.whole.any():
            k = self.levels[self.whole]
            whole = np.minimum(np.floor(points[:, self.whole] * k), k - 1)
            points[:, self.whole] = (whole + 0.5) / k
        for block in self.blocks:
            points[:, block] = (
                np.arange(block.stop - block.start) == points[:, block].argmax(axis=1)[:, None]
            )
        return points

    def draw(self, n: int, random: np.random.Generator) -> Floats:
        """Points, (n, M), each parameter spread evenly over its range (a Latin hypercube),
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
        """A neighbour of each point, (n, M), snapped: a parameter or a few are changed.

        Args:
            points: (n, M), snapped.
            widths: (n,) standard deviation of a change as a share of the range; integers change by
                one at least, categories to any other label.
            random: draws them.
        """
        n = len(points)
        changed = random.random((n, self.count)) < min(1.0, (MUTATED - 1) / max(self.count - 1, 1))
        changed[np.arange(n), random.integers(self.count, size=n)] = True
        changed = changed[:, self.parameter]
        normal = random.standard_normal(points.shape)
        rows, columns = np.nonzero(changed & self.ordered)  # few of them all
        before = points[rows, columns]
        steps = np.clip(widths[rows] * normal[rows, columns], -0.5, 0.5)
        least = np.where(self.whole, 1 / np.maximum(self.levels, 1), 0.0)[columns]
        steps = np.where(np.abs(steps) < least, np.copysign(least, steps), steps)
        after = before + steps
        after = np.where((after < 0) | (after > 1), before - steps, after)
        moved = points.copy()
        moved[rows, columns] = np.clip(after, 0.0, 1.0)
        for block in self.blocks:
            labels = block.stop - block.start
            others = (points[:, block].argmax(axis=1) + random.integers(1, labels, size=n)) % labels
            moved[:, block] = np.where(
                changed[:, block], np.arange(labels) == others[:, None], points[:, block]
            )
        return self.snap(moved)
