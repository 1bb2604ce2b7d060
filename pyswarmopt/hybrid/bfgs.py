"""A quasi-Newton descent by differences, as a phase: BFGS, one Newton step, an interpolating line search.

Every gradient is one batch of D points, so it can be evaluated in parallel. What differs from the textbook (Nocedal &
Wright 2006, Numerical Optimization, chapters 3, 6 and 8; equation numbers are theirs):

- Differences are taken along the eigenvectors of the inverse Hessian, each as far as changes the cost alike, and the
  model's curvature is taken off: a forward difference then resolves flat directions beside steep ones, which one along
  the coordinates cannot.
- After a few iterations the Hessian is measured once, (D + 1)(D + 2)/2 points: as much as D/2 gradients, where BFGS
  needs D of them to learn as much. Its negative eigenvalues count by their size (Dauphin et al. 2014, "saddle-free").
- A coordinate at a wall that the cost pushes on stays there (projected Newton, Bertsekas 1982).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pyswarmopt.hybrid.phase import NONE, Floats, Phase

EPS = float(np.finfo(np.float64).eps)
FIRST_DIFFERENCE = 1e-4  # of the side of the box, while no curvature is known
LARGEST_DIFFERENCE = 1e-3
SMALLEST_DIFFERENCE = 1e-11
FIRST_STEP = 0.2  # length of the first step, as a share of the box
LONGEST_STEP = 0.5  # in any coordinate
NEWTON_AFTER = 3  # iterations; fewer suffice where the function is a plain bowl
TRIES = 8  # points of a line search that finds nothing better
TRIVIAL_GAIN = 1e-14  # of the cost, thrice in a row: the end


@dataclass
class QuasiNewton(Phase):
    """Descends from x to a local minimum in the box [0, 1]^D.

    Attributes:
        x: where to start, (D,); where it stands.
        newton: measure the Hessian once.
        cost: at x; infinite while it is not known.
    """

    x: Floats
    newton: bool = True
    cost: float = math.inf
    gradient: Floats = field(default_factory=lambda: NONE, init=False)
    inverse: Floats = field(default_factory=lambda: NONE, init=False)  # of the Hessian, (D, D)
    scaled: bool = field(default=False, init=False)  # `inverse` knows the size of the curvature
    before: Floats = field(default_factory=lambda: NONE, init=False)  # x and gradient one iteration ago, (2, D)
    mode: str = field(default="gradient", init=False)
    coarseness: float = field(default=3.0, init=False)  # of differences, in units of what rounding needs
    iterations: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)
    trivial: int = field(default=0, init=False)
    # the line search: x + t * direction
    direction: Floats = field(default_factory=lambda: NONE, init=False)
    slope: float = field(default=0.0, init=False)
    t: float = field(default=1.0, init=False)
    tries: int = field(default=0, init=False)
    best_t: float = field(default=0.0, init=False)
    best_cost: float = field(default=math.inf, init=False)
    best_x: Floats = field(default_factory=lambda: NONE, init=False)

    def propose(self, random: np.random.Generator) -> Floats:
        if self.mode == "line":
            return np.clip(self.x + self.t * self.direction, 0.0, 1.0)[None]
        if self.mode == "newton":
            return self._newton_points()
        points = self._gradient_points()
        return np.concatenate([self.x[None], points]) if math.isinf(self.cost) else points

    def learn(self, costs: Floats) -> None:
        if self.mode == "line":
            self._learn_line(float(costs[0]))
        elif self.mode == "newton":
            self._learn_newton(costs)
        else:
            self._learn_gradient(costs)

    # ---- gradients ----

    def _gradient_points(self) -> Floats:
        x, n = self.x, len(self.x)
        if not len(self.inverse):
            moves = FIRST_DIFFERENCE * np.eye(n)
        else:
            moves = np.diag(np.sqrt(np.abs(np.diag(self.inverse))))
            inner = (x > 0) & (x < 1)  # at a wall only the coordinate's own axis leads inwards for sure
            if inner.any():
                variances, axes = np.linalg.eigh(self.inverse[np.ix_(inner, inner)])
                moves[np.ix_(inner, inner)] = (axes * np.sqrt(np.maximum(variances, EPS * variances[-1]))).T
            # Each changes the cost by about coarseness^2 times its rounding.
            moves *= self.coarseness * math.sqrt(4 * EPS * max(abs(self.cost), 1e-300))
            reach = np.maximum(np.abs(moves).max(axis=1, keepdims=True), 1e-300)
            moves *= np.clip(reach, SMALLEST_DIFFERENCE, LARGEST_DIFFERENCE) / reach
        points = x + moves
        outside = ((points < 0) | (points > 1)).any(axis=1)
        points[outside] = x - moves[outside]
        return np.clip(points, 0.0, 1.0)

    def _learn_gradient(self, costs: Floats) -> None:
        points = self.batch
        if len(points) > len(self.x):
            self.cost, costs, points = float(costs[0]), costs[1:], points[1:]
        if not (np.isfinite(costs).all() and math.isfinite(self.cost)):
            self.done = True
            return
        moves, rises = points - self.x, costs - self.cost
        try:
            if len(self.inverse):
                rises = rises - 0.5 * (moves * np.linalg.solve(self.inverse, moves.T).T).sum(axis=1)
            gradient = np.linalg.solve(moves, rises).astype(np.float64, copy=False)
        except np.linalg.LinAlgError:
            self.done = True
            return
        size = float(np.linalg.norm(gradient))
        if not 0 < size < math.inf:
            self.done = True
            return
        if not len(self.inverse):
            self.inverse = np.eye(len(self.x)) * (FIRST_STEP / size)
        elif len(self.before):
            self._update(self.x - self.before[0], gradient - self.before[1])
        self._head(gradient)

    def _update(self, s: Floats, y: Floats) -> None:
        """BFGS, equation 6.17; the first time the scale is set before, equation 6.20 for any start."""
        sy = float(s @ y)
        if sy <= 1e-10 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            return
        hy = self.inverse @ y
        yhy = float(y @ hy)
        if not self.scaled and yhy > 0:
            self.inverse, hy, yhy = self.inverse * (sy / yhy), hy * (sy / yhy), sy
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

    def _newton_moves(self) -> tuple[Floats, Floats]:
        """Two moves along each coordinate that change the cost by about the root of its rounding."""
        curvature = np.abs(np.diag(np.linalg.pinv(self.inverse)))
        size = np.sqrt(2 * math.sqrt(EPS) * abs(self.cost) / np.maximum(curvature, 1e-300))
        a = np.clip(size, 1e-8, LARGEST_DIFFERENCE)
        a = np.where(self.x + a > 1, -a, a)
        outside = (self.x - a < 0) | (self.x - a > 1)
        return a, np.where(outside, 2 * a, -a)

    def _learn_newton(self, costs: Floats) -> None:
        n = len(self.x)
        a, b = self._newton_moves()
        if not np.isfinite(costs).all():
            self.done = True
            return
        rises = costs - self.cost
        rise_a, rise_b = rises[:n], rises[n : 2 * n]
        i, j = np.triu_indices(n, 1)
        hessian = np.diag(2 * (rise_a / a - rise_b / b) / (a - b))
        hessian[i, j] = hessian[j, i] = (rises[2 * n :] - rise_a[i] - rise_a[j]) / (a[i] * a[j])
        values, axes = np.linalg.eigh(hessian)
        values = np.abs(values)
        self.newton = False
        if not values.any():
            self.done = True
            return
        self.inverse = (axes / np.maximum(values, 1e-10 * values.max())) @ axes.T
        self.scaled = True
        self._head((rise_a * b**2 - rise_b * a**2) / (a * b * (b - a)))

    # ---- the line search ----

    def _head(self, gradient: Floats) -> None:
        """Choose the direction: downhill in the coordinates that are not pushed against a wall."""
        self.gradient = gradient
        free = self._free(gradient)
        direction = np.zeros_like(gradient)
        direction[free] = -self.inverse[np.ix_(free, free)] @ gradient[free]
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
        bend = cost - self.cost - t * self.slope
        vertex = -self.slope * t * t / (2 * bend) if bend > 0 else 10 * t  # of the parabola, equation 3.58
        if self.best_t == 0:
            if self.tries < TRIES:
                self.t = t * min(max(vertex / t, 0.03), 0.5)
            else:
                self._fail()
            return
        vertex = min(max(vertex, 0.1 * t), 10 * t)
        # A point costs little beside a gradient: look where the parabola says, and go on while that is far ahead.
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
        """Nothing better along the line: measure the Hessian, or else the gradient more coarsely, and once more."""
        self.failures += 1
        self.done = self.failures >= 2
        if not self.newton:
            self.coarseness *= 10
        self._look_around(newton=True)

    def _look_around(self, newton: bool) -> None:
        self.mode = "newton" if newton and self.newton else "gradient"
        if self.mode == "newton" or self.failures:
            self.before = NONE


__all__ = ["QuasiNewton"]
