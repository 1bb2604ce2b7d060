"""A swarm that adapts a variance for each coordinate, as a phase: sep-CMA-ES (Ros & Hansen 2008, PPSN X).

CMA-ES (`cma_es`) with a diagonal covariance, which is learnt (D + 2) / 3 times faster, in memory and time of order D
for a particle. The worse half does not count, as in that paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyswarmopt.hybrid.cma_es import LARGEST_CONDITION, CovarianceSwarm, Rates
from pyswarmopt.hybrid.phase import Floats


@dataclass
class SeparableSwarm(CovarianceSwarm):
    """One run; `covariance`, `axes` and `lengths` are diagonals, (D,)."""

    def __post_init__(self) -> None:
        dim = len(self.mean)
        self.covariance, self.lengths = np.ones(dim), np.ones(dim)
        self.path_sigma, self.path_c = np.zeros(dim), np.zeros(dim)

    def propose(self, random: np.random.Generator) -> Floats:
        points = self.mean + self.sigma * random.standard_normal((self.population, len(self.mean))) * self.lengths
        return 1 - np.abs(1 - points % 2)  # mirrored at 0 and 1

    def _whitened(self, steps: Floats) -> Floats:
        return steps / self.lengths

    def _update_covariance(self, steps: Floats, r: Rates, stalled: bool) -> None:
        dim = len(self.mean)
        faster = (dim + 2) / 3
        c_1 = min(1.0, faster * r.c_1)
        c_mu = min(1 - c_1, faster * r.c_mu)
        decay = 1 - c_1 - c_mu + (c_1 * r.c_c * (2 - r.c_c) if stalled else 0.0)
        spread = r.weights[: r.mu] @ steps[: r.mu] ** 2
        self.covariance = decay * self.covariance + c_1 * self.path_c**2 + c_mu * spread

    def _decompose(self) -> None:
        least = float(self.covariance.max()) / LARGEST_CONDITION
        self.done = self.done or not float(self.covariance.min()) > least
        self.lengths = np.sqrt(np.maximum(self.covariance, least))
        self.decomposed = self.iteration


__all__ = ["SeparableSwarm"]
