"""A Gaussian process of few points: which costs to expect where, and how sure that is.

Rasmussen & Williams 2006, "Gaussian Processes for Machine Learning". The kernel is Matern's with nu
= 5/2 and a length for each parameter; two labels of a category are all equally far apart.
"""

from __future__ import annotations

import math

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.hybrid.model.kinds import Kinds

TYPICAL_LENGTH = 0.3  # of the range, times the root of the number of parameters
TYPICAL_NOISE = 1e-3  # variance, as a share of that of the costs
# standard deviations of the logarithms of lengths and noise, before anything is known
SPREADS = (1.0, 2.0)
LENGTHS, NOISES = (-4.0, 3.0), (math.log(1e-6), 0.0)  # least and greatest logarithms
STEPS = 40  # of the search for lengths and noise
JITTER = 1e-9


def on_log_scale(costs: Floats) -> Floats:
    """The costs, (n,), as the process sees them: the logarithm of how far they are from the least.

    The median of these distances is added before, so that the least are told apart and outliers do
    not matter. Infinite costs count as somewhat more than the greatest finite one. The mean is 0,
    the variance 1.

    Example:
        >>> on_log_scale(np.array([5.0, 1e9, -2.0, math.inf])).round(2).tolist()
        [-0.96, 1.0, -1.04, 1.0]
    """
    finite = np.isfinite(costs)
    away = costs - costs[finite].min() if finite.any() else np.zeros(len(costs))
    unit = (
        (float(np.median(away[finite])) or float(away[finite].max()) or 1.0)
        if finite.any()
        else 1.0
    )
    away[~finite] = (float(away[finite].max()) if finite.any() else 0.0) + unit
    scores = np.log1p(away / unit)
    return (scores - scores.mean()) / (float(scores.std()) or 1.0)


class GaussianProcess:
    """The process on snapped points of the unit box.

    Args:
        kinds: what the M coordinates are.
        theta: logarithms of the lengths, one for each parameter, and of the noise's variance; None:
            typical ones.
    """

    def __init__(self, kinds: Kinds, theta: Floats | None = None) -> None:
        self._kinds = kinds
        count = kinds.count
        self._prior = np.append(
            np.full(count, math.log(TYPICAL_LENGTH * math.sqrt(count))), math.log(TYPICAL_NOISE)
        )
        self._spread = np.append(np.full(count, SPREADS[0]), SPREADS[1])
        self._low = np.append(np.full(count, LENGTHS[0]), NOISES[0])
        self._high = np.append(np.full(count, LENGTHS[1]), NOISES[1])
        self.theta = self._prior if theta is None else theta

    def learn_lengths(self, points: Floats, scores: Floats) -> None:
        """Lengths and noise of greatest posterior density, by resilient propagation (Riedmiller &
        Braun 1993).
        """
        squares = self._squares(points)
        theta = self.theta.copy()
        step, before = np.full(len(theta), 0.1), np.zeros(len(theta))
        least, best = math.inf, theta
        for _ in range(STEPS):
            loss, slope = self._loss(theta, squares, scores)
            if loss < least:
                least, best = loss, theta.copy()
            turned = np.sign(slope) * before
            step = np.clip(
                np.where(turned > 0, 1.2 * step, np.where(turned < 0, 0.5 * step, step)), 1e-3, 1.0
            )
            before = np.where(turned < 0, 0.0, np.sign(slope))
            theta = np.clip(theta - before * step, self._low, self._high)
        self.theta = best

    def fit(self, points: Floats, scores: Floats) -> None:
        """Take in points, (n, M), and what they have, (n,)."""
        self._mean = float(scores.mean())
        self._scaled = self._scale(points)
        covariance = self._kernel(self._scaled, self._scaled)
        covariance[np.diag_indices(len(points))] += math.exp(self.theta[-1]) + JITTER
        self._inverse = np.linalg.inv(covariance)
        self._weights = self._inverse @ (scores - self._mean)
        self._variance = max(float((scores - self._mean) @ self._weights) / len(points), 1e-12)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at points, (n, M): two arrays (n,)."""
        k = self._kernel(self._scale(points), self._scaled)
        explained = ((k @ self._inverse) * k).sum(axis=1)
        return self._mean + k @ self._weights, np.sqrt(
            self._variance * np.maximum(1 - explained, 1e-12)
        )

    def _scale(self, points: Floats) -> Floats:
        """Points in units of the lengths; two labels are one length apart."""
        unit = np.where(self._kinds.ordered, 1.0, math.sqrt(0.5))
        return points * (unit * np.exp(-self.theta[self._kinds.parameter]))

    def _kernel(self, a: Floats, b: Floats) -> Floats:
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        r = math.sqrt(5) * np.sqrt(np.maximum(squares, 0.0))
        return (1 + r + r**2 / 3) * np.exp(-r)

    def _squares(self, points: Floats) -> Floats:
        """Squared distances in each parameter, (parameters, n, n), each without a length."""
        squares = np.zeros((self._kinds.count, len(points), len(points)))
        for j, parameter in enumerate(self._kinds.parameter):
            share = 1.0 if self._kinds.ordered[j] else 0.5
            squares[parameter] += share * (points[:, j, None] - points[:, j]) ** 2
        return squares

    def _loss(self, theta: Floats, squares: Floats, scores: Floats) -> tuple[float, Floats]:
        """Minus the log posterior of theta, the variance at its best, and its gradient; equations
        5.8 and 5.9.
        """
        n, y = len(scores), scores - scores.mean()
        shares, noise = np.exp(-2 * theta[:-1]), math.exp(theta[-1])
        r = math.sqrt(5) * np.sqrt(np.tensordot(shares, squares, 1))
        decay = np.exp(-r)
        covariance = (1 + r + r**2 / 3) * decay
        covariance[np.diag_indices(n)] += noise + JITTER
        inverse = np.linalg.inv(covariance)
        weights = inverse @ y
        variance = max(float(y @ weights) / n, 1e-12)
        away = (theta - self._prior) / self._spread
        loss = 0.5 * (
            n * math.log(variance) + np.linalg.slogdet(covariance)[1] + float(away @ away)
        )
        outer = 0.5 * (inverse - np.outer(weights, weights) / variance)
        slope = away / self._spread
        slope[:-1] += 5 / 3 * shares * np.tensordot(squares, outer * (1 + r) * decay, 2)
        slope[-1] += noise * float(np.trace(outer))
        return loss, slope
