"""A swarm that adapts its covariance, as a run: CMA-ES (Hansen 2016, "The CMA Evolution Strategy: A
Tutorial", arXiv 1604.00772; equation numbers refer to it).

The particles of an iteration are drawn from N(mean, sigma^2 C). The better half pulls the mean,
sigma and C towards its steps, the worse half pushes C away from its steps. Particles outside the
box are mirrored into it.
"""

from __future__ import annotations

import math
from dataclasses import field

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import array
from pyswarmopt.default.phases import EPS, Run

LARGEST_CONDITION = 1e14
SMALLEST_SPREAD = 1e-13  # share of the box


def default_population(dim: int) -> int:
    """lambda = 4 + floor(3 ln D), table 1."""
    return 4 + int(3 * math.log(dim))


class Rates:
    """The strategy's parameters for D and lambda: table 1, equations 49 to 58.

    Attributes:
        weights: (lambda,), by rank; negative for the worse half.
        expected_norm: expected norm of a standard normal vector.
    """

    def __init__(self, dim: int, population: int) -> None:
        raw = math.log((population + 1) / 2) - np.log(np.arange(1, population + 1))
        better = raw[raw > 0]
        worse = raw[raw <= 0]
        self.mu = len(better)
        self.mu_eff = mu_eff = float(better.sum() ** 2 / (better**2).sum())
        mu_eff_minus = float(worse.sum() ** 2 / (worse**2).sum())
        self.c_1 = c_1 = 2 / ((dim + 1.3) ** 2 + mu_eff)
        rank_mu = 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((dim + 2) ** 2 + mu_eff)
        self.c_mu = c_mu = min(1 - c_1, rank_mu)
        self.c_sigma = (mu_eff + 2) / (dim + mu_eff + 5)
        self.d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (dim + 1)) - 1) + self.c_sigma
        self.c_c = (4 + mu_eff / dim) / (dim + 4 + 2 * mu_eff / dim)
        push = min(
            1 + c_1 / c_mu, 1 + 2 * mu_eff_minus / (mu_eff + 2), (1 - c_1 - c_mu) / (dim * c_mu)
        )
        negative = push * worse / -worse.sum()
        self.weights = np.concatenate([better / better.sum(), negative])
        self.expected_norm = math.sqrt(dim) * (1 - 1 / (4 * dim) + 1 / (21 * dim**2))


class CovarianceSwarm(Run):
    """One run from a mean and a step size until convergence or stagnation."""

    mean: Floats  # (D,): in the box [0, 1]^D
    sigma: float = 0.2
    population: int = 4  # lambda >= 4
    iteration: int = 0
    covariance: Floats = array()  # (D, D)
    axes: Floats = array()  # (D, D): eigenvectors of C, in columns
    lengths: Floats = array()  # (D,): square roots of its eigenvalues
    decomposed: int = 0  # iteration of the last eigendecomposition
    path_sigma: Floats = array()  # (D,)
    path_c: Floats = array()  # (D,)
    bests: list[float] = field(default_factory=list)  # of the iterations

    def __post_init__(self) -> None:
        dim = len(self.mean)
        self.covariance = self.axes = np.eye(dim)
        self.lengths = np.ones(dim)
        self.path_sigma = self.path_c = np.zeros(dim)

    @property
    def width(self) -> float:
        """The largest standard deviation, as a share of the box."""
        return self.sigma * float(self.lengths.max())

    def propose(self, random: np.random.Generator) -> Floats:
        normal = random.standard_normal((self.population, len(self.mean)))
        points = self.mean + self.sigma * self._coloured(normal)
        return 1 - np.abs(1 - np.remainder(points, 2))  # mirrored at 0 and 1

    def _coloured(self, normal: Floats) -> Floats:
        """C^(1/2) times normal vectors, (m, D)."""
        return (normal * self.lengths) @ self.axes.T

    def learn(self, costs: Floats) -> None:
        order = np.argsort(costs, kind="stable")
        rates = Rates(len(self.mean), self.population)
        steps = (self.batch[order] - self.mean) / self.sigma
        self.iteration += 1
        self._adapt(steps, rates)
        if self.iteration - self.decomposed > 0.1 / (len(self.mean) * (rates.c_1 + rates.c_mu)):
            variances = self._variances()
            least = float(variances.max()) / LARGEST_CONDITION
            self.done = not float(variances.min()) > least
            self.lengths = np.sqrt(np.maximum(variances, least))
            self.decomposed = self.iteration
        self._judge(costs[order])

    def _adapt(self, steps: Floats, r: Rates) -> None:
        """Update mean, paths, covariance and step size from the steps, (lambda, D), best first."""
        dim = len(self.mean)
        step = r.weights[: r.mu] @ steps[: r.mu]  # eq. 41
        self.mean = self.mean + self.sigma * step  # eq. 42; inside, like the points
        white = self._whitened(step)
        keep = 1 - r.c_sigma
        # eq. 43
        self.path_sigma = (
            keep * self.path_sigma + math.sqrt(r.c_sigma * (1 + keep) * r.mu_eff) * white
        )
        norm = float(np.linalg.norm(self.path_sigma))
        stalled = (
            norm / math.sqrt(1 - keep ** (2 * self.iteration))
            >= (1.4 + 2 / (dim + 1)) * r.expected_norm
        )
        self.path_c = (1 - r.c_c) * self.path_c  # eq. 45
        if not stalled:
            self.path_c = self.path_c + math.sqrt(r.c_c * (2 - r.c_c) * r.mu_eff) * step
        self._update_covariance(steps, r, stalled)
        # eq. 44
        self.sigma *= math.exp(min(1.0, r.c_sigma / r.d_sigma * (norm / r.expected_norm - 1)))

    def _whitened(self, step: Floats) -> Floats:
        """C^(-1/2) times a step, (D,)."""
        return self.axes @ ((step @ self.axes) / self.lengths)

    def _update_covariance(self, steps: Floats, r: Rates, stalled: bool) -> None:
        dim = len(self.mean)
        weights = r.weights.copy()
        lengths = (((steps[r.mu :] @ self.axes) / self.lengths) ** 2).sum(axis=1)
        weights[r.mu :] *= dim / np.maximum(lengths, 1e-300)  # eq. 46
        decay = 1 - r.c_1 - r.c_mu * float(r.weights.sum())
        if stalled:
            decay += r.c_1 * r.c_c * (2 - r.c_c)
        self.covariance = (  # eq. 47
            decay * self.covariance
            + r.c_1 * np.outer(self.path_c, self.path_c)
            + r.c_mu * (steps.T * weights) @ steps
        )

    def _variances(self) -> Floats:
        """C's eigenvalues, (D,); sets its axes."""
        self.covariance = (self.covariance + self.covariance.T) / 2
        variances, self.axes = np.linalg.eigh(self.covariance)
        return variances

    def _judge(self, costs: Floats) -> None:
        """Whether the run has ended, by the criteria of section B.3; costs ascending."""
        dim = len(self.mean)
        middle = float(costs[len(costs) // 2])
        self.bests.append(float(costs[0]))
        recent = self.bests[-(10 + math.ceil(30 * dim / self.population)) :]
        trivial = 8 * EPS * abs(self.bests[-1])
        flat = len(recent) < len(self.bests) and max(*recent, middle) - min(recent) <= trivial
        collapsed = self.width < SMALLEST_SPREAD
        longest = 100 + 50 * (dim + 3) ** 2 / math.sqrt(self.population)
        self.done = self.done or flat or collapsed or self.iteration > longest


class SeparableSwarm(CovarianceSwarm):
    """One run of sep-CMA-ES (Ros & Hansen 2008, PPSN X), whose covariance is diagonal, (D,).

    It learns (D + 2) / 3 times faster, with memory and time of order D per particle. The worse half
    does not count, as in that paper.
    """

    def __post_init__(self) -> None:
        dim = len(self.mean)
        self.covariance = self.lengths = np.ones(dim)
        self.path_sigma = self.path_c = np.zeros(dim)

    def _coloured(self, normal: Floats) -> Floats:
        return normal * self.lengths

    def _whitened(self, steps: Floats) -> Floats:
        return steps / self.lengths

    def _update_covariance(self, steps: Floats, r: Rates, stalled: bool) -> None:
        dim = len(self.mean)
        faster = (dim + 2) / 3
        c_1 = faster * r.c_1
        c_mu = min(1 - c_1, faster * r.c_mu)
        decay = 1 - c_1 - c_mu
        if stalled:
            decay += c_1 * r.c_c * (2 - r.c_c)
        spread = r.weights[: r.mu] @ steps[: r.mu] ** 2
        self.covariance = decay * self.covariance + c_1 * self.path_c**2 + c_mu * spread

    def _variances(self) -> Floats:
        return self.covariance
