"""A surrogate of scores of any kind, and the candidates that it proposes.

Rewards, judges, programs and written answers have no margins (`item_model`), only a score for each
item. A search maximises their mean; a few dozen values of it do not show how fast it changes. The
hundreds of items do, since all depend on the same coefficients: they choose the kernel's length,
and the mean chooses its own noise.

Each of several tasks has its own model, and their predictions are combined: the tasks' scores are
smooth functions of the coefficients, while a harmonic mean or a minimum of them is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.gaussian import (
    Kernel,
    Posterior,
    box_around,
    highest,
    kernels_for,
    likeliest,
)
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.scoring.record import Margins

NOISES = (1e-4, 1e-2, 0.1, 0.3)  # tried for the kernel; outcomes of written answers jump
BEYOND = 0.5  # candidates may lie this far beyond the scored range, as a share of it
# shortest lengths tried; with longer ones a few surprises pass for noise and the model is a plane
_LENGTHS = 3
_NO_ERROR = 1e-12
_NO_NOISE = 1e-6  # in units of the values' variance: enough for the solver


@dataclass(frozen=True)
class Candidate:
    """A candidate with all items scored.

    Attributes:
        position: (D,).
        scores: score of each task, item scores included.
        value: combined score, which the search maximises.
        margins: margins of the items of all tasks, if rows hold them.
    """

    position: Floats
    scores: Sequence[Score]
    value: float
    margins: Margins = field(default_factory=list)


class ScoreProcess:
    """Predicts the value of new candidates from the scored ones.

    Replies are greedy, so the model's noise does not come from the scores: they are step functions,
    and rescoring a candidate gives the same score. The model's predictions are therefore
    interpolated again without noise, so that a scored candidate has no expected improvement
    (re-interpolation: Forrester, Keane & Bressloff 2006).

    If replies are sampled, or a server is not deterministic, scores are noisy: nothing is
    interpolated, and the best value is the highest prediction for a scored candidate.

    Args:
        candidates: at least three, all of the same tasks.
        combine: combines the tasks' scores into the value.
        noisy: whether rescoring a candidate may give another score.
        begun: the first `begun` candidates bound the region of proposals; None: all candidates.

    Attributes:
        kernels: for each task, the likeliest length given its items, and the likeliest noise of its
            values given that length.
        best: the highest value, without noise.

    Example:
        >>> x = np.linspace(0, 1, 9)
        >>> scores = [Score((p + 1 - p**2) / 2, (p, 1 - p**2), 2, 0.0) for p in x]
        >>> seen = [Candidate(np.array([p]), [score], score.value) for p, score in zip(x, scores)]
        >>> model = ScoreProcess(seen, lambda scores: scores[0])
        >>> mean, error = model.predict(np.array([[0.45], [0.55]]))
        >>> mean.round(2).tolist(), (error < 0.01).tolist()
        ([0.62, 0.62], [True, True])
        >>> bool(np.diff(model.improvement(np.array([[0.01], [0.5]])))[0] > 0)
        True
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        combine: Combine,
        noisy: bool = False,
        begun: int | None = None,
    ) -> None:
        self._candidates: Floats = np.stack([candidate.position for candidate in candidates])
        self._combine = combine
        self._begun = begun
        self.kernels: list[Kernel] = []
        targets: list[Floats] = []
        for scores in zip(*(candidate.scores for candidate in candidates), strict=True):
            values: Floats = np.array([score.value for score in scores])[:, None]
            fitted = _fitted(self._candidates, values, _varying_items(scores))
            self.kernels.append(fitted.kernel)
            targets.append(values if noisy else fitted.predict(self._candidates)[0])
        without_noise = [Kernel(kernel.length, _NO_NOISE) for kernel in self.kernels]
        self._predicting = self.kernels if noisy else without_noise
        self._positions = self._candidates
        self._values = np.hstack(targets)
        self._fit_tasks()

    def believe(self, position: Floats) -> None:
        """Take the predictions at a position, (D,), as observed values, so that the next proposal
        lies elsewhere.

        The kriging believer of Ginsbourger, Le Riche & Carraro 2010, section 4.2.1.
        """
        means = [posterior.predict(position[None])[0][0, 0] for posterior in self._posteriors]
        self._positions = np.vstack([self._positions, position])
        self._values = np.vstack([self._values, means])
        self._fit_tasks()

    def predict(self, points: npt.ArrayLike) -> tuple[Floats, Floats]:
        """(means (M,), standard errors (M,)) of the value at points (M, D).

        For several tasks, the error of the combination follows by the delta method.
        """
        of_tasks = [posterior.predict(np.asarray(points)) for posterior in self._posteriors]
        means, errors = (np.hstack(parts) for parts in zip(*of_tasks, strict=True))
        if len(of_tasks) == 1:
            return means[:, 0], errors[:, 0]
        combined = np.array([*map(self._combined, means, errors)])
        return combined[:, 0], combined[:, 1]

    def improvement(self, points: npt.ArrayLike) -> Floats:
        """Expected improvement on the best value, (M,) (Jones et al. 1998, eq. 15), with Student's
        t in place of a normal.

        The integral is from Tracey & Wolpert 2018 (arXiv 1801.06147), section 3.
        """
        mean, error = self.predict(points)
        freedom = len(self._positions) - 1
        z = (mean - self.best) / error
        tail = (freedom + z**2) / (freedom - 1) * student.pdf(z, freedom)
        expected: Floats = error * (z * student.cdf(z, freedom) + tail)
        return expected

    def expected(self) -> Floats:
        """The predicted value of each candidate, (N,)."""
        return self.predict(self._candidates)[0]

    def propose(self, seed: int, count: int = 1) -> Sequence[Tensor]:
        """The positions, (D,) float64, with the greatest expected improvement; each is chosen as if
        earlier predictions had come true.
        """
        starts = self._candidates[np.argsort(-self.expected(), kind="stable")]
        bounds = box_around(self._candidates[: self._begun], BEYOND)
        positions = list[Tensor]()
        for number in range(count):
            if positions:
                self.believe(positions[-1].numpy())
            positions.append(highest(self.improvement, starts, bounds, seed + number))
        return positions

    def _fit_tasks(self) -> None:
        """Fit each task's posterior to its values, and find the best combined value."""
        self._posteriors = [
            Posterior(kernel, self._positions, self._values[:, [k]])
            for k, kernel in enumerate(self._predicting)
        ]
        self.best = float(self.predict(self._positions)[0].max())

    def _combined(self, means: Floats, errors: Floats) -> tuple[float, float]:
        """Mean and standard error of the value, from those of each task, (K,)."""
        pairs = zip(means.tolist(), errors.tolist(), strict=True)
        score = self._combine([Score(mean, (), 1, error) for mean, error in pairs])
        # A harmonic mean with a value that is not positive is 0, without error.
        return score.value, score.stderr if score.stderr > 0 else _NO_ERROR


def _fitted(positions: Floats, values: Floats, items: Floats) -> Posterior:
    """The posterior of values, (N, 1): its length maximises the likelihood of the items, (N, K),
    whatever the noise, and its noise the likelihood of the values.
    """
    tried = kernels_for(positions, NOISES, _LENGTHS)
    length = likeliest(tried, positions, items if items.size else values).kernel.length
    return likeliest([Kernel(length, noise) for noise in NOISES], positions, values)


def _varying_items(scores: Sequence[Score]) -> Floats:
    """Scores of the items whose score varies between candidates, (N, K); none if a function has no
    fixed items.

    Example:
        >>> _varying_items([Score(0.5, (1.0, 0.0), 2, 0.0), Score(1.0, (1.0, 1.0), 2, 0.0)]).tolist()
        [[0.0], [1.0]]
    """
    if len({len(score.per_item) for score in scores}) > 1:
        return np.empty((len(scores), 0))
    items: Floats = np.array([score.per_item for score in scores])
    return items[:, np.ptp(items, axis=0) > 0]
