"""A descent by line searches, as a run: what `bfgs` and `limited_memory` have in common.

A subclass says at which points the gradient is measured and which way to go. The line search
interpolates (Nocedal & Wright 2006, Numerical Optimization, section 3.5). A coordinate at a wall
that the cost pushes on stays there (projected Newton, Bertsekas 1982).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import array, given
from pyswarmopt.hybrid.runs.run import Run

EPS = float(np.finfo(np.float64).eps)
FIRST_DIFFERENCE = 1e-4  # of the side of the box, while no curvature is known
LARGEST_DIFFERENCE = 1e-3
SMALLEST_DIFFERENCE = 1e-11
FIRST_STEP = 0.2  # length of the first step, as a share of the box
LONGEST_STEP = 0.5  # in any coordinate
TRIES = 8  # points of a line search that finds nothing better
NEWTON_AFTER = 3  # iterations; fewer suffice where the function is a plain bowl
# iterations, and the share of the cost below which their gain is small
SLOW_AFTER, SLOW_GAIN = 10, 0.005
WITHOUT_GAIN = 4  # points of the first line search, none of them better
# or a change of the cost after the first step, as a share of what the first differences predict
DOUBTFUL = 0.1
TRIVIAL_GAIN = 1e-14  # of the cost, thrice in a row: the end


@dataclass
class LineSearchDescent(Run):
    """Descends from x to a local minimum in the box [0, 1]^D."""

    x: Floats = given("D")  # where to start; where it is
    cost: float = math.inf  # at x; infinite while it is not known
    _: KW_ONLY
    gradient: Floats = array("D")
    before: Floats = array("pD")  # x and gradient one iteration ago
    mode: str = "gradient"  # "newton", "line": what is evaluated
    # of differences, in units of what rounding needs
    coarseness: float = 3.0
    iterations: int = 0
    failures: int = 0
    trivial: int = 0
    latest: list[float] = field(default_factory=list)  # costs of the last iterations
    doubtful: bool = False  # the first differences may be no slopes
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
        """Whether it is done, or the last iterations gained little, as is usual among the local minima
        of a rugged function.
        """
        gain = self.latest[0] - self.latest[-1] if len(self.latest) > SLOW_AFTER else math.inf
        return self.done or gain < SLOW_GAIN * abs(self.cost)

    def check(self) -> None:
        if self.mode == "line" and not len(self.direction):
            raise ValueError("a line search without a direction")

    def propose(self, random: np.random.Generator) -> Floats:
        if self.mode == "line":
            return np.clip(self.x + self.t * self.direction, 0.0, 1.0)[None]
        return self._points_around()

    def learn(self, costs: Floats) -> None:
        if self.mode == "line":
            self._learn_line(float(costs[0]))
        else:
            self._learn_around(costs)

    @abstractmethod
    def _points_around(self) -> Floats:
        """The points whose costs tell the gradient at x, or a part of them."""

    @abstractmethod
    def _learn_around(self, costs: Floats) -> None:
        """Their costs; calls `_head` once the gradient is known."""

    @abstractmethod
    def _downhill(self, gradient: Floats, free: npt.NDArray[np.bool_]) -> Floats:
        """Where to go, (D,), in the coordinates that are free to move."""

    @abstractmethod
    def _look_around(self, newton: bool) -> None:
        """Choose what is measured next: if `newton` second derivatives, too."""

    def _head(self, gradient: Floats) -> None:
        """Choose the direction: downhill in the coordinates that are not pushed against a wall."""
        self.gradient = gradient
        self.latest = [*self.latest[-SLOW_AFTER:], self.cost]
        direction = self._downhill(gradient, self._free(gradient))
        slope = float(direction @ gradient)
        if not slope < 0:
            self.done = True
            return
        shorter = min(1.0, LONGEST_STEP / float(np.abs(direction).max()))
        self.direction, self.slope = shorter * direction, shorter * slope
        self.t, self.tries, self.best_t, self.best_cost = 1.0, 0, 0.0, self.cost
        self.mode = "line"

    def _free(self, gradient: Floats) -> npt.NDArray[np.bool_]:
        return ~(((self.x <= 0) & (gradient > 0)) | ((self.x >= 1) & (gradient < 0)))

    def _learn_line(self, cost: float) -> None:
        t = self.t
        self.tries += 1
        if cost < self.best_cost:
            self.best_t, self.best_cost, self.best_x = t, cost, self.batch[0].copy()
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
        # A point costs little beside a gradient: try the vertex of the parabola, and continue while
        # that is far ahead.
        inexact = self.tries == 1 and abs(vertex - t) > 0.25 * t
        ahead = self.tries < 6 and self.best_t == t and vertex >= 4 * t
        if inexact or ahead:
            self.t = vertex
        else:
            self._accept()

    def _accept(self) -> None:
        gain = self.cost - self.best_cost
        self.before = np.stack([self.x, self.gradient])
        self.x, self.cost = self.best_x, self.best_cost
        self.failures = 0
        self.trivial = self.trivial + 1 if gain <= TRIVIAL_GAIN * abs(self.cost) else 0
        self.iterations += 1
        self.done = self.trivial >= 3
        self._look_around(newton=self.iterations >= NEWTON_AFTER)

    def _fail(self) -> None:
        """Nothing better along the line: look around once more, and more closely."""
        self.failures += 1
        self.done = self.failures >= 2
        self._look_around(newton=True)


def either_side(x: Floats, a: Floats) -> Floats:
    """Two moves along each coordinate of x, (2, D): the first is a or -a, both stay in the box."""
    a = np.where(x + a > 1, -a, a)
    return np.stack([a, np.where((x - a < 0) | (x - a > 1), 2 * a, -a)])


def parabola(rises: Floats, moves: Floats) -> Floats:
    """First and second derivatives along coordinates, (2, k), by the costs after two moves, (2, k)."""
    (rise_a, rise_b), (a, b) = rises, moves
    first = (rise_a * b**2 - rise_b * a**2) / (a * b * (b - a))
    return np.stack([first, 2 * (rise_a / a - rise_b / b) / (a - b)])


@dataclass
class RepeatedCall(Run):
    """Evaluates x again: whether differences show slopes, or noise."""

    x: Floats = given("D")
    cost: float = math.inf  # that it had
    tolerance: float = 0.0  # a difference that does no harm
    noisy: bool = False

    def propose(self, random: np.random.Generator) -> Floats:
        return self.x[None]

    def learn(self, costs: Floats) -> None:
        self.done = True
        self.noisy = not abs(float(costs[0]) - self.cost) <= self.tolerance
