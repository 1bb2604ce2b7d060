"""Noisy objectives: evaluate the bests again, so that a lucky draw does not stay the best.

A swarm remembers the best values it has seen, and under noise these are the luckiest. Here every
personal best, and every new position that might become one, is a sample mean. In each iteration
some evaluations are spent on evaluating again, divided by OCBA (optimal computing budget
allocation: Chen, Lin, Yucesan & Chick 2000, Discrete Event Dynamic Systems 10, theorem 1), which
gives most to those that are hard to tell from the best. For PSO: Pan, Wang & Liu 2006, Appl. Math.
Comput. 181; Rada-Vilela, Johnston & Zhang 2014, Swarm Evol. Comput. 17, compare the variants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, Ints
from pyswarmopt.base.checkpoint import check

if TYPE_CHECKING:
    from pyswarmopt.swarm import Swarm

# (n, D) points -> their costs, (n,), and which were evaluated, (n,)
Draw = Callable[[Floats], tuple[Floats, Bools]]

# Evaluations spent again per particle and iteration. Of 1/4, 1/2, 1 and 2, this came nearest to the
# optimum of the sphere, Rosenbrock's and Rastrigin's function under noise of 0.1, 1 and 10 in most
# cases.
SHARE_AGAIN = 0.25
# Repeated draws that an estimate of the noise needs to be of use.
ENOUGH = 5
STAGES = 10  # in which the draws of the last choice are divided
DECISIVE_DRAWS = 10  # without these a mean does not count as reaching the target
SURE_DRAWS = 30  # of a best that seems to reach it


@dataclass(frozen=True)
class Sample:
    """What is known of one point.

    Attributes:
        n: draws.
        mean: their mean; infinite if one of them failed.
        square_sum: sum of squared deviations from the mean.
    """

    n: int = 0
    mean: float = 0.0
    square_sum: float = 0.0

    def add(self, value: float) -> Sample:
        """With one more draw; the update of Welford 1962, Technometrics 4(3)."""
        if not (math.isfinite(value) and math.isfinite(self.mean)):
            return Sample(self.n + 1, math.inf, 0.0)
        step = value - self.mean
        mean = self.mean + step / (self.n + 1)
        return Sample(self.n + 1, mean, self.square_sum + step * (value - mean))

    @property
    def stderr(self) -> float:
        """Standard error of the mean; infinite for less than two draws."""
        return math.sqrt(self.square_sum / (self.n - 1) / self.n) if self.n > 1 else math.inf


def allocate(means: Floats, variances: Floats, counts: Ints, budget: int) -> Ints:
    """Divide `budget` more draws so that the smallest mean is found with the greatest probability.

    OCBA, Chen et al. 2000, theorem 1: N_i / N_j = (s_i / d_i)^2 / (s_j / d_j)^2 for all but the
    best b, where s_i is the standard deviation of a draw and d_i the distance of mean i from the
    smallest, and N_b = s_b sqrt(sum N_i^2 / s_i^2). Distances below what all draws together could
    resolve count as that, so that ties do not take everything.

    Args:
        means: (K,) sample means, finite.
        variances: (K,) variances of a draw, positive.
        counts: (K,) draws so far.
        budget: draws to divide.

    Returns:
        (K,) draws for each, adding up to `budget`.

    Example:
        >>> allocate(np.array([1.0, 2.0, 3.0]), np.full(3, 0.01), np.array([1, 1, 1]), budget=917).tolist()
        [415, 402, 100]
    """
    best = int(means.argmin())
    distances = np.maximum(means - means[best], np.sqrt(variances / (int(counts.sum()) + budget)))
    shares = variances / distances**2
    shares[best] = 0.0
    shares[best] = math.sqrt(variances[best] * float((shares**2 / variances).sum())) or 1.0
    # Who has more than its share already gets none, and the others divide the rest.
    active = np.ones(len(means), dtype=np.bool_)
    while True:
        more = np.where(
            active, shares / shares[active].sum() * (budget + counts[active].sum()) - counts, 0.0
        )
        if (more >= 0).all():
            return _whole(more, budget)
        active &= more >= 0


def _whole(shares: Floats, total: int) -> Ints:
    """Whole numbers near the shares that add up to `total`: the largest remainders are rounded
    up.
    """
    whole = np.floor(shares).astype(np.int64)
    missing = total - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:missing]] += 1
    return whole


class Resampler:
    """Samples of the personal bests of one swarm, in the memory of one population.

    Args:
        swarm: whose bests they are.
        draw: evaluates points, (n, D), again; costs are lower for better.
        decode: from the swarm's positions, (n, M), to the points that are evaluated, (n, D).
        maximize: whether the swarm does.
    """

    def __init__(
        self, swarm: Swarm, draw: Draw, decode: Callable[[Floats], Floats], maximize: bool
    ) -> None:
        self._swarm, self._draw, self._decode = swarm, draw, decode
        self._sign = -1.0 if maximize else 1.0
        self._samples: dict[bytes, Sample] = {}
        self._points: dict[bytes, Floats] = {}

    def sample(self, x: Floats) -> Sample:
        """What is known of the point x, (D,)."""
        return self._samples.get(x.tobytes(), Sample())

    def judge(self, points: Floats, costs: Floats, candidates: Bools) -> Floats:
        """Take in a first draw of each new point, draw some again, and tell the swarm what its
        bests are worth.

        Args:
            points: (N, D) the points that the swarm asked for and was not told yet.
            costs: (N,) their first draws; infinite or NaN if one failed.
            candidates: (N,) which of them were evaluated and break no constraint.

        Returns:
            (N,) mean costs of the points.
        """
        bests = self._bests()
        latest = [self._points[key] for key in self._samples]  # the bests of the last round
        self._take(points[candidates], costs[candidates])
        self._spend(
            {x.tobytes(): x for x in [*latest, *points[candidates]]},
            math.ceil(SHARE_AGAIN * len(points)),
        )
        self._revise(bests)
        means = np.array([self.sample(x).mean for x in points])
        return np.where(candidates, means, costs)

    def settle(self, budget: int) -> None:
        """Choose among the swarm's bests by `budget` more draws: the last round's may be lucky
        ones.
        """
        stage = max(math.ceil(budget / STAGES), 1)
        for left in range(budget, 0, -stage):
            self._spend(dict(self._points), min(stage, left))
        self._revise(self._bests())

    def fresh(self, x: Floats, draws: int) -> Sample:
        """Fresh draws at the chosen point, (D,): those that had it chosen were lucky ones."""
        costs, evaluated = self._draw(np.repeat(x[None], draws, axis=0))
        sample = Sample()
        for cost in costs[evaluated]:
            sample = sample.add(float(cost))
        return sample if sample.n > 1 else self.sample(x)

    def decide(self, target: float) -> None:
        """Draw a best that seems to cost no more than the target until that is sure: a small swarm
        draws none so often.

        It has `SURE_DRAWS` then, for of hundreds of bests some are lucky ten times.
        """
        x = self._best()
        sample = self.sample(x)
        if not sample.n or sample.mean > target:
            return
        again = np.repeat(x[None], max(SURE_DRAWS - sample.n, 0), axis=0)
        if len(again):
            costs, evaluated = self._draw(again)
            self._take(again[evaluated], costs[evaluated])
            self._revise(self._bests())

    def reaches(self, x: Floats, target: float) -> bool:
        """Whether the mean at x, (D,), is no more than the target, with two standard errors on the
        safe side.
        """
        sample = self.sample(x)
        return sample.n >= DECISIVE_DRAWS and sample.mean + 2 * sample.stderr <= target

    def forget(self) -> None:
        """Keep the samples of the swarm's present bests only."""
        kept = {x.tobytes() for x in self._bests()} | {self._best().tobytes()}
        self._samples = {key: sample for key, sample in self._samples.items() if key in kept}
        self._points = {key: self._points[key] for key in self._samples}

    def _bests(self) -> Floats:
        return self._decode(np.asarray(self._swarm.personal_bests))

    def _best(self) -> Floats:
        return self._decode(np.asarray(self._swarm.best.x)[None])[0]

    def _take(self, points: Iterable[Floats], costs: Iterable[float]) -> None:
        for x, cost in zip(points, costs, strict=True):
            key = x.tobytes()
            self._points.setdefault(key, x.copy())
            self._samples[key] = self._samples.get(key, Sample()).add(float(cost))

    def _spend(self, points: dict[bytes, Floats], budget: int) -> None:
        points = {key: x for key, x in points.items() if math.isfinite(self._samples[key].mean)}
        if not points:
            return
        samples = [self._samples[key] for key in points]
        counts = np.array([sample.n for sample in samples])
        means, squares = np.array([[sample.mean, sample.square_sum] for sample in samples]).T
        freedom = int((counts - 1).sum())
        # no noise is known yet: one each, from the best on
        if freedom < ENOUGH or squares.sum() == 0:
            turns = np.argsort(means, kind="stable")[np.arange(budget) % len(means)]
            more = np.bincount(turns, minlength=len(means))
        else:
            # Few draws of a point say little of its own noise: it is taken to be like that of the
            # others at first.
            pooled = squares.sum() / freedom
            variances = (ENOUGH * pooled + squares) / (ENOUGH + counts - 1)
            more = allocate(means, variances, counts, budget)
        again = np.repeat(np.array(list(points.values())), more, axis=0)
        costs, evaluated = self._draw(again)
        self._take(again[evaluated], costs[evaluated])

    def _revise(self, bests: Floats) -> None:
        """Put the sample means in the place of the values that the swarm remembers for its
        bests.
        """
        values = self._swarm.personal_best_values
        for i, x in enumerate(bests):
            if x.tobytes() in self._samples:
                values[i] = self._sign * self.sample(x).mean
        best = self.sample(self._best())
        self._swarm.revalue(values, self._sign * best.mean if best.n else None)

    def state_dict(self) -> dict[str, Any]:
        """Arrays from which `load_state_dict` restores the samples."""
        numbers = [[sample.n, sample.mean, sample.square_sum] for sample in self._samples.values()]
        return {
            "noise.points": np.array(list(self._points.values())),
            "noise.samples": np.array(numbers, dtype=np.float64),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored."""
        if saved["noise.samples"].size:
            sizes = {"c": 3}
            check(
                saved,
                {"noise.points": ("float64", "nD"), "noise.samples": ("float64", "nc")},
                sizes,
            )
        points = saved["noise.points"]
        self._points = {x.tobytes(): x.copy() for x in points}
        self._samples = {
            x.tobytes(): Sample(int(n), mean, square_sum)
            for x, (n, mean, square_sum) in zip(
                points, saved["noise.samples"].tolist(), strict=True
            )
        }
