"""A descent by line searches and differences, as a run: BFGS.

A subclass of `LineSearchDescent` defines the points for the gradient and the direction:
`QuasiNewton`, or `LimitedMemory` for many coordinates. The line search
interpolates (Nocedal & Wright 2006, Numerical Optimization, section 3.5; equation numbers are
theirs). A coordinate that the cost pushes against a wall stays there (projected Newton, Bertsekas
1982). Every gradient is one batch of D points, so it can be evaluated in parallel.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.record import NONE, array
from pyswarmopt.default.phases import EPS, Run, fitting, one_changed

FIRST_DIFFERENCE = 1e-4  # share of the box's side, while no curvature is known
LARGEST_DIFFERENCE = 1e-3
COARSE_DIFFERENCE = 0.03  # largest difference for values with few digits
SMALLEST_DIFFERENCE = 1e-11
FIRST_STEP = 0.2  # length of the first step, as a share of the box
LONGEST_STEP = 0.5  # longest step, in any coordinate
TRIES = 8  # points of a line search without improvement
LITTLE = 0.15  # least share of the gain that slopes promise
CLEAR = 1e3  # roundings of the cost; smaller promises do not count
PROBED = 6  # points beside x
PROBE_SPACING = 3e-6  # distance between them, as a share of the box
AGREE = 4  # factor within which three orders of differences agree on the error
WITHOUT_GAIN = 4  # points of the first line search, none of them better
# or the cost's change after the first step, as a share of the first differences' prediction
DOUBTFUL = 0.1
PAIRS = 50  # kept moves and changes of the gradient
TRIVIAL_GAIN = 1e-14  # gain of the cost
MOST_TRIVIAL = 3  # trivial gains in a row: the end
MOST_FAILURES = 2  # line searches in vain, the second by differences measured anew: the end


class LineSearchDescent(Run):
    """Descends from x to a local minimum in the box [0, 1]^D."""

    x: Floats  # (D,): starting point, then current point
    cost: float = math.inf  # cost at x; infinite while unknown
    gradient: Floats = array()  # (D,)
    before: Floats = array()  # (p, D): x and gradient one iteration ago
    searching: bool = False  # along a line; otherwise the gradient is being measured
    # length of differences, in units of what rounding requires
    coarseness: float = 3.0
    iterations: int = 0
    failures: int = 0
    trivial: int = 0
    doubtful: bool = False  # whether the first differences may not be slopes
    error: float = 0.0  # error of the values beyond double's rounding
    interrupted: bool = False  # whether points beside x have failed
    misled: bool = False  # whether the latest line broke its slope's promise
    # the line search: x + t * direction
    direction: Floats = array()  # (D,)
    slope: float = 0.0
    t: float = 1.0
    tries: int = 0
    best_t: float = 0.0
    best_cost: float = math.inf
    best_x: Floats = array()  # (D,)

    def propose(self, random: np.random.Generator) -> Floats:
        if self.searching:
            return np.clip(self.x + self.t * self.direction, 0.0, 1.0)[None]
        points = self._points_around()
        if math.isinf(self.cost):
            return np.concatenate([self.x[None], points])
        return points

    def learn(self, costs: Floats) -> None:
        if self.searching:
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

    def largest_difference(self) -> float:
        """The longest difference, as a share of the box."""
        if self.error:
            return COARSE_DIFFERENCE
        return LARGEST_DIFFERENCE

    @abstractmethod
    def _points_around(self) -> Floats:
        """The points whose costs give the gradient at x, or a part of them."""

    @abstractmethod
    def _learn_around(self, costs: Floats) -> None:
        """Learn their costs, which are finite, and call `_head` once the gradient is known."""

    @abstractmethod
    def _bend(self, s: Floats, y: Floats) -> None:
        """Learn the curvature from a move and the change of the gradient, (D,) each."""

    @abstractmethod
    def _downhill(self, gradient: Floats, free: Bools) -> Floats:
        """Step, (D,), in the free coordinates."""

    def _head(self, gradient: Floats) -> None:
        """Learn the gradient at x, and choose the direction: downhill in the coordinates not pushed
        against a wall.
        """
        if not 0 < float(np.linalg.norm(gradient)) < math.inf:
            self.done = True
            return
        if len(self.before):
            s, y = np.stack([self.x, gradient]) - self.before
            if float(s @ y) > 1e-10 * float(np.linalg.norm(s) * np.linalg.norm(y)):
                self._bend(s, y)
        self.gradient = gradient
        pushed = ((self.x <= 0) & (gradient > 0)) | ((self.x >= 1) & (gradient < 0))
        if not gradient[~pushed].any():  # in a corner
            self.done = True
            return
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
        self.searching = True

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
        if bend > 0:
            vertex = -self.slope * t * t / (2 * bend)
        else:
            vertex = 10 * t
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
        self.trivial += 1
        if gain > TRIVIAL_GAIN * abs(self.cost):
            self.trivial = 0
        self.iterations += 1
        self.done = self.trivial >= MOST_TRIVIAL
        self.searching = False

    def _fail(self) -> None:
        """Nothing better along the line: measure once more, with shorter differences."""
        self.failures += 1
        self.done = self.failures >= MOST_FAILURES
        self._compare_gain(self.t, 0.0)
        self.coarseness *= 10
        self.before = NONE
        self.searching = False

    def _compare_gain(self, t: float, gain: float) -> None:
        """Compare the fall of the cost along a line with what the slope promises (half of it at a
        parabola's vertex); far less: the slopes may be errors.
        """
        promised = -t * self.slope
        self.misled = promised > CLEAR * self.rounding() and gain < LITTLE * promised


class QuasiNewton(LineSearchDescent):
    """One descent by BFGS.

    Differences are taken along the eigenvectors of the inverse Hessian, each as far as changes the
    cost alike, and the model's curvature is taken off: a forward difference then resolves flat
    directions beside steep ones, which one along the coordinates cannot.
    """

    inverse: Floats = array()  # (D, D): inverse of the Hessian
    scaled: bool = False  # whether `inverse` has the curvature's scale
    points: Floats = array()  # (k, D): of its lines
    costs: Floats = array()  # (k,): theirs

    def _points_around(self) -> Floats:
        x = self.x
        if not len(self.inverse):
            moves = FIRST_DIFFERENCE * np.eye(len(x))
        else:
            variances, axes = np.linalg.eigh(self.inverse)
            moves = (axes * np.sqrt(np.maximum(variances, EPS * variances[-1]))).T
            # Each changes the cost by about coarseness^2 times its rounding.
            moves *= self.coarseness * math.sqrt(4 * self.rounding())
            reach = np.abs(moves).max(axis=1, keepdims=True)
            moves *= np.clip(reach, SMALLEST_DIFFERENCE, self.largest_difference()) / reach
        points = x + moves
        outside = ((points < 0) | (points > 1)).any(axis=1)
        points[outside] = x - moves[outside]
        return np.clip(points, 0.0, 1.0)

    def _learn_around(self, costs: Floats) -> None:
        moves = self.batch[-len(costs) :] - self.x
        rises = costs - self.cost
        try:
            if len(self.inverse):
                bends = moves * np.linalg.solve(self.inverse, moves.T).T
                rises = rises - 0.5 * bends.sum(axis=1)
            gradient = np.linalg.solve(moves, rises).astype(np.float64, copy=False)
        except np.linalg.LinAlgError:
            self.done = True
            return
        self._head(gradient)

    def _bend(self, s: Floats, y: Floats) -> None:
        """BFGS, equation 6.17; before the first update the scale is set by equation 6.20, whatever
        the start.
        """
        sy = float(s @ y)
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

    # ---- lines ----

    def _learn_line(self, cost: float) -> None:
        self.points = np.concatenate([self.points.reshape(-1, len(self.x)), self.batch])
        self.costs = np.append(self.costs, cost)
        super()._learn_line(cost)

    def _downhill(self, gradient: Floats, free: Bools) -> Floats:
        if not len(self.inverse):
            self.inverse = np.eye(len(self.x)) * (FIRST_STEP / float(np.linalg.norm(gradient)))
        direction = np.zeros_like(gradient)
        direction[free] = -self.inverse[np.ix_(free, free)] @ gradient[free]
        return direction


class LimitedMemory(LineSearchDescent):
    """A descent for many coordinates: L-BFGS by differences, in memory of order D.

    The two-loop recursion of Liu & Nocedal 1989, Math. Programming 45 (Nocedal & Wright 2006,
    algorithm 7.4). A gradient costs D evaluations here and an update next to nothing, so more pairs
    are kept than with cheap gradients. Batches have at most `BATCH` numbers.
    """

    pairs: Floats = array()  # (k, p, D): moves and changes of the gradient
    measured: int = 0  # finished coordinates
    found: Floats = array()  # (D,): derivatives at x so far

    # ---- differences ----

    def _points_around(self) -> Floats:
        axes = fitting(self.measured, len(self.x))
        return one_changed(self.x, axes, (self.x + self._moves())[axes])

    def _moves(self) -> Floats:
        """A move along each coordinate within the box, (D,)."""
        size = FIRST_DIFFERENCE
        if len(self.pairs):
            s, y = self.pairs[-1]
            rise = self.coarseness**2 * (4 * self.rounding())
            size = math.sqrt(rise * float(s @ y) / float(y @ y))
            size = min(max(size, SMALLEST_DIFFERENCE), self.largest_difference())
        return np.where(self.x + size > 1, -size, size)

    def _learn_around(self, costs: Floats) -> None:
        axes = fitting(self.measured, len(self.x))
        if not self.measured:
            self.found = np.zeros(len(self.x))
        self.found[axes] = (costs - self.cost) / self._moves()[axes]
        self.measured = axes.stop
        if axes.stop == len(self.x):
            self.measured = 0
            self._head(self.found)

    # ---- directions ----

    def _bend(self, s: Floats, y: Floats) -> None:
        pairs = self.pairs.reshape(-1, 2, len(s))
        self.pairs = np.concatenate([pairs[-PAIRS + 1 :], [[s, y]]])

    def _downhill(self, gradient: Floats, free: Bools) -> Floats:
        """Algorithm 7.4, scaled to the latest pair."""
        q = np.where(free, gradient, 0.0)
        sy = [float(s @ y) for s, y in self.pairs]
        weights = []
        for (s, y), product in zip(self.pairs[::-1], sy[::-1], strict=True):
            weights.append(float(s @ q) / product)
            q = q - weights[-1] * y
        if len(sy):
            q = q * (sy[-1] / float(self.pairs[-1, 1] @ self.pairs[-1, 1]))
        else:
            q = q * (FIRST_STEP / float(np.linalg.norm(q)))
        for (s, y), product, weight in zip(self.pairs, sy, weights[::-1], strict=True):
            q = q + (weight - float(y @ q) / product) * s
        return np.where(free, -q, 0.0)


class NoiseProbe(Run):
    """Evaluates a few close points on a line through x: whether neighbours differ by an error.

    ECNoise of Moré & Wild 2011, SIAM J. Sci. Comput. 33, "Estimating computational noise":
    differences of a smooth function shrink from order to order, differences of errors do not.
    """

    x: Floats  # (D,)
    cost: float = math.inf  # cost at x
    error: float = 0.0  # error found; 0 for none

    def propose(self, random: np.random.Generator) -> Floats:
        direction = random.standard_normal(len(self.x))
        direction *= PROBE_SPACING / np.abs(direction).max()
        inwards = np.where(self.x > 0.5, -1.0, 1.0) * np.abs(direction)
        return self.x + np.arange(1, PROBED + 1)[:, None] * inwards

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
