"""A descent for many coordinates, as a run: L-BFGS by differences, in memory of order D.

The two loops are those of Liu & Nocedal 1989, Math. Programming 45 (Nocedal & Wright 2006,
algorithm 7.4). A gradient costs D evaluations here and an update next to nothing, so more pairs are
kept than where gradients are free, and after a few iterations the diagonal of the Hessian is
measured by central differences, 2 D points, to start the loops from (Gilbert & Lemarechal 1989,
Math. Programming 45, scale a diagonal so). Batches are of at most `BATCH` numbers.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE, array
from pyswarmopt.hybrid.runs.descent import (
    EPS,
    FIRST_DIFFERENCE,
    FIRST_STEP,
    LARGEST_DIFFERENCE,
    SMALLEST_DIFFERENCE,
    LineSearchDescent,
    either_side,
    parabola,
)  # fmt: skip
from pyswarmopt.hybrid.runs.run import BATCH

PAIRS = 50  # of moves and changes of the gradient that are kept
FLATTEST = 1e-10  # the smallest curvature that is believed, as a share of the largest


@dataclass
class LimitedMemory(LineSearchDescent):
    """One descent."""

    diagonal: bool = True  # measure the diagonal of the Hessian once
    _: KW_ONLY
    curvature: Floats = array("D")  # along the coordinates
    pairs: Floats = array("kpD")  # moves and changes of the gradient
    measured: int = 0  # coordinates done
    found: Floats = array("pD")  # derivatives at x so far

    # ---- differences ----

    def _points_around(self) -> Floats:
        part, moves = self._part(), self._moves()
        rows = np.arange(part.stop - part.start)
        points = np.tile(self.x, (len(rows), 1))
        points[rows, rows + part.start] += moves[0, part]
        if self.mode == "newton":
            points = np.concatenate([points, np.tile(self.x, (len(rows), 1))])
            points[rows + len(rows), rows + part.start] += moves[1, part]
        return np.concatenate([self.x[None], points]) if math.isinf(self.cost) else points

    def _part(self) -> slice:
        size = max(1, BATCH // len(self.x))
        return slice(self.measured, min(self.measured + size, len(self.x)))

    def _moves(self) -> Floats:
        """Two moves along each coordinate that stay in the box, (2, D); a forward difference takes
        the first.
        """
        x = self.x
        a = np.full(len(x), FIRST_DIFFERENCE)
        curvature = self._curvature()
        if len(curvature):
            noise = 4 * EPS * max(abs(self.cost), 1e-300)
            rise = (
                self.coarseness**2 * noise
                if self.mode == "gradient"
                else math.sqrt(EPS) * abs(self.cost)
            )
            a = np.sqrt(rise / np.maximum(curvature, 1e-300))
            a = np.clip(
                a, SMALLEST_DIFFERENCE if self.mode == "gradient" else 1e-8, LARGEST_DIFFERENCE
            )
        return either_side(x, a)

    def _curvature(self) -> Floats:
        """What is known of the curvature along each coordinate, (D,), or nothing."""
        if len(self.curvature):
            return self.curvature
        if not len(self.pairs):
            return NONE
        s, y = self.pairs[-1]
        return np.full(len(s), float(y @ y) / float(s @ y))

    def _learn_around(self, costs: Floats) -> None:
        if math.isinf(self.cost):
            self.cost, costs = float(costs[0]), costs[1:]
        if not (np.isfinite(costs).all() and math.isfinite(self.cost)):
            self.done = True
            return
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
            self.diagonal = False
            size = np.abs(curvature)
            self.curvature = np.maximum(size, FLATTEST * size.max()) if size.any() else NONE
        if len(self.before):
            self._remember(self.x - self.before[0], gradient - self.before[1])
        self._head(gradient)

    # ---- directions ----

    def _remember(self, s: Floats, y: Floats) -> None:
        if float(s @ y) > 1e-10 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            pair = np.stack([s, y])[None]
            self.pairs = (
                np.concatenate([self.pairs[-PAIRS + 1 :], pair]) if len(self.pairs) else pair
            )

    def _downhill(self, gradient: Floats, free: npt.NDArray[np.bool_]) -> Floats:
        """Algorithm 7.4 with a diagonal in the middle, scaled to the last pair."""
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
        """The inverse Hessian before any pair is known, its diagonal, (D,)."""
        inverse = 1 / self.curvature if len(self.curvature) else np.ones(len(self.x))
        if len(self.pairs):
            s, y = self.pairs[-1]
            return inverse * (float(s @ y) / float(y @ (inverse * y)))
        return (
            inverse
            if len(self.curvature)
            else inverse * (FIRST_STEP / float(np.linalg.norm(gradient)))
        )

    def _fail(self) -> None:
        if not self.diagonal:
            self.coarseness *= 10
        super()._fail()

    def _look_around(self, newton: bool) -> None:
        self.mode = "newton" if newton and self.diagonal else "gradient"
        if self.failures:
            self.before = NONE
