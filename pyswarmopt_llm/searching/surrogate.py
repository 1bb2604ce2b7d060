"""A proposer that learns: starting points first, then candidates from a model of those scored.

There are two models. `MarginProcess` predicts which items a mixture answers correctly, where options
are compared; `ScoreProcess` predicts scores of any kind.

Both ignore harmful experts. One expert trained on wrong answers spoils every sum it is in, with
larger effects than all others together. A model with one kernel for all coefficients then sees
little else, and proposes nothing useful.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from scipy.stats import t as student
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.blas import one_thread
from pyswarmopt.base.optimizer import Point
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
from pyswarmopt_llm.searching.scoring.record import Margins, Row
from pyswarmopt_llm.searching.scoring.scorer import Batch

ERRORS = 2.5  # a harmful expert is worse than the base by this many standard errors
LEAST = 3  # candidates a model needs: one degree of freedom more than its mean takes
SOFTNESS = 0.4  # unit of margins, as a share of their standard deviation
BEYOND_MARGINS = 1.0  # candidates may lie this far beyond the scored range, as a share of it
BEYOND = 0.5  # the same, for the model of scores
MARGIN_NOISES = (1e-6, 1e-4, 1e-2)  # tried for the kernel
SCORE_NOISES = (1e-4, 1e-2, 0.1, 0.3)  # outcomes of written answers jump
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


class MarginProcess:
    """Predicts margins at new positions from known margins.

    An item is correct if the right option scores above every other option. Such a difference, a
    *margin*, is a smooth function of the coefficients, while counts of correct answers are noisy
    and stepped. The *width* at a candidate is the mean over items of the logistic function of the
    closest margin, in units of `SOFTNESS` times the margins' standard deviation. Candidates are
    proposed where the expected width is greatest.

    Args:
        positions: positions of the scored candidates, (N, D), at least two.
        margins: for each candidate and each of I items: the right option's score minus the score of
            each other option; None: unknown.

    Attributes:
        kernel: the likeliest kernel.

    Example:
        >>> x = np.linspace(0, 1, 6)[:, None]
        >>> model = MarginProcess(x, [[[p + 1, 0.5 - p]] for p in x.ravel().tolist()])
        >>> model.margins(np.array([[0.3], [0.9]])).round(2).tolist()
        [[0.2], [-0.4]]
    """

    def __init__(self, positions: Floats, margins: Sequence[Margins]) -> None:
        self._positions = positions
        items = [own for own in zip(*margins, strict=True) if all(own)]
        columns = np.hstack([np.array(own, dtype=np.float64) for own in items])
        self._first = np.cumsum([0, *(len(own[0] or ()) for own in items[:-1])])
        self._posterior = likeliest(kernels_for(positions, MARGIN_NOISES), positions, columns)
        self.kernel = self._posterior.kernel
        self._seen = self._closest(columns)
        self._unit = SOFTNESS * (float(self._seen.std()) or 1.0)

    def margins(self, points: npt.ArrayLike) -> Floats:
        """Expected closest margin of each item, (M, I), at points (M, D)."""
        return self._closest(self._posterior.predict(np.asarray(points))[0])

    def expected(self) -> Floats:
        """The width of each candidate, (N,)."""
        return self._width(self._seen)

    def gain(self, points: Floats) -> Floats:
        """The expected widths, (M,), at points (M, D)."""
        return self._width(self.margins(points))

    def propose(self, seed: int, count: int = 1) -> Sequence[Tensor]:
        """The position, (D,) float64, with the greatest expected width.

        It returns one whatever `count` is: the width does not reward uncertainty, so a second one
        would lie beside the first.
        """
        starts = self._positions[np.argsort(-self.expected(), kind="stable")]
        return [highest(self.gain, starts, box_around(self._positions, BEYOND_MARGINS), seed)]

    def _width(self, closest: Floats) -> Floats:
        """The widths, (N,), from the closest margins, (N, I)."""
        widths: Floats = expit(closest / self._unit).mean(axis=1)
        return widths

    def _closest(self, values: Floats) -> Floats:
        """The closest margin of each item, (M, I), from all margins, (M, K)."""
        least = np.minimum.reduceat(values, self._first, axis=1)
        return np.asfortranarray(least)  # the order in which items are summed


class ScoreProcess:
    """Predicts the value of new candidates from the scored ones.

    Rewards, judges, programs and written answers have no margins, only a score for each item. A few
    dozen values of their mean do not show how fast it changes. The hundreds of items do, since all
    depend on the same coefficients: they choose the kernel's length, and the mean chooses its own
    noise. Each of several tasks has its own model, and the predictions are combined.

    Replies are greedy, so the noise does not come from the scores: they are step functions, and
    rescoring a candidate gives the same score. The predictions are therefore interpolated again
    without noise, so that a scored candidate has no expected improvement (re-interpolation:
    Forrester, Keane & Bressloff 2006). If replies are sampled, nothing is interpolated, and the
    best value is the highest prediction for a scored candidate.

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
            fitted = _fitted(self._candidates, values, scores)
            self.kernels.append(fitted.kernel)
            targets.append(values if noisy else fitted.predict(self._candidates)[0])
        without_noise = [Kernel(kernel.length, _NO_NOISE) for kernel in self.kernels]
        self._predicting = self.kernels if noisy else without_noise
        self._fit(self._candidates, np.hstack(targets))

    def _fit(self, positions: Floats, values: Floats) -> None:
        """Fit each task's posterior to its values, (N, K), and find the best combined value."""
        self._positions = positions
        self._values = values
        self._posteriors = [
            Posterior(kernel, positions, column[:, None])
            for kernel, column in zip(self._predicting, values.T, strict=True)
        ]
        self.best = float(self.predict(positions)[0].max())

    def believe(self, position: Floats) -> None:
        """Take the predictions at a position, (D,), as observed values, so that the next proposal
        lies elsewhere.

        The kriging believer of Ginsbourger, Le Riche & Carraro 2010, section 4.2.1.
        """
        means = [posterior.predict(position[None])[0][0, 0] for posterior in self._posteriors]
        self._fit(np.vstack([self._positions, position]), np.vstack([self._values, means]))

    def predict(self, points: npt.ArrayLike) -> tuple[Floats, Floats]:
        """(means (M,), standard errors (M,)) of the value at points (M, D).

        For several tasks, the error of the combination follows by the delta method.
        """
        of_tasks = [posterior.predict(np.asarray(points)) for posterior in self._posteriors]
        means, errors = (np.hstack(parts) for parts in zip(*of_tasks, strict=True))
        if len(of_tasks) == 1:
            return means[:, 0], errors[:, 0]
        combined = np.empty((len(means), 2))
        for row, (mean, error) in enumerate(zip(means.tolist(), errors.tolist(), strict=True)):
            score = self._combine([Score(m, (), 1, e) for m, e in zip(mean, error, strict=True)])
            # A harmonic mean with a value that is not positive is 0, without error.
            combined[row] = score.value, max(score.stderr, _NO_ERROR)
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
        positions = [highest(self.improvement, starts, bounds, seed)]
        for number in range(1, count):
            self.believe(positions[-1].numpy())
            positions.append(highest(self.improvement, starts, bounds, seed + number))
        return positions


def _fitted(positions: Floats, values: Floats, scores: Sequence[Score]) -> Posterior:
    """The posterior of values, (N, 1): its length maximises the likelihood of the items that vary,
    whatever the noise, and its noise the likelihood of the values.
    """
    columns = values
    if len({len(score.per_item) for score in scores}) == 1:
        items = np.array([score.per_item for score in scores])
        varying = items[:, np.ptp(items, axis=0) > 0]
        columns = varying if varying.size else values
    length = likeliest(kernels_for(positions, SCORE_NOISES, _LENGTHS), positions, columns)
    kernels = [Kernel(length.kernel.length, noise) for noise in SCORE_NOISES]
    return likeliest(kernels, positions, values)


@dataclass
class Surrogate:
    """Proposes the starting points, then candidates from a model.

    Attributes:
        method: ``items`` (a model of their margins) or ``scores`` (of each task's scores).
        starts: the first candidates, (N, D) float64.
        experts: names of the experts.
        tasks: names of the tasks.
        combine: combines the tasks' scores into the value.
        most: the most candidates that the model proposes.
        seed: seed of the proposals.
        numbers: particle numbers of the starting points; None: from 0 on.
        at_once: candidates scored side by side, and so proposed together.
        floor: value of the best expert; the returned candidate is not below it.
        left_out: numbers of the experts in no proposal: those that a race dropped, then also those
            clearly worse than the base. The model ignores candidates that contain them.
        noisy: whether rescoring a candidate may give another score.
        remarks: what a user should know about the proposals.
    """

    method: str
    starts: Tensor
    experts: Sequence[str]
    tasks: Sequence[str]
    combine: Combine
    most: int
    seed: int = 0
    numbers: Sequence[int] | None = None
    at_once: int = 1
    floor: float = -math.inf
    left_out: Sequence[int] = ()
    noisy: bool = False
    remarks: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Begin with the starting points."""
        self._seen: dict[str, Candidate] = {}
        self._started = 0  # candidates scored before any proposal
        self._learnt = 0  # starting points and first sum, which bound the model's region
        self._batches = self._in_turn()

    def ask(self) -> Batch | None:
        """The next candidates; None: no more candidates."""
        return next(self._batches, None)

    def tell(self, positions: Tensor, rows: Sequence[Row]) -> None:
        """Learn from candidates, (n, D), whose items were all scored."""
        for position, row in zip(positions, rows, strict=True):
            if row.complete:
                x = position.detach().cpu().double().numpy().copy()
                scores = [row.score(name) for name in self.tasks]
                margins = [own for name in self.tasks for own in row.margins.get(name, ())]
                self._seen[row.key] = Candidate(x, scores, row.value, margins)

    def best(self) -> Point:
        """The candidate to return.

        Of the candidates about as good as the best, it is the one with the highest expectation of
        the model. About as good means within a standard error of the best value (the rule of
        Breiman et al. 1984, section 3.4.3), and not below `floor`. The winner of many comparisons
        on the same items owes part of its lead to luck. Where no candidate leads the best expert,
        it is that expert.
        """
        scored = self.scored
        best = max(scored, key=lambda candidate: candidate.value)
        if len(scored) >= LEAST and best.value > self.floor:
            least = max(best.value - np.nan_to_num(self._error(best)), self.floor)
            expected = self._model(scored).expected()
            near = [number for number, c in enumerate(scored) if c.value >= least]
            best = scored[max(near, key=lambda number: expected[number])] if near else best
        return Point(torch.from_numpy(best.position), best.value)

    def stop(self) -> dict[str, float]:
        """The reason to stop: the number of new proposals."""
        return {"proposals": len(self._seen) - self._started if self._started else 0}

    def close(self) -> None:
        """Nothing to release."""

    @property
    def scored(self) -> list[Candidate]:
        """The candidates without harmful experts."""
        left_out = list(self.left_out)
        return [c for c in self._seen.values() if not c.position[left_out].any()]

    def _model(self, seen: Sequence[Candidate]) -> MarginProcess | ScoreProcess:
        """A model of these candidates, the first `_learnt` of which bound its region."""
        if self.method == "items":
            positions = np.stack([candidate.position for candidate in seen])
            return MarginProcess(positions, [candidate.margins for candidate in seen])
        return ScoreProcess(seen, self.combine, self.noisy, self._learnt)

    def _in_turn(self) -> Iterator[Batch]:
        """The batches in turn; each is scored before the next is proposed.

        Where some experts are left out, the first proposal is the sum of the others. In the history
        all proposals form one more iteration, with particle numbers after the starting points.
        """
        first = len(self.starts)
        yield Batch(self.starts, range(first) if self.numbers is None else self.numbers, 0)
        if not self.most or len(self._seen) < LEAST:
            return
        self._started = len(self._seen)
        self._leave_out_harmful()
        active = torch.ones(self.starts.shape[1], dtype=torch.float64)
        active[list(self.left_out)] = 0.0
        proposed = 0
        if self.left_out:
            yield Batch(active[None], [first], 1)
            proposed = 1
        self._learnt = len(self.scored)
        while proposed < self.most:
            inside = [replace(c, position=c.position[active.numpy() > 0]) for c in self.scored]
            count = min(self.at_once, self.most - proposed)
            with one_thread():
                batch = self._model(inside).propose(self.seed + proposed, count)
            positions = [active.masked_scatter(active > 0, position) for position in batch]
            numbers = range(first + proposed, first + proposed + len(batch))
            yield Batch(torch.stack(positions), numbers, 1)
            proposed += len(batch)

    def _leave_out_harmful(self) -> None:
        """Find the harmful experts, and say so."""
        seen = list(self._seen.values())
        found = harmful(
            np.stack([candidate.position for candidate in seen]),
            np.array([candidate.value for candidate in seen]),
            np.array([self._error(candidate) for candidate in seen]),
        )
        self.left_out = sorted({*self.left_out, *found})
        if found:
            names = ", ".join(self.experts[number] for number in found)
            self.remarks.append(
                f"{names}: clearly worse than the base, and so in no proposed mixture"
            )

    def _error(self, candidate: Candidate) -> float:
        """The standard error of a candidate's value; NaN: unknown."""
        return self.combine(candidate.scores).stderr


def harmful(positions: Floats, values: Floats, errors: Floats) -> list[int]:
    """Numbers of the experts worse than the base by more than `ERRORS` standard errors of the
    difference, taken as if both had been scored on different items.

    Empty if the base is not among the candidates, or if most candidates contain some of these
    experts, as after iterations.

    Args:
        positions: (N, D) coefficients of the candidates.
        values: (N,) their scores.
        errors: standard errors of the scores, (N,); an unknown one (NaN) is never clearly worse.

    Example:
        >>> positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> harmful(positions, np.array([0.5, 0.6, 0.1, 0.4]), np.full(4, 0.05))
        [1]
    """
    bases = np.flatnonzero(~positions.any(axis=1))
    if not bases.size:
        return []
    behind = values[bases[0]] - values
    worse = behind > ERRORS * np.hypot(errors[bases[0]], errors)
    alone = (positions == 1).any(axis=1) & (np.count_nonzero(positions, axis=1) == 1)
    experts: list[int] = np.unique(positions[worse & alone].argmax(axis=1)).tolist()
    without = ~positions[:, experts].any(axis=1)
    return experts if 2 * without.sum() > len(positions) else []
