"""A descent with constraints that moves whole numbers, too.

As in the MISQP of Exler & Schittkowski 2007 (Optim. Letters 1) the objective is never asked between
whole numbers: their slopes are differences of one, and the quadratic program's step is rounded, some
times by chance; for each rounding the program is solved again for the real numbers. So several whole
numbers change together along an active constraint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE, array
from pyswarmopt.hybrid.constrained.descent import ConstrainedDescent
from pyswarmopt.hybrid.runs.descent import EPS, LONGEST_STEP

ROUNDINGS = 8  # of a step
TESTED = 2  # most promising of them, which are evaluated
LENGTHS = 4  # of a step that finds nothing better
SHORTER = 0.35  # factor between them
TRIVIAL_GAIN = 1e-9  # of the merit, thrice in a row: the end of moves of whole numbers


@dataclass
class GridDescent(ConstrainedDescent):
    """Descends with whole numbers on their grid, and where they lead no further by the real numbers
    alone.
    """

    # distance of a coordinate's values in the unit box, 0 for real numbers; none once only these move
    units: Floats = array("S")
    moves: Floats = array("V")  # of the latest slopes

    def propose(self, random: np.random.Generator) -> Floats:
        if not len(self.units):
            return super().propose(random)
        if self.mode == "line":
            return np.array([self._moved(step) for step in self._rounded_steps(random)])
        self.moves = super()._differences()
        either = np.copysign(self.units, random.random(len(self.units)) - 0.5)
        inside = np.abs(self.x[self.smooth] + either - 0.5) <= 0.5
        inward = np.copysign(self.units, self.moves)
        self.moves = np.where(self.units > 0, np.where(inside, either, inward), self.moves)
        return super().propose(random)

    def _differences(self) -> Floats:
        return self.moves if len(self.units) else super()._differences()

    def learn(self, costs: Floats) -> None:
        if len(self.units) and self.mode == "line":
            self._learn_steps(costs)
        else:
            super().learn(costs)
        if self.done and len(self.units):
            self._keep_whole_numbers()

    def _keep_whole_numbers(self) -> None:
        """Go on by the real numbers, as from a start."""
        self.smooth, self.units = self.smooth[self.units == 0], NONE
        self.done = not (len(self.smooth) and len(self.values) and np.isfinite(self.values).all())
        self.multipliers = np.zeros(max(len(self.values) - 1, 0) + 2 * len(self.smooth))
        self.hessian, self.direction, self.scaled = NONE, NONE, False
        self.mode, self.failures, self.trivial = "gradient", 0, 0

    # ---- steps on the grid ----

    def _rounded_steps(self, random: np.random.Generator) -> list[Floats]:
        """The most promising roundings of the step, the nearest one and some by chance, each with
        the real numbers that suit it.
        """
        step, whole, here = self.t * self.direction, self.units > 0, self.x[self.smooth]
        units = np.where(whole, self.units, 1.0)
        draws = random.random((ROUNDINGS, len(step)))
        draws[0] = 0.5
        counts = np.clip(
            np.floor(step / units + draws), np.ceil(-here / units), np.floor((1 - here) / units)
        )
        reach = self.t * LONGEST_STEP
        low, high = np.maximum(-here, -reach), np.minimum(1 - here, reach)
        steps = []
        for rounded in np.unique(counts[:, whole], axis=0):
            low[whole] = high[whole] = rounded * units[whole]
            steps.append(self._step_between(low, high))
        return sorted(steps, key=self._expected)[:TESTED]

    def _step_between(self, low: Floats, high: Floats) -> Floats:
        try:
            return np.clip(self._program(low, high)[0], low, high)
        except np.linalg.LinAlgError:
            return np.clip(self.t * self.direction, low, high)

    def _expected(self, step: Floats) -> float:
        """The merit that a step, (S,), leads to by slopes and curvature."""
        linear = self.values + self.slopes @ step
        return float(linear[0] + self._penalty(linear) + 0.5 * step @ self.hessian @ step)

    def _learn_steps(self, values: Floats) -> None:
        before = self.values[0] + self._penalty(self.values)
        merits = [float(row[0]) + self._penalty(row) for row in values]
        i = int(np.nanargmin([*merits, np.inf]))
        self.tries += 1
        if i < len(merits) and merits[i] < before - 4 * EPS * abs(before):
            small = before - merits[i] <= TRIVIAL_GAIN * abs(before)
            self.trivial = self.trivial + 1 if small else 0
            self.direction, self.t = (self.batch[i] - self.x)[self.smooth], 1.0
            self.x, self.values, self.mode = self.batch[i].copy(), values[i], "gradient"
            self.done = self.trivial >= 3
        else:
            self.t *= SHORTER
            self.done = self.tries >= LENGTHS
