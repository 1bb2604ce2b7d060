"""A model of scores of any kind, and the candidates that it proposes: a Gaussian process over the coefficients.

Rewards, judges, programs and written answers have no margins (`gaussian_process`), only a score for each item. Their
mean is what a search maximises, and a few dozen values of it do not tell how fast it changes. The hundreds of items do,
since all change with the same coefficients: they choose the length of the kernel, the mean itself its noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import t as student
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.optimizers import maximise
from pyswarmopt_llm.evaluation.surrogate.gaussian_process import Floats, Kernel, Posterior, lengths_for

NOISES = (1e-4, 1e-2, 0.1, 0.3)  # tried for the kernel; outcomes of written answers jump
LEAST = 3  # candidates that a model needs: one degree of freedom more than its mean takes
BEYOND = 0.5  # of the range of what was scored before: so far beyond it candidates are proposed
_PARTICLES, _ITERATIONS, _PATIENCE = 40, 60, 10  # of the swarm that maximises the expected improvement


@dataclass(frozen=True)
class Scored:
    """A candidate whose items were all scored.

    Attributes:
        position: (D,).
        items: (I,) scores of the items of all tasks.
        value: what the search maximises.
    """

    position: Floats
    items: Floats
    value: float


class ScoreModel:
    """Predicts the value of candidates from those that were scored.

    Args:
        candidates: at least `LEAST`.

    Attributes:
        kernel: its length has the greatest marginal likelihood of the items, its noise that of the values.
        best: the highest value.

    Raises:
        ValueError: too few candidates.

    Example:
        >>> x = np.linspace(0, 1, 9)
        >>> model = ScoreModel([Scored(np.array([p]), np.array([p, 1 - p**2]), (p + 1 - p**2) / 2) for p in x])
        >>> mean, error = model.predict(np.array([[0.45], [0.55]]))
        >>> mean.round(2).tolist(), (error < 0.01).tolist()
        ([0.62, 0.62], [True, True])
        >>> bool(np.diff(model.improvement(np.array([[0.01], [0.5]])))[0] > 0)
        True
    """

    def __init__(self, candidates: Sequence[Scored]) -> None:
        if len(candidates) < LEAST:
            raise ValueError(f"{len(candidates)} candidates: a model needs {LEAST}")
        self._positions: Floats = np.stack([candidate.position for candidate in candidates])
        items: Floats = np.stack([candidate.items for candidate in candidates])
        values: Floats = np.array([candidate.value for candidate in candidates])[:, None]
        self.best = float(values.max())
        varying = items[:, np.ptp(items, axis=0) > 0]
        self.kernel = self._noisy(values, self._length(varying if varying.size else values))
        self._posterior = self._fit(values, self.kernel)

    def predict(self, positions: npt.ArrayLike) -> tuple[Floats, Floats]:
        """(means (M,), standard errors (M,)) of the value without its noise at positions (M, D)."""
        between = self.kernel(self._positions, np.asarray(positions, dtype=np.float64))
        mean, error = self._posterior.predict(between, noise=0.0)
        return mean[:, 0], error[:, 0]

    def improvement(self, positions: npt.ArrayLike) -> Floats:
        """(M,) expected improvement on the best value (Jones et al. 1998, eq. 15), of Student's t in place of a normal.

        The integral is that of Tracey & Wolpert 2018 (arXiv 1801.06147), section 3.
        """
        mean, error = self.predict(positions)
        freedom = len(self._positions) - 1
        z = (mean - self.best) / error
        tail = (freedom + z**2) / (freedom - 1) * student.pdf(z, freedom)
        expected: Floats = error * (z * student.cdf(z, freedom) + tail)
        return expected

    def _length(self, columns: Floats) -> float:
        """The length with which these columns, (N, K), are likeliest, whatever the noise."""
        kernels = [Kernel(length, noise) for length in lengths_for(self._positions) for noise in NOISES]
        return max(kernels, key=lambda kernel: self._fit(columns, kernel).evidence).length

    def _noisy(self, values: Floats, length: float) -> Kernel:
        """The kernel of this length with the noise with which the values, (N, 1), are likeliest."""
        kernels = [Kernel(length, noise) for noise in NOISES]
        return max(kernels, key=lambda kernel: self._fit(values, kernel).evidence)

    def _fit(self, columns: Floats, kernel: Kernel) -> Posterior:
        count = len(self._positions)
        covariance = kernel(self._positions, self._positions) + kernel.noise * np.eye(count)
        return Posterior.of(covariance, np.arange(columns.shape[1]), np.arange(count), columns)


def box_around(candidates: Sequence[Scored]) -> list[tuple[float, float]]:
    """D bounds (lower, upper) for proposals: the range of these candidates and `BEYOND` of it on both sides.

    Example:
        >>> box_around([Scored(np.array([0.0, 1.0]), np.ones(1), 0.0), Scored(np.array([1.0, 1.0]), np.ones(1), 0.0)])
        [(-0.5, 1.5), (0.5, 1.5)]
    """
    positions = np.stack([candidate.position for candidate in candidates])
    lower, upper = positions.min(0), positions.max(0)
    wide = upper - lower
    margin = BEYOND * np.where(wide > 0, wide, wide.max() or 1.0)
    return list(zip((lower - margin).tolist(), (upper + margin).tolist(), strict=True))


def most_promising(candidates: Sequence[Scored], bounds: Sequence[tuple[float, float]], seed: int) -> Tensor:
    """Where a swarm finds the greatest expected improvement; nothing is scored.

    Args:
        candidates: those that were scored.
        bounds: D pairs (lower, upper).
        seed: of the swarm.

    Returns:
        The position, (D,) float64.
    """
    model = ScoreModel(candidates)
    positions = np.stack([candidate.position for candidate in candidates])
    order = np.argsort(-model.predict(positions)[0], kind="stable")[:_PARTICLES]
    recipe = replace(pso.recipes.constriction(), stop=(Patience(_PATIENCE), MaxIter(_ITERATIONS)), restart=())
    swarm = pso.Swarm(
        bounds=list(bounds),
        positions=torch.from_numpy(positions[order]),
        population=_PARTICLES,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=torch.float64,
    )
    return maximise(swarm, lambda points: model.improvement(points.numpy()).tolist()).x


def most_credible(candidates: Sequence[Scored], floor: float) -> Tensor | None:
    """Of the candidates that are about as good as the best, that of the greatest expected value.

    About as good is within a standard error of the best value (the rule of Breiman et al. 1984, section 3.4.3). What
    won many comparisons on the same items owes part of that to luck; the model shares it out among neighbours.

    Args:
        candidates: those that were scored.
        floor: what is returned has no lower value.

    Returns:
        Its position, (D,) float64; None where nothing of that value was scored.
    """
    if len(candidates) < LEAST:
        return None
    best = max(candidates, key=lambda candidate: candidate.value)
    error = float(np.std(best.items, ddof=1)) / np.sqrt(best.items.size) if best.items.size > 1 else 0.0
    near = [candidate for candidate in candidates if candidate.value >= max(best.value - error, floor)]
    if not near:
        return None
    means, _ = ScoreModel(candidates).predict(np.stack([candidate.position for candidate in near]))
    return torch.from_numpy(near[int(np.argmax(means))].position.copy())
