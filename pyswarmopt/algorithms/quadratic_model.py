"""A quadratic model of the evaluated points: weighted least squares, and its minimum within a
radius.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pyswarmopt.base.arrays import Floats

SPARE = 1.1  # least points per unknown of a model with mixed terms
FULL_UP_TO = 32  # beyond this dimension only the model without mixed terms is fitted
RIDGE = 1e-10  # ridge, as a share of the mean diagonal of the normal equations
FLATTEST = 1e-12  # smallest spread of the points along an axis, as a share of the largest
LEAST_WEIGHT = 0.1  # weight of the worst point; the best has 1
FITTED = 1.5  # points per unknown in the fits of a search
WIDER = 1.4  # factor of the radius after a minimum that was better than all points before
NARROWER = 0.85  # and after one that was not
NARROWEST = 0.05  # in standard deviations of the points, per sqrt(D)
WIDEST = 4.0


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
        z = -gradient`` with H + mu I positive definite, and mu = 0 or ``|z| = radius > 0``; mu by
        bisection on H's eigenvalues.
        """
        curvature, turned = np.linalg.eigh(self.hessian)
        slope = turned.T @ self.gradient
        size = float(np.abs(curvature).max())
        lowest = float(curvature[0])
        if lowest > FLATTEST * size:
            z = -slope / curvature
            if np.linalg.norm(z) <= radius:
                return np.asarray(self.centre + self.axes @ (turned @ z))
        base = max(-lowest, 0.0) + FLATTEST * size
        # |z| <= radius at base + high
        low = 0.0
        high = float(np.linalg.norm(slope)) / radius + FLATTEST * size
        for _ in range(60):
            middle = (low + high) / 2
            inside = np.linalg.norm(slope / (curvature + base + middle)) <= radius
            low, high = (low, middle) if inside else (middle, high)
        z = -slope / (curvature + base + high) if high > 0 else 0 * slope
        return np.asarray(self.centre + self.axes @ (turned @ z))


def unknowns(dim: int, mixed: bool) -> int:
    """Coefficients of a quadratic in D coordinates, with or without mixed terms."""
    return (dim + 1) * (dim + 2) // 2 if mixed else 2 * dim + 1


def points_to_fit(dim: int) -> int:
    """Number of the best points to which a search in D coordinates fits its model."""
    return math.ceil(FITTED * unknowns(dim, mixed=dim <= FULL_UP_TO))


def next_radius(radius: float, better: bool) -> float:
    """The radius after a minimum; `better`: it was better than all points before."""
    return min(max(radius * (WIDER if better else NARROWER), NARROWEST), WIDEST)


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
    centre = points[0]
    deviation = points - points.mean(axis=0)
    variance, axes = np.linalg.eigh(deviation.T @ deviation / n)
    if not variance[-1] > 0:
        return None
    spread = np.sqrt(np.maximum(variance, FLATTEST**2 * variance[-1]))
    axes = axes * spread
    z = (points - centre) @ (axes / spread**2)
    squares = n >= SPARE * unknowns(dim, mixed=False)
    mixed = np.empty((2, 0), dtype=np.int64)
    if n >= SPARE * unknowns(dim, mixed=True) and dim <= FULL_UP_TO:
        mixed = np.array(np.triu_indices(dim, 1))
    terms = [
        np.ones((n, 1)),
        z,
        z * z / 2 if squares else z[:, :0],
        z[:, mixed[0]] * z[:, mixed[1]],
    ]
    weights = np.linspace(1.0, LEAST_WEIGHT, n)
    design = np.concatenate(terms, axis=1) * weights[:, None]
    normal = design.T @ design
    normal[np.diag_indices_from(normal)] += RIDGE * np.trace(normal) / len(normal)
    coefficients = np.linalg.solve(normal, design.T @ (weights * (values - values[0]) / reach))
    hessian = np.zeros((dim, dim))
    if squares:
        hessian[np.diag_indices(dim)] = coefficients[1 + dim : 1 + 2 * dim]
        hessian[mixed[0], mixed[1]] = hessian[mixed[1], mixed[0]] = coefficients[1 + 2 * dim :]
    return Quadratic(centre, axes, coefficients[1 : 1 + dim], hessian)
