"""Noisy objectives: re-evaluates the best points, so that a lucky draw does not remain the best.

A swarm remembers the best values it has seen, and under noise these are the luckiest. Here every
personal best, and every new candidate for one, is a sample mean. In each iteration some evaluations
go to repeated draws, divided by OCBA (optimal computing budget allocation: Chen, Lin, Yucesan &
Chick 2000, Discrete Event Dynamic Systems 10, theorem 1), which gives most to points that are hard
to distinguish from the best. For PSO: Pan, Wang & Liu 2006, Appl. Math. Comput. 181; Rada-Vilela,
Johnston & Zhang 2014, Swarm Evol. Comput. 17, compare the variants.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from pyswarmopt.base.arrays import Array, Floats, Ints
from pyswarmopt.base.optimizer import Optimizer
from pyswarmopt.base.record import columns, rows_of
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.judge import Evaluated, Found, Judge
from pyswarmopt.driver.options import Problem

# most evaluations for choosing the result of a noisy search, and for reporting it
FINAL_DRAWS = 100
FINAL_SHARE = 10  # one of this many evaluations
# Repeated draws per particle and iteration. Of 1/4, 1/2, 1 and 2, this came nearest to the optimum
# of the sphere, Rosenbrock's and Rastrigin's function under noise of 0.1, 1 and 10 in most cases.
SHARE_AGAIN = 0.25
# Repeated draws needed for a useful estimate of the noise.
ENOUGH = 5
STAGES = 10  # rounds of draws in the final choice
DECISIVE_DRAWS = 10  # with fewer draws a mean does not count as reaching the target
SURE_DRAWS = 30  # draws of a best that seems to reach the target


class Sample(NamedTuple):
    """Evaluations of one point.

    Attributes:
        x: the point, (D,).
        n: draws.
        mean: their mean; infinite if one of them failed.
        square_sum: sum of squared deviations from the mean.
    """

    x: Floats
    n: int = 0
    mean: float = 0.0
    square_sum: float = 0.0

    def add(self, value: float) -> Sample:
        """The sample with one more draw; Welford's update (1962, Technometrics 4(3))."""
        if not (math.isfinite(value) and math.isfinite(self.mean)):
            return Sample(self.x, self.n + 1, math.inf)
        step = value - self.mean
        mean = self.mean + step / (self.n + 1)
        return Sample(self.x, self.n + 1, mean, self.square_sum + step * (value - mean))

    @property
    def stderr(self) -> float:
        """Standard error of the mean; infinite for fewer than two draws."""
        if self.n > 1:
            return math.sqrt(self.square_sum / (self.n - 1) / self.n)
        return math.inf


def allocate(means: Floats, variances: Floats, counts: Ints, budget: int) -> Ints:
    """Divide `budget` further draws to maximise the probability of finding the smallest mean.

    OCBA, Chen et al. 2000, theorem 1: N_i / N_j = (s_i / d_i)^2 / (s_j / d_j)^2 for all but the
    best b, with s_i the standard deviation of a draw and d_i the distance of mean i from the
    smallest, and N_b = s_b sqrt(sum N_i^2 / s_i^2). Distances have a lower bound, the resolution of
    all draws together, so that ties do not take everything.

    Args:
        means: (K,) sample means, finite.
        variances: (K,) variances of a draw, positive.
        counts: (K,) draws so far.
        budget: draws to divide.

    Returns:
        (K,) draws for each, summing to `budget`.

    Example:
        >>> allocate(np.array([1.0, 2.0, 3.0]), np.full(3, 0.01), np.array([1, 1, 1]), budget=917).tolist()
        [415, 402, 100]
    """
    best = int(means.argmin())
    distances = np.maximum(means - means[best], np.sqrt(variances / (int(counts.sum()) + budget)))
    shares = variances / distances**2
    shares[best] = 0.0
    shares[best] = math.sqrt(variances[best] * float((shares**2 / variances).sum())) or 1.0
    # Means with more than their share get none, and the others divide the rest.
    active = np.ones(len(means), dtype=np.bool_)
    while True:
        total = budget + counts[active].sum()
        more = np.where(active, shares / shares[active].sum() * total - counts, 0.0)
        if (more >= 0).all():
            break
        active &= more >= 0
    # whole numbers: the largest remainders are rounded up
    whole = np.floor(more).astype(np.int64)
    missing = budget - int(whole.sum())
    whole[np.argsort(whole - more, kind="stable")[:missing]] += 1
    return whole


class Remembering(Optimizer, Protocol):
    """An optimizer that remembers good points."""

    @property
    def personal_bests(self) -> Array:
        """The good points, (N, M)."""


class Revalued(Remembering, Protocol):
    """One that remembers values, which may be corrected."""

    @property
    def personal_best_values(self) -> Floats:
        """The values of `personal_bests`, (N,)."""

    def revalue(self, values: Floats, best: float | None = None) -> None:
        """Replace the values of `personal_bests`, (N,), and the best value (None: the old one)."""


class LearnsDraws(Remembering, Protocol):
    """One that learns every draw."""

    def take_draws(self, positions: Floats, costs: Floats) -> None:
        """Record draws, (n,), at points, (n, M)."""


Remembering_co = TypeVar("Remembering_co", bound=Remembering, covariant=True)


class Resampling(Judge[Remembering_co], ABC):
    """Like `Judge`, for a noisy objective: the best points are drawn again, and judged by means.

    Args:
        search: as in `Judge`.
        problem: as in `Judge`.
        evaluator: as in `Judge`.
        sign: as in `Judge`.
        target: value to stop at; None: no target.
    """

    def __init__(
        self,
        search: Remembering_co,
        problem: Problem,
        evaluator: Evaluator,
        sign: float,
        target: float | None,
    ) -> None:
        super().__init__(search, problem, evaluator, sign)
        self._cost_to_reach = -math.inf
        if target is not None:
            self._cost_to_reach = self._sign * target
        self._samples: dict[bytes, Sample] = {}
        # draws reserved for the end: half choose the result, half report it
        self._reserve = 2 * int(min(self._evaluator.max_evals / FINAL_SHARE, FINAL_DRAWS))
        self._evaluator.max_evals -= self._reserve
        self._evaluator.held_back = self._reserve

    def sample(self, x: Floats) -> Sample:
        """Evaluations of the point x, (D,)."""
        return self._samples.get(x.tobytes()) or Sample(x.copy())

    def judge(self, points: Floats) -> tuple[list[Evaluated], Exception | None]:
        """Take a first draw of each new point, draw some again, and give the swarm its bests'
        means.
        """
        judged, error = super().judge(points)
        if error is not None:
            return judged, error
        for each in judged:  # beside the last round's bests
            if each.counts and each.violation == 0:
                self._take(each.x[None], [each.cost])
        try:
            self._spend(math.ceil(SHARE_AGAIN * len(points)))
        except Exception as error:  # the user's objective may raise anything
            return judged, error
        self._revise()
        for i, each in enumerate(judged):
            sample = self.sample(each.x)
            if sample.n:
                judged[i] = each._replace(cost=sample.mean)
        return judged, None

    def keep(self, judged: Sequence[Evaluated]) -> None:
        """Draw the best until the target is certain, then keep the samples of the swarm's bests."""
        self._decide()
        self._look()
        kept = {x.tobytes() for x in [*self._bests(), self._best_position()]}
        self._samples = {key: sample for key, sample in self._samples.items() if key in kept}

    def _look(self) -> None:
        """Take the best from the search, with its mean; NaN if it is not feasible."""
        x = self._best_position()
        sample = self.sample(x)
        self.best = self.draft(x)._replace(cost=sample.mean if sample.n else math.nan)
        self.calls = self._evaluator.calls

    def _decide(self) -> None:
        """Draw a best that seems to reach the target until that is certain; a small swarm draws
        none so often.

        It then has `SURE_DRAWS` draws, since among hundreds of bests some are lucky ten times.
        """
        sample = self.sample(self._best_position())
        if sample.mean > self._cost_to_reach:
            return
        if 0 < sample.n < SURE_DRAWS:
            self._take_again(np.tile(sample.x, (SURE_DRAWS - sample.n, 1)))
            self._revise()

    def reached(self) -> dict[str, float]:
        """The reason to stop if the mean reaches the target by two standard errors."""
        sample = self.sample(self.best.x)
        sure = sample.mean + 2 * sample.stderr <= self._cost_to_reach
        if sure and sample.n >= DECISIVE_DRAWS:
            return {"target": self._sign * sample.mean}
        return {}

    # ---- the end ----

    def final(self, scale: float) -> Found:
        """The best with the mean of fresh draws: those that selected it were lucky."""
        self._choose()
        if self.best.violation > 0:
            return super().final(scale)
        chosen = self.sample(self.best.x)
        self._forget()
        self._take_again(np.tile(chosen.x, (self._final_draws(), 1)))
        fresh = self.sample(chosen.x)
        return self._by_mean(fresh if fresh.n > 1 else chosen)

    def _forget(self) -> None:
        """Begin the samples anew."""
        self._samples = {}

    def _choose(self) -> None:
        """Choose among the swarm's bests by more draws: the last round's may be lucky."""
        budget = self._final_draws()
        self._evaluator.max_evals += self._reserve
        self._evaluator.held_back = 0
        stage = max(math.ceil(budget / STAGES), 1)
        for left in range(budget, 0, -stage):
            self._spend(min(stage, left))
        self._revise()
        self._look()

    def _final_draws(self) -> int:
        if math.isfinite(self._evaluator.max_evals):
            return self._reserve // 2
        return min(max(self._evaluator.calls // FINAL_SHARE, 2), FINAL_DRAWS)

    def found(self) -> Found:
        """The best with its mean so far."""
        if 0 < self.best.violation < math.inf:
            return super().found()
        return self._by_mean(self.sample(self.best.x))

    def _by_mean(self, sample: Sample) -> Found:
        fun = self._sign * sample.mean if sample.n else self.value
        return self._found(fun)._replace(stderr=sample.stderr, n=sample.n)

    # ---- samples ----

    def _bests(self) -> Floats:
        return self._decode(self._search.personal_bests)

    def _take(self, points: Floats, costs: Sequence[float] | Floats) -> None:
        for x, cost in zip(points, costs, strict=True):
            self._store(self.sample(x).add(float(cost)))

    def _store(self, sample: Sample) -> None:
        self._samples[sample.x.tobytes()] = sample

    def _take_again(self, points: Floats) -> None:
        """Draw known points once more; a failed draw says nothing about the mean of the others."""
        values, _, error = self._evaluator(points)
        if error is not None:
            raise error
        costs = self._sign * np.array(values, dtype=np.float64)
        drawn = np.isfinite(costs)
        self._take(points[drawn], costs[drawn])

    def _spend(self, budget: int) -> None:
        """Draw known points again, `budget` times in total."""
        samples = [s for s in self._samples.values() if math.isfinite(s.mean)]
        if not samples:
            return
        points, counts, means, squares = map(np.array, zip(*samples, strict=True))
        freedom = int((counts - 1).sum())
        # no noise is known yet: one draw each, from the best on
        if freedom < ENOUGH or squares.sum() == 0:
            turns = np.argsort(means, kind="stable")[np.arange(budget) % len(means)]
            more = np.bincount(turns, minlength=len(means))
        else:
            # A few draws say little about a point's own noise: it is first taken to be like the
            # others'.
            pooled = squares.sum() / freedom
            variances = (ENOUGH * pooled + squares) / (ENOUGH + counts - 1)
            more = allocate(means, variances, counts, budget)
        self._take_again(np.repeat(points, more, axis=0))

    @abstractmethod
    def _revise(self) -> None:
        """Tell the search what repeated draws say about its bests."""

    def state_dict(self) -> dict[str, Any]:
        """The best point, and the samples."""
        return super().state_dict() | columns(self._samples.values(), Sample, "noise.")

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored."""
        super().load_state_dict(saved)
        self._samples = {s.x.tobytes(): s for s in rows_of(saved, Sample, "noise.")}


class ByMeans(Resampling[Revalued]):
    """For a swarm: its best values are sample means, kept for one population."""

    def _revise(self) -> None:
        """Replace the swarm's remembered values of its bests by sample means."""
        values = self._search.personal_best_values
        for i, x in enumerate(self._bests()):
            if sample := self._samples.get(x.tobytes()):
                values[i] = self._sign * sample.mean
        best = self.sample(self._best_position())
        self._search.revalue(values, self._sign * best.mean if best.n else None)


class ByProcess(Resampling[LearnsDraws]):
    """For a search whose Gaussian process learns every draw and ranks the points.

    A point that was among the best before may be so again, so all draws are kept.
    """

    def __init__(
        self,
        search: LearnsDraws,
        problem: Problem,
        evaluator: Evaluator,
        sign: float,
        target: float | None,
    ) -> None:
        self._all: dict[bytes, Sample] = {}  # of every point, by its bytes
        super().__init__(search, problem, evaluator, sign, target)

    def sample(self, x: Floats) -> Sample:
        return self._all.get(x.tobytes()) or Sample(x.copy())

    def keep(self, judged: Sequence[Evaluated]) -> None:
        super().keep(judged)
        self._look_up_bests()

    def _look_up_bests(self) -> None:
        """Consider the best points, with all their draws."""
        bests = [x.tobytes() for x in self._bests()]
        self._samples = {key: self._all[key] for key in bests if key in self._all}

    def _take(self, points: Floats, costs: Sequence[float] | Floats) -> None:
        super()._take(points, costs)
        self._search.take_draws(self._coding.encode(points), np.asarray(costs))

    def _store(self, sample: Sample) -> None:
        super()._store(sample)
        self._all[sample.x.tobytes()] = sample

    def _revise(self) -> None:
        """Do nothing: the search knows the draws."""

    def state_dict(self) -> dict[str, Any]:
        """The best point, and the samples."""
        return super().state_dict() | columns(self._all.values(), Sample, "noise.")

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored."""
        super().load_state_dict(saved)
        self._all = self._samples
        self._look_up_bests()

    def _forget(self) -> None:
        super()._forget()
        self._all = {}
