"""A descent by regression, as a run: for values with few digits, whose differences are not slopes.

A quadratic is fitted to the best points so far, and its minimum within a radius is the next point,
as in model-based derivative-free methods (Conn, Scheinberg & Vicente 2009, "Introduction to
Derivative-Free Optimization", chapters 4 and 10; lq-CMA-ES chooses its points likewise, Hansen
2019). A regression over distant points averages errors, which differences enlarge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.record import array
from pyswarmopt.default.phases import Run

AROUND = 0.05  # standard deviation of the first points if none are known, as a share of the box
FIRST_RADIUS = 2.0  # in standard deviations of the points, per sqrt(D)
TOLD_APART = 4  # the end: all fitted points agree within this many errors of the values
WITHOUT_GAIN = 5  # the end: rounds per dimension, plus a constant
SPARE = 1.1  # least points per unknown of a model with mixed terms
RIDGE = 1e-10  # ridge, as a share of the mean diagonal of the normal equations
FLATTEST = 1e-12  # smallest spread of the points along an axis, as a share of the largest
LEAST_WEIGHT = 0.1  # weight of the worst point; the best has 1
FITTED = 1.5  # points per unknown in the fits of a search
WIDER = 1.4  # factor of the radius after a minimum that was better than all points before
NARROWER = 0.85  # and after one that was not
NARROWEST = 0.05  # in standard deviations of the points, per sqrt(D)
WIDEST = 4.0


class RegressionDescent(Run):
    """Descends in the box [0, 1]^D from x, or from known points."""

    x: Floats  # (D,): starting point
    points: Floats = array()  # (k, D): evaluated
    costs: Floats = array()  # (k,): their costs
    error: float = 0.0  # error of the values
    radius: float = FIRST_RADIUS
    idle: int = 0  # rounds since a new best point

    # it needs no slopes
    doubtful = False
    misled = False
    interrupted = False

    def __post_init__(self) -> None:
        self.points = self.points.reshape(-1, len(self.x))

    def propose(self, random: np.random.Generator) -> Floats:
        chosen = self._fitted()
        model = fit(self.points[chosen], self.costs[chosen])
        if model is None:
            dim = len(self.x)
            draws = self.x + AROUND * random.standard_normal((dim + 2, dim))
            return np.clip(draws, 0.0, 1.0)
        reach = self.radius * math.sqrt(len(self.x))
        lowest = np.clip(model.minimum(reach), 0.0, 1.0)[None]
        new = not (self.points == lowest).all(axis=1).any()
        if new and self.idle == 0:
            return lowest
        spread = model.axes @ random.standard_normal(len(self.x))
        beside = np.clip(model.centre + spread, 0.0, 1.0)[None]
        if new:
            return np.concatenate([lowest, beside])
        return beside

    def _fitted(self) -> Ints:
        """Numbers of the points for the fit, the best ones."""
        finite = np.flatnonzero(np.isfinite(self.costs))
        best_first = finite[np.argsort(self.costs[finite], kind="stable")]
        return best_first[: math.ceil(FITTED * unknowns(len(self.x)))]

    def learn(self, costs: Floats) -> None:
        before = float(self.costs.min(initial=math.inf))
        self.points = np.concatenate([self.points, self.batch])
        self.costs = np.concatenate([self.costs, costs])
        self.idle += 1
        if costs.min() < before:
            self.idle = 0
        factor = NARROWER
        if costs[0] < before:
            factor = WIDER
        self.radius = min(max(factor * self.radius, NARROWEST), WIDEST)
        fitted = self.costs[self._fitted()]
        alike = len(fitted) > len(self.x) and np.ptp(fitted) <= TOLD_APART * self.error
        tired = self.idle > WITHOUT_GAIN * (len(self.x) + 1)
        self.done = bool(alike or tired)


# ---- the quadratic ----


@dataclass(frozen=True)
class Quadratic:
    """``f(centre + axes @ z) ~ const + gradient . z + z . hessian z / 2``.

    z is measured in standard deviations of the points along their principal axes, so 1 is about the
    reach of the points in every direction.
    """

    centre: Floats  # the best point, (D,)
    axes: Floats  # in columns, scaled to the standard deviations along them, (D, D)
    gradient: Floats  # (D,)
    hessian: Floats  # symmetric, (D, D)

    def minimum(self, radius: float) -> Floats:
        """Minimum of the model within ``|z| <= radius``, (D,) in the coordinates of the points.

        The condition is that of More & Sorensen 1983, SIAM J. Sci. Stat. Comput. 4(3): ``(H + mu I)
        z = -gradient`` with H + mu I positive definite, and mu next to 0 or ``|z| = radius > 0``;
        mu by bisection on H's eigenvalues.
        """
        curvature, turned = np.linalg.eigh(self.hessian)
        slope = turned.T @ self.gradient
        size = float(np.abs(curvature).max())
        base = max(-float(curvature[0]), 0.0) + FLATTEST * size
        # |z| <= radius at base + high
        low = 0.0
        high = float(np.linalg.norm(slope)) / radius + FLATTEST * size
        for _ in range(60):
            middle = (low + high) / 2
            if np.linalg.norm(slope / (curvature + base + middle)) <= radius:
                high = middle
            else:
                low = middle
        z = np.zeros_like(slope)
        if high > 0:
            z = -slope / (curvature + base + high)
        return self.centre + self.axes @ (turned @ z)


def unknowns(dim: int) -> int:
    """Coefficients of a quadratic in D coordinates."""
    return (dim + 1) * (dim + 2) // 2


def fit(points: Floats, values: Floats) -> Quadratic | None:
    """A weighted least-squares fit with as many terms as the number of points supports.

    Mixed terms need 1.1 x (D + 1)(D + 2) / 2 points (and at most 32 coordinates), squares 2.2 D;
    below that the model is a plane. Weights fall from 1 at the best point to 0.1 at the worst, as
    in lq-CMA-ES (Hansen 2019, GECCO, "A global surrogate assisted CMA-ES"). Points, (n, D), are
    distinct; values, (n,), finite, lower is better. None for fewer than D + 2 points, for equal
    points or values, or if the values' range overflows.

    Example:
        >>> x = np.random.default_rng(0).uniform(-1, 1, (30, 2))
        >>> model = fit(x, (x[:, 0] - 0.25) ** 2 + 3 * (x[:, 0] + x[:, 1]) ** 2)
        >>> model.minimum(radius=10).round(3).tolist()
        [0.25, -0.25]
    """
    n, dim = points.shape
    if n < dim + 2:
        return None
    order = np.argsort(values, kind="stable")
    points = points[order]
    values = values[order]
    with np.errstate(over="ignore"):
        reach = values[-1] - values[0]
    if not 0 < reach < np.inf:
        return None
    deviation = points - points.mean(axis=0)
    variance, axes = np.linalg.eigh(deviation.T @ deviation / n)
    if not variance[-1] > 0:
        return None
    spread = np.sqrt(np.maximum(variance, FLATTEST**2 * variance[-1]))
    axes = axes * spread
    z = (points - points[0]) @ (axes / spread**2)
    gradient, hessian = _derivatives(z, values - values[0])
    return Quadratic(points[0], axes, gradient, hessian)


def _derivatives(z: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Gradient, (D,), and Hessian, (D, D), of a fit to values, (n,), at z, (n, D); the values are
    sorted, from 0 on, and the largest is the unit.
    """
    n, dim = z.shape
    rows, columns = _products(n, dim)
    weights = np.linspace(1.0, LEAST_WEIGHT, n)
    products = z[:, rows] * z[:, columns]
    terms = [np.ones((n, 1)), z, products * np.where(rows == columns, 0.5, 1.0)]
    design = np.concatenate(terms, axis=1) * weights[:, None]
    normal = design.T @ design
    normal[np.diag_indices_from(normal)] += RIDGE * np.trace(normal) / len(normal)
    coefficients = np.linalg.solve(normal, design.T @ (weights * values / values[-1]))
    hessian = np.zeros((dim, dim))
    hessian[rows, columns] = hessian[columns, rows] = coefficients[1 + dim :]
    return coefficients[1 : 1 + dim], hessian


def _products(n: int, dim: int) -> Ints:
    """The pairs of coordinates, (2, p), of the second-order terms that n points support."""
    squares = np.tile(np.arange(dim), (2, 1))
    if n < SPARE * (2 * dim + 1):
        return squares[:, :0]
    if n < SPARE * unknowns(dim):
        return squares
    return np.concatenate([squares, np.triu_indices(dim, 1)], axis=1)
