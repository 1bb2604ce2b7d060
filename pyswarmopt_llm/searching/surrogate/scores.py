"""A model of scores of any kind, and the candidates that it proposes: a Gaussian process over the
coefficients.

Rewards, judges, programs and written answers have no margins (`gaussian_process`), only a score for
each item. Their mean is what a search maximises, and a few dozen values of it do not tell how fast
it changes. The hundreds of items do, since all change with the same coefficients: they choose the
length of the kernel, the mean itself its noise.

Several tasks have a model each, and their combination is taken of what these predict: a harmonic
mean, or the worst of several, is no smooth function of the coefficients where the tasks' own scores
are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import t as student
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.surrogate.gaussian_process import (
    Floats,
    Kernel,
    Posterior,
    lengths_for,
)
from pyswarmopt_llm.searching.surrogate.surrogate import PARTICLES, Surrogate, argmax

NOISES = (1e-4, 1e-2, 0.1, 0.3)  # tried for the kernel; outcomes of written answers jump
LEAST = 3  # candidates that a model needs: one degree of freedom more than its mean takes
BEYOND = 0.5  # of the range of what was scored before: so far beyond it candidates are proposed
# are tried, the shortest; with a longer one a few surprises are noise, and the model is a plane
_LENGTHS = 3
_NO_ERROR = 1e-12
_NO_NOISE = 1e-6  # in units of the values' variance: enough for the solver
_ITERATIONS = 60  # of the swarm that maximises the expected improvement


@dataclass(frozen=True)
class Scored:
    """A candidate whose items were all scored.

    Attributes:
        position: (D,).
        scores: of each task, with those of its items.
        value: what the search maximises, their combination.
    """

    position: Floats
    scores: Sequence[Score]
    value: float


class ScoreModel:
    """Predicts the value of candidates from those that were scored.

    Replies are greedy, so the noise is none of the scores: they are steps, and the same candidate
    has the same score again. What the model predicts is therefore interpolated once more, without
    noise, and nothing is gained where a candidate was scored (re-interpolation: Forrester, Keane &
    Bressloff 2006).

    Where replies are sampled, or a server does not repeat itself, scores are noisy: nothing is
    interpolated, and the best value is the highest that is predicted for a candidate that was
    scored.

    Args:
        candidates: at least `LEAST`, all of the same tasks.
        combine: the tasks' scores into the value.
        noisy: whether the same candidate does not score the same again.

    Attributes:
        kernels: of each task: the likeliest length of its items, and with that the likeliest noise
            of its values.
        best: the highest value, without the noise.

    Raises:
        ValueError: too few candidates.

    Example:
        >>> x = np.linspace(0, 1, 9)
        >>> scores = [Score((p + 1 - p**2) / 2, (p, 1 - p**2), 2, 0.0) for p in x]
        >>> seen = [Scored(np.array([p]), [score], score.value) for p, score in zip(x, scores)]
        >>> model = ScoreModel(seen, lambda scores: scores[0])
        >>> mean, error = model.predict(np.array([[0.45], [0.55]]))
        >>> mean.round(2).tolist(), (error < 0.01).tolist()
        ([0.62, 0.62], [True, True])
        >>> bool(np.diff(model.improvement(np.array([[0.01], [0.5]])))[0] > 0)
        True
    """

    def __init__(self, candidates: Sequence[Scored], combine: Combine, noisy: bool = False) -> None:
        if len(candidates) < LEAST:
            raise ValueError(f"{len(candidates)} candidates: a model needs {LEAST}")
        self._positions: Floats = np.stack([candidate.position for candidate in candidates])
        self._combine = combine
        self.kernels: list[Kernel] = []
        targets: list[Floats] = []
        for scores in zip(*(candidate.scores for candidate in candidates), strict=True):
            values: Floats = np.array([score.value for score in scores])[:, None]
            items = _varying_items(scores)
            kernel = self._noisy(values, self._length(items if items.size else values))
            between = kernel(self._positions, self._positions)
            self.kernels.append(kernel)
            smooth = self._fit(values, kernel).predict(between, noise=0.0)[0]
            targets.append(values if noisy else smooth)
        self._values: Floats = np.hstack(targets)
        without_noise = [Kernel(kernel.length, _NO_NOISE) for kernel in self.kernels]
        self._predicting = self.kernels if noisy else without_noise
        self._fit_tasks()

    def believe(self, position: Floats) -> None:
        """Take the predictions at a position, (D,), for values that were seen, so that the next
        proposal is elsewhere.

        The kriging believer of Ginsbourger, Le Riche & Carraro 2010, section 4.2.1.
        """
        means = [mean[0, 0] for mean, _ in self._predict_tasks(position[None])]
        self._positions = np.vstack([self._positions, position])
        self._values = np.vstack([self._values, means])
        self._fit_tasks()

    def predict(self, positions: npt.ArrayLike) -> tuple[Floats, Floats]:
        """(means (M,), standard errors (M,)) of the value at positions (M, D).

        Of several tasks the error is that of their combination by the delta method.
        """
        of_tasks = self._predict_tasks(np.asarray(positions, dtype=np.float64))
        if len(of_tasks) == 1:
            ((means, errors),) = of_tasks
            return means[:, 0], errors[:, 0]
        combined = np.array(
            [self._combined(number, of_tasks) for number in range(len(of_tasks[0][0]))]
        )
        return combined[:, 0], combined[:, 1]

    def improvement(self, positions: npt.ArrayLike) -> Floats:
        """(M,) expected improvement on the best value (Jones et al. 1998, eq. 15), of Student's t
        in place of a normal.

        The integral is that of Tracey & Wolpert 2018 (arXiv 1801.06147), section 3.
        """
        mean, error = self.predict(positions)
        freedom = len(self._positions) - 1
        z = (mean - self.best) / error
        tail = (freedom + z**2) / (freedom - 1) * student.pdf(z, freedom)
        expected: Floats = error * (z * student.cdf(z, freedom) + tail)
        return expected

    def _fit_tasks(self) -> None:
        """Fit each task's posterior to its values, and find the highest of their combinations."""
        self._posteriors = [
            self._fit(self._values[:, [k]], kernel) for k, kernel in enumerate(self._predicting)
        ]
        self.best = float(self.predict(self._positions)[0].max())

    def _predict_tasks(self, points: Floats) -> list[tuple[Floats, Floats]]:
        """Of each task the means and standard errors at points (M, D), (M, 1) each."""
        return [
            posterior.predict(kernel(self._positions, points), noise=0.0)
            for kernel, posterior in zip(self._predicting, self._posteriors, strict=True)
        ]

    def _combined(
        self, number: int, of_tasks: Sequence[tuple[Floats, Floats]]
    ) -> tuple[float, float]:
        """Mean and error of the value at the position of this number."""
        scores = [
            Score(float(means[number, 0]), (), 1, float(errors[number, 0]))
            for means, errors in of_tasks
        ]
        score = self._combine(scores)
        # A harmonic mean of what is not positive is 0, and has no error.
        return score.value, score.stderr if score.stderr > 0 else _NO_ERROR

    def _length(self, columns: Floats) -> float:
        """The length with which these columns, (N, K), are likeliest, whatever the noise."""
        shorter = lengths_for(self._positions)[:_LENGTHS]
        kernels = [Kernel(length, noise) for length in shorter for noise in NOISES]
        return max(kernels, key=lambda kernel: self._fit(columns, kernel).evidence).length

    def _noisy(self, values: Floats, length: float) -> Kernel:
        """The kernel of this length with the noise with which the values, (N, 1), are likeliest."""
        kernels = [Kernel(length, noise) for noise in NOISES]
        return max(kernels, key=lambda kernel: self._fit(values, kernel).evidence)

    def _fit(self, columns: Floats, kernel: Kernel) -> Posterior:
        count = len(self._positions)
        covariance = kernel(self._positions, self._positions) + kernel.noise * np.eye(count)
        return Posterior.of(covariance, np.arange(columns.shape[1]), np.arange(count), columns)


def _varying_items(scores: Sequence[Score]) -> Floats:
    """(N, K) scores of the items that are not the same for all candidates; none where a function
    has no fixed items.

    Example:
        >>> _varying_items([Score(0.5, (1.0, 0.0), 2, 0.0), Score(1.0, (1.0, 1.0), 2, 0.0)]).tolist()
        [[0.0], [1.0]]
    """
    if len({len(score.per_item) for score in scores}) > 1:
        return np.empty((len(scores), 0))
    items: Floats = np.array([score.per_item for score in scores])
    return items[:, np.ptp(items, axis=0) > 0]


def box_around(candidates: Sequence[Scored]) -> list[tuple[float, float]]:
    """D bounds (lower, upper) for proposals: the range of these candidates and `BEYOND` of it on
    both sides.

    Example:
        >>> box_around([Scored(np.array([0.0, 1.0]), [], 0.0), Scored(np.array([1.0, 1.0]), [], 0.0)])
        [(-0.5, 1.5), (0.5, 1.5)]
    """
    positions = np.stack([candidate.position for candidate in candidates])
    lower, upper = positions.min(0), positions.max(0)
    wide = upper - lower
    margin = BEYOND * np.where(wide > 0, wide, wide.max() or 1.0)
    return list(zip((lower - margin).tolist(), (upper + margin).tolist(), strict=True))


class ScoreSurrogate(Surrogate[Scored]):
    """Learns from the scores of candidates; proposes where most improvement is expected.

    Args:
        objectives: names of the tasks.
        combine: see `ScoreModel`.
        most: candidates that it proposes at most.
        noisy: see `ScoreModel`.
    """

    least = LEAST

    def __init__(
        self, objectives: Iterable[str], combine: Combine, most: int, noisy: bool = False
    ) -> None:
        super().__init__(most)
        self._objectives, self._combine, self.noisy = tuple(objectives), combine, noisy
        self._seen: dict[str, Scored] = {}

    def tell(self, position: Tensor, row: Row) -> None:
        """Take in the scores, where all items were scored."""
        if row.complete:
            scores = [row.score(name) for name in self._objectives]
            place = position.detach().cpu().double().numpy().copy()
            self._seen[row.key] = Scored(place, scores, row.value)

    @property
    def scored(self) -> list[Scored]:
        """The candidates without experts that harm."""
        return self._without_harmful(self._candidates())

    def _candidates(self) -> list[Scored]:
        return list(self._seen.values())

    def _error(self, candidate: Scored) -> float:
        return self._combine(candidate.scores).stderr

    def _expected(self, numbers: Sequence[int]) -> Floats:
        """Their predicted values."""
        active = self._active()
        near = np.stack([active[number].position for number in numbers])
        return ScoreModel(active, self._combine, self.noisy).predict(near)[0]

    def _promising(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        bounds = box_around(self._active())
        for first in range(bool(self.left_out), self._most, at_once):
            count = min(at_once, self._most - first)
            found = most_promising(
                self._active(), self._combine, bounds, seed + first, count, self.noisy
            )
            yield [self.active.embed(position) for position in found]

    def _active(self) -> list[Scored]:
        """`scored`, in the coefficients that proposals move in."""
        active = self.active
        return [replace(one, position=active.restrict(one.position)) for one in self.scored]


def most_promising(
    candidates: Sequence[Scored],
    combine: Combine,
    bounds: Sequence[tuple[float, float]],
    seed: int,
    count: int = 1,
    noisy: bool = False,
) -> list[Tensor]:
    """Where a swarm finds the greatest expected improvement; nothing is scored.

    Args:
        candidates: those that were scored.
        combine: see `ScoreModel`.
        bounds: D pairs (lower, upper).
        seed: of the swarm.
        count: how many positions; for each the model believes its predictions at those before.
        noisy: see `ScoreModel`.

    Returns:
        The positions, (D,) float64 each.
    """
    model = ScoreModel(candidates, combine, noisy)
    positions = np.stack([candidate.position for candidate in candidates])
    order = np.argsort(-model.predict(positions)[0], kind="stable")[:PARTICLES]
    starts = torch.from_numpy(positions[order])
    promising: list[Tensor] = []
    for number in range(count):
        if promising:
            model.believe(promising[-1].numpy())

        def gain(points: Tensor) -> Tensor:
            return torch.from_numpy(model.improvement(points.numpy()))

        promising.append(argmax(gain, starts, seed + number, _ITERATIONS, bounds))
    return promising
