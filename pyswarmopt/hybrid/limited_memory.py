"""A descent for many coordinates, as a run: L-BFGS by differences, in memory of order D.

The two-loop recursion of Liu & Nocedal 1989, Math. Programming 45 (Nocedal & Wright 2006, algorithm
7.4). A gradient costs D evaluations here and an update next to nothing, so more pairs are kept than
with cheap gradients; after a few iterations the Hessian's diagonal is measured by central
differences, 2 D points, to start the loops (as in Gilbert & Lemarechal 1989, Math. Programming 45).
Batches have at most `BATCH` numbers.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.record import NONE, array
from pyswarmopt.hybrid.descent import (
    FIRST_DIFFERENCE,
    FIRST_STEP,
    SMALLEST_DIFFERENCE,
    LineSearchDescent,
    either_side,
    parabola,
)
from pyswarmopt.hybrid.run import BATCH

PAIRS = 50  # kept moves and changes of the gradient
FLATTEST = 1e-10  # the smallest accepted curvature, as a share of the largest


@dataclass(repr=False, eq=False)
class LimitedMemory(LineSearchDescent):
    """One descent; of the Hessian it knows only the diagonal."""

    _: KW_ONLY
    curvature: Floats = array("D")  # second derivatives along the coordinates
    pairs: Floats = array("kpD")  # moves and changes of the gradient
    measured: int = 0  # finished coordinates
    found: Floats = array("pD")  # derivatives at x so far

    # ---- differences ----

    def _points_around(self) -> Floats:
        part = self._part()
        axes = np.arange(part.start, part.stop)
        steps = self._moves()[: 2 if self.mode == "newton" else 1, part].ravel()
        points = np.tile(self.x, (len(steps), 1))
        points[np.arange(len(steps)), np.resize(axes, len(steps))] += steps
        return points

    def _part(self) -> slice:
        """The coordinates in turn: as many as fit into a batch."""
        size = max(1, BATCH // len(self.x))
        return slice(self.measured, min(self.measured + size, len(self.x)))

    def _moves(self) -> Floats:
        """Two moves along each coordinate within the box, (2, D); a forward difference uses the
        first.
        """
        x = self.x
        a = np.full(len(x), FIRST_DIFFERENCE)
        curvature = self.curvature
        if not len(curvature) and len(self.pairs):
            s, y = self.pairs[-1]
            curvature = np.full(len(s), float(y @ y) / float(s @ y))
        if len(curvature):
            rise = self.clear_share() * abs(self.cost)
            least = 1e-8
            if self.mode == "gradient":
                rise = self.coarseness**2 * (4 * self.rounding())
                least = SMALLEST_DIFFERENCE
            a = np.sqrt(rise / np.maximum(curvature, 1e-300))
            a = np.clip(a, least, self.largest_difference())
        return either_side(x, a)

    def _learn_around(self, costs: Floats) -> None:
        part = self._part()
        if not self.measured:
            self.found = np.zeros((2, len(self.x)))
        self.found[:, part] = self._derivatives(costs - self.cost, part)
        self.measured = part.stop
        if part.stop == len(self.x):
            self.measured = 0
            self._take_in(*self.found)

    def _derivatives(self, rises: Floats, part: slice) -> Floats:
        """First and second derivatives along some coordinates, (2, k)."""
        moves = self._moves()[:, part]
        if self.mode == "newton":
            return parabola(rises.reshape(2, -1), moves)
        a = moves[0]
        second = self.curvature[part] if len(self.curvature) else np.zeros(len(a))
        return np.stack([rises / a - 0.5 * a * second, second])

    def _take_in(self, gradient: Floats, curvature: Floats) -> None:
        if not 0 < float(np.linalg.norm(gradient)) < math.inf:
            self.done = True
            return
        if self.mode == "newton":
            self.newton = False
            size = np.abs(curvature)
            self.curvature = np.maximum(size, FLATTEST * size.max()) if size.any() else NONE
        if len(self.before):
            self._remember(self.x - self.before[0], gradient - self.before[1])
        self._head(gradient)

    # ---- directions ----

    def _remember(self, s: Floats, y: Floats) -> None:
        if float(s @ y) > 1e-10 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            pairs = self.pairs.reshape(-1, 2, len(s))
            self.pairs = np.concatenate([pairs[-PAIRS + 1 :], [[s, y]]])

    def _downhill(self, gradient: Floats, free: Bools) -> Floats:
        """Algorithm 7.4 with a diagonal in the middle, scaled to the latest pair."""
        q = np.where(free, gradient, 0.0)
        sy = [float(s @ y) for s, y in self.pairs]
        weights = []
        for (s, y), product in zip(self.pairs[::-1], sy[::-1], strict=True):
            weights.append(float(s @ q) / product)
            q = q - weights[-1] * y
        q = q * self._first_inverse(q)
        for (s, y), product, weight in zip(self.pairs, sy, weights[::-1], strict=True):
            q = q + (weight - float(y @ q) / product) * s
        return np.where(free, -q, 0.0)

    def _first_inverse(self, gradient: Floats) -> Floats:
        """The inverse Hessian's diagonal before any pair is known, (D,)."""
        inverse = 1 / self.curvature if len(self.curvature) else np.ones(len(self.x))
        if len(self.pairs):
            s, y = self.pairs[-1]
            return inverse * (float(s @ y) / float(y @ (inverse * y)))
        if len(self.curvature):
            return inverse
        return inverse * (FIRST_STEP / float(np.linalg.norm(gradient)))
