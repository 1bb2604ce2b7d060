"""Points proposed by a model of the costs, and mutations of the best point, as runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE, array, given, known
from pyswarmopt.hybrid.gaussian_process import GaussianProcess, on_log_scale
from pyswarmopt.hybrid.kinds import Kinds
from pyswarmopt.hybrid.run import Run

Merit = Callable[[Floats], Floats]  # merit of points, (n, M): (n,)

# most distance of the first point from the middle, which should not solve any function by itself
OFF_CENTRE = 0.1
GROWTH = 1.15  # lengths are learnt again when the number of points has grown by this factor
SPREAD = 256  # candidates all over the box
AROUND = 5  # best points with neighbours as candidates
WIDTHS = (0.3, 0.1, 0.03, 0.01)  # widths of the neighbours
EACH = 24  # neighbours per point and width
KEPT = 8  # best candidates around which further ones are tried
MUTANTS = 8  # points of a round
DOUBT = 2.0  # deviations by which a failed point counts worse than expected
NARROWEST = 1e-4  # width of a mutation, as a share of the range
WIDEST = 0.5


@dataclass(repr=False, eq=False)
class Proposals(Run):
    """Proposes the points of greatest expected improvement by a Gaussian process, after a Latin
    hypercube.

    Jones et al. 1998, Journal of Global Optimization 13, equation 15. When several are proposed at
    once, each counts at its expectation while the next is chosen (the kriging believer of
    Ginsbourger et al. 2010); so do pending points. A point that failed counts two deviations worse
    than the others let expect: single failures then do not matter, and regions of them are left
    (with one deviation Forrester, Sóbester & Keane 2006, Proc. R. Soc. A 462, "Optimization with
    missing data").
    """

    kinds: Kinds = known()
    first: int = 4  # points of the Latin hypercube
    last: int = 0  # points after which it ends
    at_once: int = 1  # points proposed at a time
    points: Floats = array("kD")  # evaluated, snapped
    costs: Floats = array("k")  # their costs
    theta: Floats = array("t")  # of the process
    fitted: int = 0  # number of points when the lengths were learnt
    design: Floats = array("fD")  # starting points
    under_way = NONE  # pending points, (k, D), snapped: told before each proposal, so not saved

    def __post_init__(self) -> None:
        self.points = self.points.reshape(-1, len(self.kinds.levels))
        self.done = len(self.points) >= self.last

    def propose(self, random: np.random.Generator) -> Floats:
        proposed = len(self.points) + len(self.under_way)
        if proposed < self.first:
            return self._designed(random)[proposed:][: self.at_once]
        if not len(self.points):
            return self.kinds.draw(self.at_once, random)
        points = self.points
        process, scores = self._modelled()
        if len(self.under_way):
            process.fit(points, scores)
            scores = np.append(scores, process.predict(self.under_way)[0])
            points = np.concatenate([points, self.under_way])
        fixed = len(points)
        while True:
            process.fit(points, scores)
            believed = self._believed(process, points, scores)
            merit = expected_improvement(process, float(believed.min()))
            proposal = most_promising(merit, self.kinds, points, believed, random)[None]
            points = np.concatenate([points, proposal])
            if len(points) >= fixed + self.at_once:
                return points[fixed:]
            scores = np.append(scores, process.predict(proposal)[0])

    def _designed(self, random: np.random.Generator) -> Floats:
        """The starting points: a Latin hypercube, whose first point lies near the middle."""
        if not len(self.design):
            self.design = self.kinds.draw(self.first, random)
            ordered = self.kinds.ordered
            near = 0.5 + OFF_CENTRE * random.uniform(-1, 1, (1, len(ordered)))
            self.design[0, ordered] = self.kinds.snap(near)[0, ordered]
        return self.design

    def _modelled(self) -> tuple[GaussianProcess, Floats]:
        """The process, and the scores of all points, (n,), expected ones where a call failed."""
        failed = ~np.isfinite(self.costs)
        if failed.all():  # they count alike
            failed = ~failed
        scores = np.empty(len(failed))
        scores[~failed] = on_log_scale(self.costs[~failed])
        process = self._learnt(self.points[~failed], scores[~failed])
        if failed.any():
            process.fit(self.points[~failed], scores[~failed])
            mean, deviation = process.predict(self.points[failed])
            scores[failed] = np.maximum(mean + DOUBT * deviation, scores[~failed].min())
        return process, scores

    def _learnt(self, points: Floats, scores: Floats) -> GaussianProcess:
        """The process, whose lengths are learnt again once there are more points."""
        process = GaussianProcess(self.kinds, self.theta if len(self.theta) else None)
        if len(scores) >= GROWTH * self.fitted:
            process.learn_lengths(points, scores)
            self.theta = process.theta
            self.fitted = len(scores)
        return process

    def _believed(self, process: GaussianProcess, points: Floats, scores: Floats) -> Floats:
        """Values of points, (n, M), with scores, (n,): the scores, if without noise."""
        return scores

    def learn(self, costs: Floats) -> None:
        self.take_in(self.batch, costs)

    def take_in(self, points: Floats, costs: Floats) -> None:
        """Learn the costs, (n,), of points, (n, M)."""
        self.points = np.concatenate([self.points, self.kinds.snap(points)])
        self.costs = np.concatenate([self.costs, costs])
        self.done = len(self.points) >= self.last


@dataclass(repr=False, eq=False)
class SeveralProposals(Proposals):
    """As `Proposals`, with a process for each of several outputs."""

    growth: ClassVar[float] = GROWTH
    thetas: Floats = array("pt")  # of the processes

    def fit(self, seen: Sequence[tuple[Floats, Floats]]) -> list[GaussianProcess]:
        """The process of each output, from its points, (n, M), and values, (n,)."""
        learn = len(self.points) >= self.growth * self.fitted or len(self.thetas) != len(seen)
        known = self.thetas if len(self.thetas) == len(seen) else [None] * len(seen)
        processes = [GaussianProcess(self.kinds, theta) for theta in known]
        for process, (points, output) in zip(processes, seen, strict=True):
            if learn:
                process.learn_lengths(points, output)
            process.fit(points, output)
        if learn:
            self.thetas = np.array([process.theta for process in processes])
            self.fitted = len(self.points)
        return processes


def most_promising(
    merit: Merit, kinds: Kinds, points: Floats, scores: Floats, random: np.random.Generator
) -> Floats:
    """A new point, (M,), with the greatest merit among candidates drawn all over the box and around
    the best points, then around the best candidates.

    Args:
        merit: higher is better.
        kinds: kinds of the coordinates.
        points: evaluated or pending points, (n, M), snapped; none of them is returned.
        scores: their scores, (n,), lower is better.
        random: random source.
    """
    leaders = points[np.argsort(scores, kind="stable")[:AROUND]]
    widths = np.tile(np.repeat(WIDTHS, EACH), len(leaders))
    near = kinds.neighbours(np.repeat(leaders, len(WIDTHS) * EACH, axis=0), widths, random)
    first = np.concatenate([kinds.snap(random.random((SPREAD, len(kinds.levels)))), near])
    candidates = first
    for width in WIDTHS[1:]:
        top = candidates[np.argsort(-merit(candidates), kind="stable")[:KEPT]]
        candidates = with_neighbours(top, kinds, width, EACH, random)
    taken = points.view(np.int64)  # bit for bit
    # on a small grid all remaining points may be taken
    for some in candidates, first:
        for i in np.argsort(-merit(some), kind="stable"):
            if not (taken == some[i].view(np.int64)).all(axis=1).any():
                return some[i]
    return kinds.snap(random.random((1, len(kinds.levels))))[0]


def with_neighbours(
    points: Floats, kinds: Kinds, width: float, each: int, random: np.random.Generator
) -> Floats:
    """Points, (n, M), and some neighbours of each."""
    near = np.repeat(points, each, axis=0)
    return np.concatenate([points, kinds.neighbours(near, np.full(len(near), width), random)])


def expected_improvement(process: GaussianProcess, best: float) -> Merit:
    """The merit of points: `improvement` on the best score."""
    return lambda points: improvement(*process.predict(points), best)


def improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Expected improvement on the best score: equation 15 of Jones et al."""
    z = (best - mean) / deviation
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return deviation * (z * below(z) + density)


def below(z: Floats) -> Floats:
    """The normal distribution function."""
    return 0.5 * np.array(list(map(math.erfc, (-z / math.sqrt(2)).tolist())))


@dataclass(repr=False, eq=False)
class Mutations(Run):
    """Neighbours of the best point, with all widths; it moves to better ones."""

    kinds: Kinds = known()
    best: Floats = given("D")  # snapped
    cost: float = math.inf

    def propose(self, random: np.random.Generator) -> Floats:
        widths = NARROWEST * (WIDEST / NARROWEST) ** random.random(MUTANTS)
        return self.kinds.neighbours(np.tile(self.best, (MUTANTS, 1)), widths, random)

    def learn(self, costs: Floats) -> None:
        i = int(costs.argmin())
        if costs[i] <= self.cost:
            self.best = self.batch[i].copy()
            self.cost = float(costs[i])
