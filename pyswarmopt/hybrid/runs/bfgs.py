"""A quasi-Newton descent by differences, as a run: BFGS and one Newton step.

Every gradient is one batch of D points, so it can be evaluated in parallel. What differs from the
textbook (Nocedal & Wright 2006, Numerical Optimization, chapters 3, 6 and 8; equation numbers are
theirs):

- Differences are taken along the eigenvectors of the inverse Hessian, each as far as changes the
  cost alike, and the model's curvature is taken off: a forward difference then resolves flat
  directions beside steep ones, which one along the coordinates cannot.
- After a few iterations the Hessian is measured once, (D + 1)(D + 2)/2 points: as much as D/2
  gradients, where BFGS needs D of them to learn as much. Its negative eigenvalues count by their
  size (Dauphin et al. 2014, "saddle-free").
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE, array
from pyswarmopt.hybrid.runs.descent import (
    EPS,
    FIRST_DIFFERENCE,
    FIRST_STEP,
    LARGEST_DIFFERENCE,
    SMALLEST_DIFFERENCE,
    LineSearchDescent,
    either_side,
    parabola,
)  # fmt: skip


@dataclass
class QuasiNewton(LineSearchDescent):
    """One descent."""

    newton: bool = True  # measure the Hessian once
    _: KW_ONLY
    inverse: Floats = array("DD")  # of the Hessian
    scaled: bool = False  # `inverse` knows the size of the curvature

    def _points_around(self) -> Floats:
        if self.mode == "newton":
            return self._newton_points()
        points = self._gradient_points()
        return np.concatenate([self.x[None], points]) if math.isinf(self.cost) else points

    def _learn_around(self, costs: Floats) -> None:
        if self.mode == "newton":
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
            # at a wall only the coordinate's own axis leads inwards for sure
            inner = (x > 0) & (x < 1)
            if inner.any():
                variances, axes = np.linalg.eigh(self.inverse[np.ix_(inner, inner)])
                moves[np.ix_(inner, inner)] = (
                    axes * np.sqrt(np.maximum(variances, EPS * variances[-1]))
                ).T
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
        """BFGS, equation 6.17; the first time the scale is set before, equation 6.20 for any
        start.
        """
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

    def _newton_moves(self) -> Floats:
        """Two moves along each coordinate that change the cost by about the root of its
        rounding.
        """
        curvature = np.abs(np.diag(np.linalg.pinv(self.inverse)))
        size = np.sqrt(2 * math.sqrt(EPS) * abs(self.cost) / np.maximum(curvature, 1e-300))
        return either_side(self.x, np.clip(size, 1e-8, LARGEST_DIFFERENCE))

    def _learn_newton(self, costs: Floats) -> None:
        n = len(self.x)
        moves = self._newton_moves()
        if not np.isfinite(costs).all():
            self.done = True
            return
        rises, a = costs - self.cost, moves[0]
        gradient, curvature = parabola(rises[: 2 * n].reshape(2, n), moves)
        rise_a = rises[:n]
        i, j = np.triu_indices(n, 1)
        hessian = np.diag(curvature)
        hessian[i, j] = hessian[j, i] = (rises[2 * n :] - rise_a[i] - rise_a[j]) / (a[i] * a[j])
        values, axes = np.linalg.eigh(hessian)
        values = np.abs(values)
        self.newton = False
        if not values.any():
            self.done = True
            return
        self.inverse = (axes / np.maximum(values, 1e-10 * values.max())) @ axes.T
        self.scaled = True
        self._head(gradient)

    # ---- the line search ----

    def _downhill(self, gradient: Floats, free: npt.NDArray[np.bool_]) -> Floats:
        direction = np.zeros_like(gradient)
        direction[free] = -self.inverse[np.ix_(free, free)] @ gradient[free]
        return direction

    def _fail(self) -> None:
        if not self.newton:
            self.coarseness *= 10
        super()._fail()

    def _look_around(self, newton: bool) -> None:
        self.mode = "newton" if newton and self.newton else "gradient"
        if self.mode == "newton" or self.failures:
            self.before = NONE
