"""Points proposed by models of cost and constraints, with some whole or label coordinates."""

from __future__ import annotations

import numpy as np

from pyswarmopt.base.arrays import Floats, median, padded
from pyswarmopt.base.record import array
from pyswarmopt.default.gaussian import GaussianProcess, Merit, Proposals, below, improvement

SEPARATE = 8  # the most constraints with a process each; of more the one that is broken most has it
LEAST = 1e-300  # least probability


def signed_log(values: Floats) -> Floats:
    """Values, (n,), in the form for a process, keeping the sign: the logarithm of their size, in
    units of their median. Infinite ones count as somewhat more than the greatest.

    Example:
        >>> signed_log(np.array([-1.0, 0.0, 1.0, 1e6, np.inf])).round(2).tolist()
        [-0.69, 0.0, 0.69, 13.82, 14.82]
    """
    finite = np.isfinite(values)
    size = np.abs(values[finite])
    unit = 1.0
    if size.any():
        unit = median(size[size > 0])
    scores = np.zeros(len(values))
    scores[finite] = np.sign(values[finite]) * np.log1p(size / unit)
    scores[~finite] = scores.max(initial=0.0) + 1.0
    return scores


class ConstrainedProposals(Proposals):
    """Proposes the points of greatest expected improvement that are probably feasible.

    Schonlau, Welch & Jones 1998, "Global versus local search in constrained optimization of
    computer models": expected improvement on the best feasible cost, times the probability that
    each constraint holds; before any feasible point, only that probability. It learns a row per
    point: the cost, then the constraints, at most 0 where allowed.
    """

    rows: Floats = array()  # (k, r): of the points

    def take_in_rows(self, points: Floats, rows: Floats) -> None:
        """Learn cost and constraints of points, (n, M): (n, 1 + J)."""
        self.rows = padded([*self.rows, *rows])
        self.take_in(points, rows[:, 0])

    def _feasible(self) -> Floats:
        """Finite costs of feasible points."""
        allowed = (self.rows[:, 1:] <= 0).all(axis=1)
        costs = self.rows[allowed, 0]
        return costs[np.isfinite(costs)]

    def _modelled(self) -> tuple[list[GaussianProcess], list[Floats]]:
        """The processes and their inputs: cost, then constraints, (n,) each, with 0 for the best
        feasible cost and for a constraint's limit.
        """
        costs = self.rows[:, 0]
        feasible = self._feasible()
        finite = costs[np.isfinite(costs)]
        middle = 0.0
        if feasible.size:
            middle = float(feasible.min())
        elif finite.size:
            middle = median(finite)
        constraints = list(map(signed_log, self.rows[:, 1:].T))
        if len(constraints) > SEPARATE:
            constraints = [np.max(constraints, axis=0)]
        with np.errstate(over="ignore"):  # of costs at the end of float64
            excess = np.maximum(costs - middle, -np.finfo(np.float64).max)
        outputs = [signed_log(excess), *constraints]
        return self.fit([(self.points, output) for output in outputs]), outputs

    def _judged(
        self, processes: list[GaussianProcess], points: Floats, outputs: list[Floats]
    ) -> tuple[Merit, Floats]:
        """The order is by feasibility, then cost."""
        anything = self._feasible().size > 0

        def merit(x: Floats) -> Floats:
            total = np.zeros(len(x))
            if anything:
                gained = improvement(*processes[0].predict(x), 0.0)
                total += np.log(np.maximum(gained, 0.0) + LEAST)
            for process in processes[1:]:
                mean, deviation = process.predict(x)
                total += np.log(below(-mean / deviation) + LEAST)
            return total

        broken = np.maximum(outputs[1:], 0.0).sum(axis=0)
        worst = float(outputs[0].max()) + 1.0
        return merit, np.where(broken > 0, worst + broken, outputs[0])
