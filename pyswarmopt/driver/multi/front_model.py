"""Points for a Pareto front, proposed by models of the objectives."""

from __future__ import annotations

import math

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, median
from pyswarmopt.base.record import array
from pyswarmopt.default.box import NARROWEST, WIDEST
from pyswarmopt.default.constrained_models import signed_log
from pyswarmopt.default.gaussian import GaussianProcess, Merit, Proposals, below, on_log_scale
from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated

HOPE = 1.0  # optimism: an objective is taken this many standard deviations below its mean
MUTANT = 5  # one of this many points is a mutation of a front point
EDGE = 1.0  # share of the front's range, beyond its ends
LEAST = 1e-6  # weight of the distance in a point's gain, so that all points have an order


class FrontProposals(Proposals):
    """Proposes points that add most to the hypervolume, by a Gaussian process of each objective.

    Ponweiser, Wagner, Biermann & Vincze 2008 (PPSN X): a point is valued at optimistic objectives,
    some standard deviations below the mean. Its gain is multiplied by its probability of being
    feasible; before any feasible point, only that probability counts. The costs are the
    violations, infinite where objectives are missing.
    """

    growth = 1.3
    fills = False
    values: Floats = array()  # (k, K): objectives of the points; infinite if missing

    def propose(self, random: np.random.Generator) -> Floats:
        proposal = super().propose(random)
        numbers = len(self.points) + np.arange(len(proposal))
        mutants = np.flatnonzero((numbers % MUTANT == 0) & (numbers >= self.first))
        if mutants.size:  # on rugged objectives the models mislead
            ordered = np.isfinite(self._order(self.costs == 0, self.values))
            best = np.flatnonzero(ordered | ~ordered.any())  # all failed: any of them
            widths = WIDEST * (NARROWEST / WIDEST) ** random.random(len(mutants))
            parents = self.points[random.choice(best, len(mutants))]
            proposal[mutants] = self.kinds.neighbours(parents, widths, random)
        return proposal

    def _order(self, valued: Bools, values: Floats) -> Floats:
        """An order of points with these values, (n, K): well-spread points of the front first, then
        infinity; without a valued point by violation.
        """
        if not valued.any():
            return np.append(self.costs, np.zeros(len(valued) - len(self.costs)))
        rows = np.flatnonzero(valued)
        rows = rows[non_dominated(values[rows])]
        order = np.full(len(valued), math.inf)
        crowding = crowding_distance(values[rows])
        order[rows] = -np.minimum(crowding, 1e9)
        return order

    def _modelled(self) -> tuple[list[GaussianProcess], list[Floats]]:
        """A process for each objective, and one for the violations if there are any, with the
        scores of all points, (n,) each, expected ones where an objective is missing.
        """
        valued = self.costs == 0
        columns = [column for column in self.values[valued].T if len(column)]
        seen = [(self.points[valued], on_log_scale(column)) for column in columns]
        if not valued.all():
            # violations in the form for a process, below 0 for points with values
            broken = self.costs[~valued & np.isfinite(self.costs)]
            unit = median(broken) if broken.size else 1.0
            severities = signed_log(np.where(valued, -unit, self.costs))
            seen.append((self.points, severities))
        processes = self.fit(seen)
        outputs = []
        for process, (points, known) in zip(processes, seen, strict=True):
            scores = known
            if len(points) < len(valued):
                scores = process.predict(self.points)[0]
                scores[valued] = known
                process.fit(self.points, scores)
            outputs.append(scores)
        return processes, outputs

    def _judged(
        self, processes: list[GaussianProcess], points: Floats, outputs: list[Floats]
    ) -> tuple[Merit, Floats]:
        valued = self.costs == 0
        count = len(processes) - (not valued.all())
        valued = np.append(valued, np.full(len(points) - len(valued), count > 0))
        scores = np.array(outputs[:count]).reshape(count, len(points)).T
        front = scores[valued]
        if count:
            front = front[non_dominated(front)]

        def merit(x: Floats) -> Floats:
            predicted = [process.predict(x) for process in processes]
            allowed = np.ones(len(x))
            for mean, deviation in predicted[count:]:
                allowed = below(-mean / deviation)
            if not count:
                return allowed
            gain = _gain(
                front, np.array([m - HOPE * deviation for m, deviation in predicted[:count]]).T
            )
            return np.where(gain > 0, gain * allowed, gain)

        return merit, self._order(valued, scores)


def _gain(front: Floats, hoped: Floats) -> Floats:
    """The gain of points, (n, K), over a front, (a, K): the area; for other than two objectives the
    least distance by which a point is ahead of a front point in some objective (Svenson & Santner
    2016, Comput. Stat. Data Anal. 94); below 0 for dominated points.
    """
    low = front.min(axis=0)
    width = np.where(np.ptp(front, axis=0) > 0, np.ptp(front, axis=0), 1.0)
    front = (front - low) / width
    hoped = (hoped - low) / width
    ahead = (front - hoped[:, None]).max(axis=2).min(axis=1)
    if front.shape[1] != 2:
        return ahead
    return np.where(ahead > 0, _area(front, hoped) + LEAST * ahead, ahead)


def _area(front: Floats, hoped: Floats) -> Floats:
    """The area that points, (n, 2), add to a front in 0 to 1, (a, 2), up to a corner beyond it."""
    front = front[np.argsort(front[:, 0], kind="stable")]
    corner = 1 + EDGE
    left = np.append(-math.inf, front[:, 0])  # between left and right the front is at `height`
    right = np.append(front[:, 0], corner)
    height = np.append(corner, front[:, 1])
    widths = np.maximum(right - np.maximum(hoped[:, :1], left), 0.0)
    return (widths * np.maximum(height - hoped[:, 1:], 0.0)).sum(axis=1)
