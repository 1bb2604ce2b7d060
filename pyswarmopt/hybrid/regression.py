"""A descent by regression, as a run: for values with few digits, whose differences are not slopes.

A quadratic is fitted to the best points so far, and its minimum within a radius is the next point,
as in model-based derivative-free methods (Conn, Scheinberg & Vicente 2009, "Introduction to
Derivative-Free Optimization", chapters 4 and 10; lq-CMA-ES chooses its points likewise, Hansen
2019). A regression over distant points averages errors, which differences enlarge.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np

from pyswarmopt.algorithms.quadratic_model import Quadratic, fit, next_radius, points_to_fit
from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.record import array, given
from pyswarmopt.hybrid.run import Run

AROUND = 0.05  # standard deviation of the first points if none are known, as a share of the box
FIRST_RADIUS = 2.0  # in standard deviations of the points, per sqrt(D)
TOLD_APART = 4  # the end: all fitted points agree within this many errors of the values
WITHOUT_GAIN = 5  # the end: rounds per dimension, plus a constant


@dataclass(repr=False, eq=False)
class RegressionDescent(Run):
    """Descends in the box [0, 1]^D from x, or from known points."""

    x: Floats = given("D")  # starting point
    points: Floats = array("kD")  # evaluated
    costs: Floats = array("k")  # their costs
    _: KW_ONLY
    error: float = 0.0  # error of the values
    radius: float = FIRST_RADIUS
    idle: int = 0  # rounds since a new best point
    centre: Floats = array("D")  # minimum of the latest model
    axes: Floats = array("DD")

    # it needs no slopes
    doubtful = False
    suspect = False
    interrupted = False

    def __post_init__(self) -> None:
        self.points = self.points.reshape(-1, len(self.x))

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.done

    def propose(self, random: np.random.Generator) -> Floats:
        model = self._model()
        if model is None:
            return self._first_points(random)
        reach = self.radius * math.sqrt(len(self.x))
        lowest = np.clip(model.minimum(reach), 0.0, 1.0)[None]
        new = not (self.points == lowest).all(axis=1).any()
        if new and self.idle == 0:
            return lowest
        spread = model.axes @ random.standard_normal(len(self.x))
        beside = np.clip(model.centre + spread, 0.0, 1.0)[None]
        return np.concatenate([lowest, beside]) if new else beside

    def _fitted(self) -> Ints:
        """Numbers of the points for the fit, the best ones."""
        finite = np.flatnonzero(np.isfinite(self.costs))
        best_first = finite[np.argsort(self.costs[finite], kind="stable")]
        return best_first[: points_to_fit(len(self.x))]

    def _model(self) -> Quadratic | None:
        chosen = self._fitted()
        return fit(self.points[chosen], self.costs[chosen])

    def _first_points(self, random: np.random.Generator) -> Floats:
        dim = len(self.x)
        draws = self.x + AROUND * random.standard_normal((dim + 2, dim))
        return np.clip(draws, 0.0, 1.0)

    def learn(self, costs: Floats) -> None:
        before = float(self.costs.min()) if len(self.costs) else math.inf
        self.points = np.concatenate([self.points, self.batch])
        self.costs = np.concatenate([self.costs, costs])
        better = float(costs.min()) < before
        self.idle = 0 if better else self.idle + 1
        self.radius = next_radius(self.radius, bool(costs[0] < before))
        fitted = self.costs[self._fitted()]
        alike = len(fitted) > len(self.x) and np.ptp(fitted) <= TOLD_APART * self.error
        tired = self.idle > WITHOUT_GAIN * (len(self.x) + 1)
        self.done = bool(alike or tired)
