"""A descent by line searches and differences, as a run: BFGS with one Newton step.

A subclass of `LineSearchDescent` defines the points for the gradient and the direction:
`QuasiNewton` here, `pyswarmopt.hybrid.limited_memory` for many coordinates. The line search
interpolates (Nocedal & Wright 2006, Numerical Optimization, section 3.5; equation numbers are
theirs). A coordinate that the cost pushes against a wall stays there (projected Newton, Bertsekas
1982). Every gradient is one batch of D points, so it can be evaluated in parallel.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.record import NONE, array, given
from pyswarmopt.hybrid.run import EPS, Run

FIRST_DIFFERENCE = 1e-4  # share of the box's side, while no curvature is known
LARGEST_DIFFERENCE = 1e-3
COARSE_DIFFERENCE = 0.03  # largest difference for values with few digits
SMALLEST_DIFFERENCE = 1e-11
FIRST_STEP = 0.2  # length of the first step, as a share of the box
LONGEST_STEP = 0.5  # longest step, in any coordinate
TRIES = 8  # points of a line search without improvement
NEWTON_AFTER = 3  # iterations; fewer suffice for a plain bowl
# iterations, and the share of the cost below which their gain is small
SLOW_AFTER = 10
SLOW_GAIN = 0.005
LITTLE = 0.15  # least share of the gain that slopes promise
CLEAR = 1e3  # roundings of the cost; smaller promises do not count
MISLED = 2  # lines in a row that keep less: slopes may be errors
INSIDE = 1e-12  # most distance of a point from its line, unless a wall has cut the step
PARABOLA = 0.1  # most relative difference between two curvatures of a parabola
ANOTHER_SLOPE = 0.5  # difference of two slopes that cannot both be right, as a share of their sizes
ANOTHER_BEND = 0.4  # likewise for two curvatures, relative to the larger
PROBED = 6  # points beside x
PROBE_SPACING = 3e-6  # distance between them, as a share of the box
AGREE = 4  # factor within which three orders of differences agree on the error
WITHOUT_GAIN = 4  # points of the first line search, none of them better
# or the cost's change after the first step, as a share of the first differences' prediction
DOUBTFUL = 0.1
TRIVIAL_GAIN = 1e-14  # gain of the cost, three times in a row: the end


@dataclass(repr=False, eq=False)
class LineSearchDescent(Run):
    """Descends from x to a local minimum in the box [0, 1]^D."""

    x: Floats = given("D")  # starting point, then current point
    cost: float = math.inf  # cost at x; infinite while unknown
    newton: bool = True  # whether to measure second derivatives once
    _: KW_ONLY
    gradient: Floats = array("D")
    before: Floats = array("pD")  # x and gradient one iteration ago
    mode: str = "gradient"  # "newton", "line": what is being evaluated
    # length of differences, in units of what rounding requires
    coarseness: float = 3.0
    iterations: int = 0
    failures: int = 0
    trivial: int = 0
    latest: list[float] = field(default_factory=list)  # costs of the last iterations
    doubtful: bool = False  # whether the first differences may not be slopes
    error: float = 0.0  # error of the values beyond double's rounding
    interrupted: bool = False  # whether points beside x have failed
    misled: int = 0  # lines in a row that broke their slope's promise
    # the line search: x + t * direction
    direction: Floats = array("D")
    slope: float = 0.0
    t: float = 1.0
    tries: int = 0
    best_t: float = 0.0
    best_cost: float = math.inf
    best_x: Floats = array("D")

    @property
    def ended(self) -> bool:
        """Whether it has ended, or the last iterations gained little, as is usual in the local
        minima of a rugged function.
        """
        gain = self.latest[0] - self.latest[-1] if len(self.latest) > SLOW_AFTER else math.inf
        return self.done or gain < SLOW_GAIN * abs(self.cost)

    def check(self) -> None:
        if self.mode == "line" and not len(self.direction):
            raise ValueError("a line search without a direction")

    def propose(self, random: np.random.Generator) -> Floats:
        if self.mode == "line":
            return np.clip(self.x + self.t * self.direction, 0.0, 1.0)[None]
        points = self._points_around()
        return np.concatenate([self.x[None], points]) if math.isinf(self.cost) else points

    def learn(self, costs: Floats) -> None:
        if self.mode == "line":
            self._learn_line(float(costs[0]))
            return
        if math.isinf(self.cost):
            self.cost = float(costs[0])
            costs = costs[1:]
        if np.isfinite(costs).all() and math.isfinite(self.cost):
            self._learn_around(costs)
        else:
            self.interrupted = math.isfinite(self.cost)
            self.done = True

    def rounding(self) -> float:
        """The error of a cost near the current one."""
        return max(EPS * max(abs(self.cost), 1e-300), self.error)

    def clear_share(self) -> float:
        """Share of the cost that second differences resolve: the root of its rounding."""
        return math.sqrt(max(EPS, self.error / max(abs(self.cost), 1e-300)))

    def largest_difference(self) -> float:
        """The longest difference, as a share of the box."""
        return COARSE_DIFFERENCE if self.error else LARGEST_DIFFERENCE

    @abstractmethod
    def _points_around(self) -> Floats:
        """The points whose costs give the gradient at x, or a part of them."""

    @abstractmethod
    def _learn_around(self, costs: Floats) -> None:
        """Learn their costs, which are finite, and call `_head` once the gradient is known."""

    @abstractmethod
    def _downhill(self, gradient: Floats, free: Bools) -> Floats:
        """Step, (D,), in the free coordinates."""

    def _head(self, gradient: Floats) -> None:
        """Choose the direction: downhill in the coordinates not pushed against a wall."""
        self.gradient = gradient
        self.latest = [*self.latest[-SLOW_AFTER:], self.cost]
        pushed = ((self.x <= 0) & (gradient > 0)) | ((self.x >= 1) & (gradient < 0))
        direction = self._downhill(gradient, ~pushed)
        slope = float(direction @ gradient)
        if not slope < 0:
            self.done = True
            return
        shorter = min(1.0, LONGEST_STEP / float(np.abs(direction).max()))
        self.direction = shorter * direction
        self.slope = shorter * slope
        self.t = 1.0
        self.tries = 0
        self.best_t = 0.0
        self.best_cost = self.cost
        self.mode = "line"

    def _learn_line(self, cost: float) -> None:
        t = self.t
        self.tries += 1
        if cost < self.best_cost:
            self.best_t = t
            self.best_cost = cost
            self.best_x = self.batch[0].copy()
        if self.iterations == 0:
            little = self.tries == 1 and abs(cost - self.cost) < DOUBTFUL * abs(t * self.slope)
            self.doubtful |= little or (self.tries >= WITHOUT_GAIN and self.best_t == 0)
        bend = cost - self.cost - t * self.slope
        # of the parabola, equation 3.58
        vertex = -self.slope * t * t / (2 * bend) if bend > 0 else 10 * t
        if self.best_t == 0:
            if self.tries < TRIES:
                self.t = t * min(max(vertex / t, 0.03), 0.5)
            else:
                self._fail()
            return
        vertex = min(max(vertex, 0.1 * t), 10 * t)
        # A point is cheap compared with a gradient: try the parabola's vertex, and continue while
        # it is far ahead.
        inexact = self.tries == 1 and abs(vertex - t) > 0.25 * t
        ahead = self.tries < 6 and self.best_t == t and vertex >= 4 * t
        if inexact or ahead:
            self.t = vertex
        else:
            self._accept()

    def _accept(self) -> None:
        gain = self.cost - self.best_cost
        self._compare_gain(self.best_t, gain)
        self.before = np.stack([self.x, self.gradient])
        self.x = self.best_x
        self.cost = self.best_cost
        self.failures = 0
        self.trivial = self.trivial + 1 if gain <= TRIVIAL_GAIN * abs(self.cost) else 0
        self.iterations += 1
        self.done = self.trivial >= 3
        self.mode = "newton" if self.newton and self.iterations >= NEWTON_AFTER else "gradient"

    def _fail(self) -> None:
        """Nothing better along the line: measure once more, with shorter differences."""
        self.failures += 1
        self.done = self.failures >= 2
        self._compare_gain(self.t, 0.0)
        if not self.newton:
            self.coarseness *= 10
        self.before = NONE
        self.mode = "newton" if self.newton else "gradient"

    def _compare_gain(self, t: float, gain: float) -> None:
        """Count the lines in a row along which the cost falls far less than predicted (half the
        slope at a parabola's vertex).
        """
        promised = -t * self.slope
        clear = promised > CLEAR * self.rounding()
        self.misled = self.misled + 1 if clear and gain < LITTLE * promised else 0

    @property
    def suspect(self) -> bool:
        """Whether its slopes may be errors."""
        return self.misled >= MISLED


def either_side(x: Floats, a: Floats) -> Floats:
    """Two moves along each coordinate of x, (2, D): the first is a or -a; both stay in the box."""
    a = np.where(x + a > 1, -a, a)
    return np.stack([a, np.where((x - a < 0) | (x - a > 1), 2 * a, -a)])


def parabola(rises: Floats, moves: Floats) -> Floats:
    """First and second derivatives along coordinates, (2, k), from the costs after two moves, (2,
    k).
    """
    rise_a, rise_b = rises
    a, b = moves
    first = (rise_a * b**2 - rise_b * a**2) / (a * b * (b - a))
    return np.stack([first, 2 * (rise_a / a - rise_b / b) / (a - b)])


@dataclass(repr=False, eq=False)
class QuasiNewton(LineSearchDescent):
    """One descent by BFGS, with these differences from textbooks:

    - Differences are taken along the eigenvectors of the inverse Hessian, each as far as changes
      the cost alike, and the model's curvature is taken off: a forward difference then resolves
      flat directions beside steep ones, which one along the coordinates cannot.
    - After a few iterations the Hessian is measured once, (D + 1)(D + 2)/2 points: as much as D/2
      gradients, where BFGS needs D of them to learn as much. Its negative eigenvalues count by
      their size (Dauphin et al. 2014, "saddle-free").
    - Where the cost along a line is a parabola, its slope at the end and its curvature are known
      without differences. If differences say otherwise, the values have errors.
    """

    _: KW_ONLY
    inverse: Floats = array("DD")  # inverse of the Hessian
    scaled: bool = False  # whether `inverse` has the curvature's scale
    points: Floats = array("kD")  # of its lines
    costs: Floats = array("k")  # theirs
    line_slope: float = math.nan  # slope at the end of the latest line; NaN unless a parabola
    measured_bend: float = math.nan  # curvature along the present line, by the measured Hessian
    contradicted: bool = False  # whether differences contradicted a line

    @property
    def suspect(self) -> bool:
        return self.contradicted or super().suspect

    def _points_around(self) -> Floats:
        return self._newton_points() if self.mode == "newton" else self._gradient_points()

    def _learn_around(self, costs: Floats) -> None:
        if self.mode == "newton":
            self._learn_newton(costs)
            return
        try:
            self._learn_gradient(self.batch[-len(costs) :] - self.x, costs - self.cost)
        except np.linalg.LinAlgError:
            self.done = True

    # ---- gradients ----

    def _gradient_points(self) -> Floats:
        x = self.x
        n = len(self.x)
        if not len(self.inverse):
            moves = FIRST_DIFFERENCE * np.eye(n)
        else:
            moves = np.diag(np.sqrt(np.abs(np.diag(self.inverse))))
            # at a wall only the coordinate's own axis is sure to lead inwards
            inner = (x > 0) & (x < 1)
            if inner.any():
                variances, axes = np.linalg.eigh(self.inverse[np.ix_(inner, inner)])
                moves[np.ix_(inner, inner)] = (
                    axes * np.sqrt(np.maximum(variances, EPS * variances[-1]))
                ).T
            # Each changes the cost by about coarseness^2 times its rounding.
            moves *= self.coarseness * math.sqrt(4 * self.rounding())
            reach = np.maximum(np.abs(moves).max(axis=1, keepdims=True), 1e-300)
            moves *= np.clip(reach, SMALLEST_DIFFERENCE, self.largest_difference()) / reach
        points = x + moves
        outside = ((points < 0) | (points > 1)).any(axis=1)
        points[outside] = x - moves[outside]
        return np.clip(points, 0.0, 1.0)

    def _learn_gradient(self, moves: Floats, rises: Floats) -> None:
        if len(self.inverse):
            rises = rises - 0.5 * (moves * np.linalg.solve(self.inverse, moves.T).T).sum(axis=1)
        gradient = np.linalg.solve(moves, rises).astype(np.float64, copy=False)
        size = float(np.linalg.norm(gradient))
        if not 0 < size < math.inf:
            self.done = True
            return
        self._compare_slopes(gradient)
        if not len(self.inverse):
            self.inverse = np.eye(len(self.x)) * (FIRST_STEP / size)
        elif len(self.before):
            self._update(self.x - self.before[0], gradient - self.before[1])
        self._head(gradient)

    def _update(self, s: Floats, y: Floats) -> None:
        """BFGS, equation 6.17; before the first update the scale is set by equation 6.20, whatever
        the start.
        """
        sy = float(s @ y)
        if sy <= 1e-10 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            return
        hy = self.inverse @ y
        yhy = float(y @ hy)
        if not self.scaled and yhy > 0:
            self.inverse = self.inverse * (sy / yhy)
            hy = hy * (sy / yhy)
            yhy = sy
            self.scaled = True
        u = s / sy
        cross = np.outer(hy, u)
        updated = self.inverse + (sy + yhy) * np.outer(u, u) - (cross + cross.T)
        if np.isfinite(updated).all():
            self.inverse = updated

    # ---- the Hessian ----

    def _newton_points(self) -> Floats:
        """x + a_i e_i, x + b_i e_i, x + a_i e_i + a_j e_j, (D (D + 3) / 2, D)."""
        x = self.x
        a, b = self._newton_moves()
        i, j = np.triu_indices(len(x), 1)
        steps = np.diag(a)
        return np.concatenate([x + steps, x + np.diag(b), x + steps[i] + steps[j]])

    def _newton_moves(self) -> Floats:
        """Two moves along each coordinate that change the cost by about the root of its rounding."""
        curvature = np.abs(np.diag(np.linalg.pinv(self.inverse)))
        size = np.sqrt(2 * self.clear_share() * abs(self.cost) / np.maximum(curvature, 1e-300))
        return either_side(self.x, np.clip(size, 1e-8, self.largest_difference()))

    def _learn_newton(self, costs: Floats) -> None:
        n = len(self.x)
        rises = costs - self.cost
        moves = self._newton_moves()
        gradient, curvature = parabola(rises[: 2 * n].reshape(2, n), moves)
        i, j = np.triu_indices(n, 1)
        hessian = np.diag(curvature)
        mixed = (rises[2 * n :] - rises[i] - rises[j]) / (moves[0, i] * moves[0, j])
        hessian[i, j] = hessian[j, i] = mixed
        values, axes = np.linalg.eigh(hessian)
        values = np.abs(values)
        self.newton = False
        if not values.any():
            self.done = True
            return
        self.inverse = (axes / np.maximum(values, 1e-10 * values.max())) @ axes.T
        self.scaled = True
        self._head(gradient)
        self.measured_bend = float(self.direction @ hessian @ self.direction)

    # ---- lines that differences contradict ----

    def _learn_line(self, cost: float) -> None:
        self.points = np.concatenate([self.points.reshape(-1, len(self.x)), self.batch])
        self.costs = np.append(self.costs, cost)
        super()._learn_line(cost)

    def _accept(self) -> None:
        gain = self.cost - self.best_cost
        bend = self._bend() if gain > CLEAR * self.rounding() else math.nan
        larger = max(abs(self.measured_bend), abs(bend))
        self.contradicted |= abs(self.measured_bend - bend) > ANOTHER_BEND * larger
        self.measured_bend = math.nan
        self.line_slope = self.slope + self.best_t * bend
        super()._accept()

    def _fail(self) -> None:
        self.measured_bend = math.nan
        self.line_slope = math.nan
        super()._fail()

    def _bend(self) -> float:
        """The curvature of the present line from its two shortest steps; NaN if they disagree, or a
        wall has cut one.
        """
        steps = self.points[-self.tries :] - self.x
        t = steps @ self.direction / (self.direction @ self.direction)
        straight = np.allclose(steps, t[:, None] * self.direction, rtol=0.0, atol=INSIDE)
        if self.tries < 2 or not straight:
            return math.nan
        bends = 2 * (self.costs[-self.tries :] - self.cost - t * self.slope) / t**2
        first, second = bends[np.argsort(t)[:2]]
        return float(first) if abs(second - first) <= PARABOLA * abs(first) else math.nan

    def _compare_slopes(self, gradient: Floats) -> None:
        """Compare the slope at the end of the latest line with the gradient's there."""
        if not math.isnan(self.line_slope):
            slope = float(gradient @ self.direction)
            sizes = abs(self.slope) + abs(slope)
            self.contradicted |= abs(slope - self.line_slope) > ANOTHER_SLOPE * sizes
            self.line_slope = math.nan

    def _downhill(self, gradient: Floats, free: Bools) -> Floats:
        direction = np.zeros_like(gradient)
        direction[free] = -self.inverse[np.ix_(free, free)] @ gradient[free]
        return direction


@dataclass(repr=False, eq=False)
class NoiseProbe(Run):
    """Evaluates a few close points on a line through x: whether neighbours differ by an error.

    ECNoise of Moré & Wild 2011, SIAM J. Sci. Comput. 33, "Estimating computational noise":
    differences of a smooth function shrink from order to order, differences of errors do not.
    """

    x: Floats = given("D")
    cost: float = math.inf  # cost at x
    error: float = 0.0  # error found; 0 for none

    def propose(self, random: np.random.Generator) -> Floats:
        direction = random.standard_normal(len(self.x))
        direction *= PROBE_SPACING / np.abs(direction).max()
        inwards = np.where(self.x > 0.5, -1.0, 1.0) * np.abs(direction)
        return np.clip(self.x + np.arange(1, PROBED + 1)[:, None] * inwards, 0.0, 1.0)

    def learn(self, costs: Floats) -> None:
        self.done = True
        table = np.append(self.cost, costs)
        if np.isfinite(table).all():
            self.error = noise_in(table)


def noise_in(costs: Floats) -> float:
    """The standard deviation of the errors in costs at equal distances, (n,); 0 for a smooth
    function.

    Example:
        >>> noise_in(np.arange(7.0) ** 3)
        0.0
        >>> 0.5 < noise_in(np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0])) < 2
        True
    """
    levels: list[float] = []
    turns: list[bool] = []
    differences = costs
    for k in range(1, len(costs) - 1):
        differences = np.diff(differences)
        share = math.factorial(k) ** 2 / math.factorial(2 * k)
        levels.append(math.sqrt(share * float(np.mean(differences**2))))
        turns.append(bool((differences[1:] * differences[:-1] < 0).any()))
    for k in range(len(levels) - 2):
        some = levels[k : k + 3]
        if turns[k] and max(some) <= AGREE * min(some):
            return levels[k]
    return 0.0


@dataclass(repr=False, eq=False)
class RepeatedCall(Run):
    """Evaluates x again: whether differences show slopes, or noise."""

    x: Floats = given("D")
    cost: float = math.inf  # previous cost at x
    tolerance: float = 0.0  # a harmless difference
    noisy: bool = False

    def propose(self, random: np.random.Generator) -> Floats:
        return self.x[None]

    def learn(self, costs: Floats) -> None:
        self.done = True
        cost = float(costs[0])
        self.noisy = math.isfinite(cost) and not abs(cost - self.cost) <= self.tolerance
