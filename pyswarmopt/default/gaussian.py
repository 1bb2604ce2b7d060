"""A Gaussian process of few points, with expected costs and their uncertainty, and points that it
proposes.

Rasmussen & Williams 2006, "Gaussian Processes for Machine Learning". The kernel is Matern's with nu
= 5/2 and a length per parameter; any two labels of a category are equally far apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats, median
from pyswarmopt.base.record import NONE, array, known
from pyswarmopt.default.box import Kinds
from pyswarmopt.default.phases import Run

Merit = Callable[[Floats], Floats]  # merit of points, (n, M): (n,)

# most distance of the first point from the middle, which should not solve any function by itself
OFF_CENTRE = 0.1
GROWTH = 1.15  # lengths are learnt again when the number of points has grown by this factor
SPREAD = 256  # candidates all over the box
AROUND = 5  # best points with neighbours as candidates
WIDTHS = (0.3, 0.1, 0.03, 0.01)  # widths of the neighbours
EACH = 24  # neighbours per point and width
KEPT = 8  # best candidates around which further ones are tried
DOUBT = 2.0  # deviations by which a failed point counts worse than expected
TYPICAL_LENGTH = 0.3  # of the range, times the root of the number of parameters
TYPICAL_NOISE = 1e-3  # noise variance, as a share of the costs'
# prior standard deviations of the logarithms of lengths and noise
SPREADS = (1.0, 2.0)
LENGTHS = (-4.0, 3.0)  # least and greatest logarithm
NOISES = (math.log(1e-6), 0.0)
STEPS = 40  # steps of the search for lengths and noise
JITTER = 1e-9


def on_log_scale(costs: Floats) -> Floats:
    """The costs, (n,), in the process's scale: the logarithm of the distance from the least.

    The distances' median is added first, so that the least are distinguished and outliers do not
    matter. Infinite costs count as somewhat more than the greatest finite one. The mean is 0, the
    variance 1.

    Example:
        >>> on_log_scale(np.array([5.0, 1e9, -2.0, math.inf])).round(2).tolist()
        [-0.96, 1.0, -1.04, 1.0]
    """
    finite = np.isfinite(costs)
    if not finite.any():
        return np.zeros(len(costs))
    away = costs - costs[finite].min()
    greatest = float(away[finite].max())
    unit = median(away[finite]) or greatest or 1.0
    away[~finite] = greatest + unit
    scores = np.log1p(away / unit)
    return (scores - scores.mean()) / (float(scores.std()) or 1.0)


class GaussianProcess:
    """The process on snapped points of the unit box.

    Args:
        kinds: kinds of the M coordinates.

    Attributes:
        theta: logarithms of the lengths, one per parameter, and of the noise's variance; at first
            typical ones.
    """

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        count = kinds.count
        length = math.log(TYPICAL_LENGTH * math.sqrt(count))
        self._prior = np.array([length] * count + [math.log(TYPICAL_NOISE)])
        self._spread = np.array([SPREADS[0]] * count + [SPREADS[1]])
        self._low, self._high = np.array([LENGTHS] * count + [NOISES]).T
        self.theta = self._prior

    def learn_lengths(self, points: Floats, scores: Floats) -> None:
        """Learn lengths and noise of greatest posterior density, by resilient propagation
        (Riedmiller & Braun 1993).
        """
        squares = self._squares(points)
        theta = self.theta.copy()
        step = np.full(len(theta), 0.1)
        before = np.zeros(len(theta))
        least = math.inf
        best = theta
        for _ in range(STEPS):
            loss, slope = self._loss(theta, squares, scores)
            if loss < least:
                least = loss
                best = theta.copy()
            direction = np.sign(slope)
            turned = direction * before
            step[turned > 0] *= 1.2
            step[turned < 0] *= 0.5
            step = np.minimum(np.maximum(step, 1e-3), 1.0)
            direction[turned < 0] = 0.0
            before = direction
            theta = np.minimum(np.maximum(theta - before * step, self._low), self._high)
        self.theta = best

    def fit(self, points: Floats, scores: Floats) -> None:
        """Record points, (n, M), and their scores, (n,)."""
        self._mean = float(scores.mean())
        unit = np.where(self._kinds.ordered, 1.0, math.sqrt(0.5))  # two labels are one length apart
        self._units = math.sqrt(5) * unit * np.exp(-self.theta[self._kinds.parameter])
        scaled = points * self._units
        self._seen = np.vstack([scaled.T, np.ones(len(points)), (scaled**2).sum(axis=1)])
        covariance = self._kernel(points)
        covariance.flat[:: len(points) + 1] += math.exp(self.theta[-1]) + JITTER
        self._root, _ = inverse_root(covariance)
        self._weights = self._root.T @ (self._root @ (scores - self._mean))
        self._variance = max(float((scores - self._mean) @ self._weights) / len(points), 1e-12)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation at points, (n, M): two arrays (n,)."""
        kernel = self._kernel(points)
        roots = kernel @ self._root.T
        left = np.maximum(1 - np.einsum("ij,ij->i", roots, roots), 1e-12)
        return self._mean + kernel @ self._weights, np.sqrt(self._variance * left)

    def _kernel(self, points: Floats) -> Floats:
        """Covariances of points, (m, M), with the known ones: (m, n)."""
        scaled = points * self._units
        norms = (scaled**2).sum(axis=1)
        ones = np.ones(len(points))
        kernel = np.column_stack([-2 * scaled, norms, ones]) @ self._seen  # squared distances
        _matern(np.maximum(kernel, 0.0, out=kernel))
        return kernel

    def _squares(self, points: Floats) -> Floats:
        """Squared distances for each parameter, (parameters, n n), not scaled by lengths."""
        n = len(points)
        squares = np.zeros((self._kinds.count, n, n))
        shares = np.where(self._kinds.ordered, 1.0, 0.5)
        for j, parameter in enumerate(self._kinds.parameter):
            squares[parameter] += shares[j] * (points[:, j, None] - points[:, j]) ** 2
        return squares.reshape(self._kinds.count, n * n)

    def _loss(self, theta: Floats, squares: Floats, scores: Floats) -> tuple[float, Floats]:
        """Negative log posterior of theta, at the best variance, and its gradient; equations 5.8
        and 5.9.
        """
        n = len(scores)
        y = scores - scores.mean()
        shares = 5 * np.exp(-2 * theta[:-1])
        noise = math.exp(theta[-1])
        covariance = np.dot(shares[None], squares).reshape(n, n)
        r, decay = _matern(covariance)
        covariance.flat[:: n + 1] += noise + JITTER
        root, log_determinant = inverse_root(covariance)
        inverse = root.T @ root
        weights = inverse @ y
        variance = max(float(y @ weights) / n, 1e-12)
        away = (theta - self._prior) / self._spread
        loss = 0.5 * (n * math.log(variance) + log_determinant + float(away @ away))
        outer = np.outer(weights, weights)
        outer /= variance
        np.subtract(inverse, outer, out=outer)
        outer *= 0.5
        slope = away / self._spread
        slope[-1] += noise * float(np.trace(outer))
        r += 1
        outer *= r
        outer *= decay
        slope[:-1] += shares / 3 * np.dot(squares, outer.reshape(-1, 1))[:, 0]
        return loss, slope


def inverse_root(matrix: Floats) -> tuple[Floats, float]:
    """The inverse of the Cholesky factor of a positive definite matrix, W with W' W = its inverse,
    and the logarithm of its determinant.

    Raises:
        numpy.linalg.LinAlgError: the matrix is not positive definite.
    """
    factor = np.linalg.cholesky(matrix)
    return np.linalg.inv(factor), 2 * float(np.log(factor.diagonal()).sum())


def _matern(squares: Floats) -> tuple[Floats, Floats]:
    """Replace five times the squared distances by (1 + r + r^2 / 3) exp(-r), with r their root;
    return r and exp(-r).
    """
    r = np.sqrt(squares)
    decay = np.negative(r)
    np.exp(decay, out=decay)
    squares *= 1 / 3
    squares += r
    squares += 1
    squares *= decay
    return r, decay


# ---- proposals ----


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
    points: Floats = array()  # (k, D): evaluated, snapped
    costs: Floats = array()  # (k,): their costs
    growth: ClassVar[float] = GROWTH
    fills: ClassVar[bool] = True  # the hypercube's last round, by promising points
    thetas: Floats = array()  # (p, t): of the processes, one for each output
    fitted: int = 0  # number of points when the lengths were learnt
    design: Floats = array()  # (f, D): starting points
    under_way = NONE  # pending points, (k, D), snapped: told before each proposal, so not saved

    def __post_init__(self) -> None:
        self.points = self.points.reshape(-1, len(self.kinds.levels))
        self.done = len(self.points) >= self.last

    def propose(self, random: np.random.Generator) -> Floats:
        return self.proposals(self.at_once, random)

    def proposals(self, count: int, random: np.random.Generator) -> Floats:
        """The next points, (count, M), or fewer at the end of the hypercube, whose first point lies
        near the middle.
        """
        proposed = len(self.points) + len(self.under_way)
        if proposed >= self.first:
            return self._promising(self.under_way, count, random)
        if not len(self.design):
            self.design = self.kinds.draw(self.first, random)
            ordered = self.kinds.ordered
            near = 0.5 + OFF_CENTRE * random.uniform(-1, 1, (1, len(ordered)))
            self.design[0, ordered] = self.kinds.snap(near)[0, ordered]
        designed = self.design[proposed:][:count]
        missing = count - len(designed)
        if not (missing and self.fills):
            return designed
        waiting = np.concatenate([self.under_way.reshape(-1, designed.shape[1]), designed])
        return np.concatenate([designed, self._promising(waiting, missing, random)])

    def _promising(self, waiting: Floats, count: int, random: np.random.Generator) -> Floats:
        """The most promising points, (count, M), while others, (k, M), are pending."""
        if not len(self.points):
            return self.kinds.draw(count, random)
        points = self.points
        processes, outputs = self._modelled()
        for i in range(len(waiting)):
            points, outputs = _believed(processes, points, outputs, waiting[i : i + 1])
        known = len(points)
        while True:
            merit, order = self._judged(processes, points, outputs)
            proposal = self._chosen(merit, points, order, random)[None]
            if len(points) + 1 == known + count:
                return np.concatenate([points[known:], proposal])
            points, outputs = _believed(processes, points, outputs, proposal)

    def _chosen(
        self, merit: Merit, points: Floats, scores: Floats, random: np.random.Generator
    ) -> Floats:
        """The next point, (M,); arguments as of `most_promising`."""
        return most_promising(merit, self.kinds, points, scores, random)

    def _modelled(self) -> tuple[list[GaussianProcess], list[Floats]]:
        """The process, and the scores of all points, (n,), expected ones where a call failed."""
        failed = ~np.isfinite(self.costs)
        if failed.all():  # they count alike
            failed = ~failed
        scores = np.empty(len(failed))
        scores[~failed] = on_log_scale(self.costs[~failed])
        processes = self.fit([(self.points[~failed], scores[~failed])])
        if failed.any():
            mean, deviation = processes[0].predict(self.points[failed])
            scores[failed] = np.maximum(mean + DOUBT * deviation, scores[~failed].min())
            processes[0].fit(self.points, scores)
        return processes, [scores]

    def fit(self, seen: Sequence[tuple[Floats, Floats]]) -> list[GaussianProcess]:
        """The process of each output, from its points, (n, M), and values, (n,); lengths are learnt
        again once there are more points.
        """
        known = len(self.thetas) == len(seen)
        learn = len(self.points) >= self.growth * self.fitted or not known
        processes = []
        for i, (points, output) in enumerate(seen):
            process = GaussianProcess(self.kinds)
            if known:
                process.theta = self.thetas[i]
            if learn:
                process.learn_lengths(points, output)
            process.fit(points, output)
            processes.append(process)
        if learn:
            self.thetas = np.array([process.theta for process in processes])
            self.fitted = len(self.points)
        return processes

    def _judged(
        self, processes: list[GaussianProcess], points: Floats, outputs: list[Floats]
    ) -> tuple[Merit, Floats]:
        """The merit of further points, and an order of these points, (n,): smaller is better."""
        scores = self._scores(processes[0], points, outputs[0])
        best = float(scores.min())
        return (lambda x: improvement(*processes[0].predict(x), best)), scores

    def _scores(self, process: GaussianProcess, points: Floats, scores: Floats) -> Floats:
        """Values of points, (n, M), with scores, (n,): the scores, if without noise."""
        return scores

    def learn(self, costs: Floats) -> None:
        self.take_in(self.batch, costs)

    def take_in(self, points: Floats, costs: Floats) -> None:
        """Learn the costs, (n,), of points, (n, M)."""
        self.points = np.concatenate([self.points, self.kinds.snap(points)])
        self.costs = np.concatenate([self.costs, costs])
        self.done = len(self.points) >= self.last


def _believed(
    processes: list[GaussianProcess], points: Floats, outputs: list[Floats], x: Floats
) -> tuple[Floats, list[Floats]]:
    """The data with a point, (1, M), added at its expected outputs (the kriging believer), which
    the processes also learn.
    """
    points = np.concatenate([points, x])
    believed = []
    for process, output in zip(processes, outputs, strict=True):
        believed.append(np.append(output, process.predict(x)[0]))
        process.fit(points, believed[-1])
    return points, believed


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
        beside = np.repeat(top, EACH, axis=0)
        near = kinds.neighbours(beside, np.full(len(beside), width), random)
        candidates = np.concatenate([top, near])
    # on a small grid all remaining points may be taken
    for some in candidates, first:
        for i in np.argsort(-merit(some), kind="stable"):
            if not (points == some[i]).all(axis=1).any():
                return some[i]
    return kinds.snap(random.random((1, len(kinds.levels))))[0]


def improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Expected improvement on the best score: equation 15 of Jones et al."""
    z = (best - mean) / deviation
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return deviation * (z * below(z) + density)


def below(z: Floats) -> Floats:
    """The normal distribution function."""
    return 0.5 * np.array(list(map(math.erfc, (-z / math.sqrt(2)).tolist())))
