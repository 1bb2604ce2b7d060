"""Searches along the coordinate axes, for functions that are sums of functions of single
coordinates.

Such functions can be recognised: for points x, y and any set S of coordinates, exchanging S between
them leaves f(x) + f(y) unchanged. Then each coordinate can be searched separately, across many
local minima, by STEP (Swarzberg, Seront & Bersini 1994, IEEE CEC): try the interval that would need
the least curvature to contain a better value, here at that parabola's vertex. Every other step
refines the best point by interpolation instead.
"""

from __future__ import annotations

import math
from dataclasses import field

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import array
from pyswarmopt.default.phases import Run, fitting, one_changed

EXCHANGES = 2  # a non-separable function may pass one exchange by chance
AGREEMENT = 1e-9  # share of the differences between costs, in addition to rounding
LARGEST_ERROR = 0.01  # of values, as a share of the differences between costs
MARGIN = 1e-3  # least improvement in STEP, as a share of the range of costs on the axis
FIRST_POINTS = 5  # first points on an axis, before interpolation
SMALLEST_INTERVAL = 1e-9
MOST_LACKING = 0.5  # largest share of the promised gain that a sum of functions may lack
STEPS = 400  # points on each axis


class SeparabilityTest(Run):
    """Exchanges coordinates between x, the best point, and a random point; five points."""

    x: Floats  # (D,)
    cost: float = math.inf
    error: float = 0.0  # error of the values beyond double's rounding
    separable: bool = False

    def propose(self, random: np.random.Generator) -> Floats:
        x = self.x
        y = random.random(len(self.x))
        points = [y]
        for _ in range(EXCHANGES):
            order = random.permutation(len(x))
            exchanged = order < random.integers(1, max(len(x), 2))
            points += [np.where(exchanged, x, y), np.where(exchanged, y, x)]
        return np.array(points)

    def learn(self, costs: Floats) -> None:
        self.done = True
        if not (np.isfinite(costs).all() and math.isfinite(self.cost)):
            return
        other = float(costs[0])
        pairs = costs[1:].reshape(EXCHANGES, 2)
        spread = max(abs(self.cost - other), float(np.abs(pairs[:, 0] - pairs[:, 1]).max()))
        size = max(abs(self.cost), float(np.abs(costs).max()))
        error = np.abs(self.cost + other - pairs.sum(axis=1))
        # an error next to the differences, such as a jump leaves, would let anything pass
        largest = LARGEST_ERROR * spread
        rounding = 1e-14 * size
        allowed = AGREEMENT * spread + rounding
        if rounding < 4 * self.error <= largest:
            allowed = AGREEMENT * spread + 4 * self.error
        self.separable = bool(rounding <= largest and (error <= allowed).all())


class AxisSearch(Run):
    """One search along each axis through x, all at once: a batch has a point on each axis (or on as
    many as fit), and x again.

    If only the sum of gains were used, an error in x's cost would enter every improving axis, and
    grow by a factor of up to D per round: rounding errors would reach the size of the cost in ten
    rounds of 100 coordinates.
    """

    x: Floats  # (D,): the start; then the best coordinates combined
    cost: float = math.inf  # cost at x
    steps: int = STEPS
    points: list[list[float]] = field(default_factory=list)  # on each axis
    # the axis' part of the cost at each; infinite if the call failed
    values: list[list[float]] = field(default_factory=list)
    coordinates: Floats = array()  # (a,)
    searched: int = 0  # points on the axes
    measured: float = math.inf  # latest cost of a combined point that was measured
    spread: float = 0.0  # largest difference between costs
    missed: bool = False  # whether a combined point gave far less than the sum of its gains
    idle: int = 0  # points since the latest gain

    def __post_init__(self) -> None:
        self.points = [[x] for x in self.x.tolist()]
        self.values = [[0.0] for _ in self.points]

    def propose(self, random: np.random.Generator) -> Floats:
        refine = self.searched // len(self.x) % 2 == 0
        axes = fitting(self.searched % len(self.x), len(self.x))
        self.coordinates = np.array([_next(self.points[i], self.values[i], refine) for i in axes])
        return np.vstack([self.x, one_changed(self.x, axes, self.coordinates)])

    def learn(self, costs: Floats) -> None:
        axes = fitting(self.searched % len(self.x), len(self.x))
        self.searched += len(axes)
        if math.isfinite(costs[0]):
            self._compare(float(costs[0]))
        gain = 0.0
        for cost, t, i in zip(costs[1:].tolist(), self.coordinates.tolist(), axes, strict=True):
            points = self.points[i]
            values = self.values[i]
            before = min(values)
            if t not in points:
                points.append(t)
                values.append(before + (cost - self.cost) if math.isfinite(cost) else math.inf)
            gain += before - min(values)
            self.x[i] = points[values.index(min(values))]
        finite = costs[np.isfinite(costs)]
        if finite.size:
            self.spread = max(self.spread, float(np.ptp(finite)))
        self.cost -= gain
        self.idle += len(costs)
        if gain > AGREEMENT * self.spread:
            self.idle = 0
        self.done = self.searched >= self.steps * len(self.x)

    def _compare(self, cost: float) -> None:
        """Compare the measured cost at x with what the gains on the axes promised."""
        lacking = cost - self.cost
        promised = self.measured - self.cost
        clear = lacking > max(AGREEMENT * self.spread, 1e-14 * abs(cost))
        self.missed |= clear and lacking > MOST_LACKING * promised
        self.cost = cost
        self.measured = cost


def _next(points: list[float], values: list[float], refine: bool) -> float:
    """Next point on an axis, given the points so far and their values.

    A failed point counts as twice as bad as the others, so that it is not proposed again.
    """
    t = np.sort(points)
    v = np.array(values)[np.argsort(points)]
    worst = v[np.isfinite(v)].max()
    v = np.where(np.isfinite(v), v, worst + (worst - v.min() or 1.0))
    if len(t) < FIRST_POINTS:
        if t[0] > 0 or t[-1] < 1:
            return 0.0 if t[0] > 1 - t[-1] else 1.0
        k = int(np.diff(t).argmax())
        return float(t[k] + t[k + 1]) / 2
    if refine:
        vertex = _refined(t, v)
        if vertex is not None:
            return vertex
    target = v.min() - max(MARGIN * float(v.max() - v.min()), 1e-300)
    left = np.sqrt(v[:-1] - target)
    right = np.sqrt(v[1:] - target)
    width = np.diff(t)
    # The parabola through both ends that just touches the target has curvature ((left + right) /
    # width)^2.
    k = int(np.where(width > SMALLEST_INTERVAL, (left + right) / width, np.inf).argmin())
    return float(t[k] + width[k] * np.clip(left[k] / (left[k] + right[k]), 0.1, 0.9))


def _refined(t: Floats, v: Floats) -> float | None:
    """The vertex of the parabola through the best point and its neighbours, or None if there is no
    room left.
    """
    k = int(v.argmin())
    if k in (0, len(t) - 1):
        other = t[abs(k - 1)]  # the neighbour of an end
        if abs(other - t[k]) > SMALLEST_INTERVAL:
            return float(t[k] + other) / 2
        return None
    left, best, right = t[k - 1 : k + 2]
    if right - left < SMALLEST_INTERVAL:
        return None
    vertex = best
    a = left - best
    b = right - best
    rise_a = v[k - 1] - v[k]
    rise_b = v[k + 1] - v[k]
    if rise_a + rise_b > 0:
        vertex += (rise_a * b**2 - rise_b * a**2) / (2 * (rise_a * b - rise_b * a))
    if abs(vertex - best) < 0.1 * SMALLEST_INTERVAL or not left < vertex < right:
        wider = right if right - best > best - left else left  # to know the other side as well
        return float(best + 0.1 * (wider - best))
    return float(vertex)
