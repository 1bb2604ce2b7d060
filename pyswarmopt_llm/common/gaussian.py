"""Gaussian processes over the coefficients of a mixture, with an unknown mean and scale.

Scores are smooth functions of the coefficients, up to noise. How smooth, a single one does not
tell, but hundreds of them do: all have one kernel, and each has a mean and a variance of its own.
With flat priors on means and log scales the prediction is Student's t (Santner, Williams & Notz
2003, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import cholesky, solve_triangular
from scipy.spatial.distance import cdist
from torch import Tensor

import pyswarmopt as pso

Floats = npt.NDArray[np.float64]
_LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # tried, in units of the positions' own spread
_TINY = 1e-12  # of a variance: a column that never changed
PARTICLES = 40  # of the swarm that maximises what a model predicts
MOVES = 100  # of that swarm


@dataclass(frozen=True)
class Kernel:
    """Matérn's covariance with smoothness 5/2 (Rasmussen & Williams 2006, eq. 4.17), and
    independent noise.

    Attributes:
        length: distance over which values change.
        noise: variance of what is not smooth (a model's answers in bfloat16), in units of a
            column's variance.
    """

    length: float
    noise: float

    def __call__(self, points: Floats, other: Floats) -> Floats:
        """Correlations (N, M) of the smooth part between positions (N, D) and (M, D).

        Example:
            >>> Kernel(1.0, 0.0)(np.zeros((1, 2)), np.array([[0.0, 0.0], [1.0, 0.0]])).round(4).tolist()
            [[1.0, 0.524]]
        """
        r = np.sqrt(5) * cdist(points, other) / self.length
        values: Floats = (1 + r + r**2 / 3) * np.exp(-r)
        return values


class Posterior:
    """A process given columns that were seen at the same positions.

    With the covariance K = L Lᵀ of these n positions and the columns y: `root` is L, `ones` L⁻¹1,
    `level` the mean by generalised least squares, `residual` L⁻¹(y - level), `variance`
    residualᵀresidual / (n - 1).

    Args:
        kernel: the same for all columns.
        positions: (N, D), at least two.
        columns: (N, K).
    """

    def __init__(self, kernel: Kernel, positions: Floats, columns: Floats) -> None:
        self.kernel = kernel
        self._positions = positions
        n = len(positions)
        self._root = cholesky(kernel(positions, positions) + kernel.noise * np.eye(n), lower=True)
        self._ones = solve_triangular(self._root, np.ones(n), lower=True)
        y = solve_triangular(self._root, columns, lower=True)
        self._level = self._ones @ y / (self._ones @ self._ones)
        self._residual = y - np.outer(self._ones, self._level)
        self._variance = np.maximum((self._residual**2).sum(0) / (n - 1), _TINY)

    @property
    def evidence(self) -> float:
        """Log marginal likelihood but for a constant, with flat priors on the means and on the log
        variances.
        """
        free = len(self._positions) - 1
        width = self._variance.size
        volume = np.log(np.diag(self._root)).sum() + 0.5 * np.log(self._ones @ self._ones)
        return float(-0.5 * free * np.log(self._variance).sum() - width * volume)

    def predict(self, points: Floats, noise: float = 0.0) -> tuple[Floats, Floats]:
        """(means (M, K), standard errors (M, K)) of Student's t with n - 1 degrees of freedom.

        Args:
            points: (M, D).
            noise: variance that the new values have beside the smooth part, in units of a column's
                own.
        """
        k = solve_triangular(self._root, self.kernel(self._positions, points), lower=True)
        mean = self._level + k.T @ self._residual
        off = 1 - self._ones @ k
        share = 1 + noise - (k**2).sum(0) + off**2 / (self._ones @ self._ones)
        return mean, np.sqrt(np.maximum(share, _TINY)[:, None] * self._variance)


def likeliest(kernels: Iterable[Kernel], positions: Floats, columns: Floats) -> Posterior:
    """The posterior with the kernel under which the columns, (N, K), are likeliest."""
    posteriors = (Posterior(kernel, positions, columns) for kernel in kernels)
    return max(posteriors, key=lambda posterior: posterior.evidence)


def kernels_for(
    positions: Floats, noises: Sequence[float], lengths: int = len(_LENGTHS)
) -> list[Kernel]:
    """Kernels to try: with each noise, the shortest lengths by the spread of the positions, (N, D)."""
    unit = float(np.sqrt((cdist(positions, positions) ** 2).mean())) or 1.0
    return [Kernel(unit * length, noise) for length in _LENGTHS[:lengths] for noise in noises]


def box_around(positions: Floats, beyond: float) -> list[tuple[float, float]]:
    """D bounds (lower, upper): the range of these positions, (N, D), and a share of it on both
    sides.

    Example:
        >>> box_around(np.array([[0.0, 1.0], [1.0, 1.0]]), 0.5)
        [(-0.5, 1.5), (0.5, 1.5)]
    """
    lower = positions.min(axis=0)
    upper = positions.max(axis=0)
    wide = upper - lower
    margin = beyond * np.where(wide > 0, wide, wide.max() or 1.0)
    return list(zip((lower - margin).tolist(), (upper + margin).tolist(), strict=True))


def highest(
    gain: Callable[[Floats], Floats],
    starts: Floats,
    bounds: Sequence[tuple[float, float]],
    seed: int,
) -> Tensor:
    """The position, (D,) float64, where a swarm finds the greatest gain.

    A swarm on scores has to feel its way. This one can look at a model thousands of times, so it
    adapts its covariance. Measured on synthetic margins of 200 items (3 to 20 coefficients), it
    finds values as high as `constriction` with patience does, and higher ones from 10 coefficients
    on, in .15 in place of .07 seconds.

    Args:
        gain: (N,) of positions (N, D).
        starts: (N, D), the best first; the swarm begins at `PARTICLES` of them.
        bounds: D pairs (lower, upper).
        seed: seed of the swarm.
    """
    swarm = pso.Swarm(
        positions=torch.from_numpy(starts[:PARTICLES]),
        population=PARTICLES,
        bounds=list(bounds),
        recipe="covariant",
        maximize=True,
        seed=seed,
    )
    for _ in range(MOVES):
        points = swarm.ask()
        swarm.tell(points, gain(points.numpy()))
    return swarm.best.x
