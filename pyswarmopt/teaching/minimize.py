"""The default of `pyswarmopt.minimize` on one page of NumPy, to read before the real one.

It follows a search of 2 to 20 real coordinates with exact values, point by point, until the swarm
has become narrow:

1. A Gaussian process proposes the first 5 D points: `pyswarmopt.hybrid.proposals`, a page by itself.
2. `Descent`, BFGS, starts from the best of them, later ones from random points.
3. `Swarm`, CMA-ES, takes turns with them.

It omits, of `pyswarmopt.hybrid.memetic`: failed calls, values with errors, kinks that look like
errors, separable functions, everything after a narrow swarm, many coordinates, whole numbers,
labels, saved states.
It uses that module's model, its tests for these cases, and CMA-ES's constants. A test compares both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats
from pyswarmopt.hybrid.axis_search import SeparabilityTest
from pyswarmopt.hybrid.cma_es import Rates, default_population
from pyswarmopt.hybrid.descent import NoiseProbe, RepeatedCall, either_side, parabola
from pyswarmopt.hybrid.kinds import Kinds
from pyswarmopt.hybrid.proposals import Proposals
from pyswarmopt.hybrid.run import EPS, Run


class EndError(Exception):
    """The budget is spent, or the search continues in a way not shown on this page."""


def minimize(
    fun: Callable[[Floats], float], bounds: npt.ArrayLike, max_evals: int, seed: int
) -> tuple[Floats, float, int]:
    """Search for the point of a box where a function is smallest.

    Args:
        fun: (D,) -> a finite number, the same at each call.
        bounds: (D, 2), 2 <= D <= 20.
        max_evals: calls of `fun`, at least 50, the last of which repeats the best point.
        seed: seed of the random numbers.

    Returns:
        The best point, (D,), its value, and the number of calls of `fun`: fewer than `max_evals` if
        the search continues in a way not shown here.

    Example:
        >>> bowl = lambda x: float(((x - 1) ** 2).sum() + x[0] * x[1])
        >>> x, value, calls = minimize(bowl, [(-5, 5)] * 2, 50, seed=0)
        >>> abs(value - 2 / 3) < 1e-12, calls
        (True, 50)
    """
    search = Search(fun, np.array(bounds, dtype=np.float64), max_evals, seed)
    try:
        with np.errstate(all="ignore"):
            while True:
                search.take_turn()
    except EndError:
        fun(search.best_x)
        return search.best_x, search.best, search.calls + 1


class Search:
    """Chooses who proposes points: the phases in order, most urgent first."""

    def __init__(self, fun: Callable[[Floats], float], box: Floats, budget: int, seed: int) -> None:
        self.fun = fun
        self.low = box[:, 0]
        self.high = box[:, 1]
        self.dim = len(box)
        self.budget = budget
        self.random = np.random.default_rng(seed)
        self.calls = 0
        self.known: dict[bytes, float] = {}
        self.spent = dict.fromkeys(("model", "repeat", "probe", "test", "descent", "swarm"), 0)
        self.granted = 0  # evaluations of descents before the swarm started
        self.best = math.inf
        self.best_x = (self.low + self.high) / 2
        self.best_by = ""
        last = min(budget, 5 * self.dim)
        first = min(max(4, self.dim + 1), max(3, last // 4))
        self.model = Proposals(Kinds.real(self.dim), first, last)
        self.descent: Descent | None = None
        self.swarm: Swarm | None = None

    def take_turn(self) -> None:
        """Evaluate the points of the first phase that is due."""
        descent = self.descent
        if len(self.model.costs) < self.model.last:
            self._ask("model", self.model)
        elif descent and descent.doubtful and not self.spent["repeat"]:
            # with noise the best point now has another value, which is not shown here
            self._ask("repeat", RepeatedCall(self._best_unit(), self.best))
            self.model.last = 10 * self.dim
            self.descent = None
        elif descent and descent.misled >= 2 and self.spent["probe"] < 18:
            probe = NoiseProbe(descent.x, descent.cost)
            self._ask("probe", probe)
            if probe.error > 1e4 * descent.rounding():
                raise EndError("values have errors")
            descent.misled = 0
        elif descent and not self._descent_is_alone() and not self.spent["test"]:
            test = SeparabilityTest(self._best_unit(), self.best)
            self._ask("test", test)
            if test.separable:
                raise EndError("each coordinate is searched by itself")
        elif self._descent_is_alone() or self._descent_is_due():
            if descent is None or descent.done:
                self.descent = descent = self._new_descent()
            descent.learn(self._call("descent", descent.points))
            if self.swarm is None:
                self.granted = self.spent["descent"]
        else:
            self.swarm = self.swarm or Swarm(self.dim, self.random)
            self.swarm.learn(self._call("swarm", self.swarm.propose()))

    def _descent_is_alone(self) -> bool:
        """Whether the first descent has the search for itself: to its end, at most 100 D points."""
        if self.descent is None:
            return not self.spent["test"]
        within = self.granted < 100 * self.dim
        return self.swarm is None and not self.descent.done and within

    def _descent_is_due(self) -> bool:
        """Whether later ones are due: half the swarm's points while the best is theirs, else 1/8."""
        share = 0.5 if self.best_by == "descent" else 0.125
        return share * self.spent["swarm"] > self.spent["descent"] - self.granted

    def _new_descent(self) -> Descent:
        """Start from the best point, later from random points."""
        newton = (self.dim + 1) * (self.dim + 2) // 2 <= 0.25 * self.budget
        if self.descent is None:
            return Descent(self._best_unit(), self.best, newton)
        return Descent(self.random.random(self.dim), math.inf, newton)

    def _best_unit(self) -> Floats:
        """The best point in the unit box."""
        return np.clip((self.best_x - self.low) / (self.high - self.low), 0.0, 1.0)

    def _ask(self, who: str, run: Run) -> None:
        """Evaluate the next points of a real search's run."""
        run.tell(self._call(who, run.ask(self.random)))

    def _call(self, who: str, points: Floats) -> Floats:
        """Values, (m,), of points of the unit box, (m, D)."""
        x = np.clip(points * (self.high - self.low) + self.low, self.low, self.high)
        self.spent[who] += len(x)
        return np.array([self._value(who, each) for each in x])

    def _value(self, who: str, x: Floats) -> float:
        """The value at a point, (D,), called again only to check for noise."""
        key = x.tobytes()
        if key not in self.known or who == "repeat":
            if self.calls == self.budget - 1:
                raise EndError("the budget is spent")
            self.calls += 1
            self.known[key] = float(self.fun(x))
        if self.known[key] < self.best:
            self.best = self.known[key]
            self.best_x = x
            self.best_by = who
        return self.known[key]


class Descent:
    """BFGS by differences, left after each batch of points; equations of Nocedal & Wright 2006."""

    def __init__(self, x: Floats, cost: float, newton: bool) -> None:
        self.x = x
        self.cost = cost
        self.newton = newton  # whether to measure the Hessian once
        self.inverse = np.empty((0, 0))  # inverse of the Hessian
        self.scaled = False
        self.coarseness = 3.0  # length of differences, in units of what rounding requires
        self.doubtful = False  # whether the first differences may not be slopes
        self.misled = 0  # lines in a row that kept far less than their slope's promise
        self.done = False
        self.steps = self._descend()
        self.points = next(self.steps)  # points to evaluate next, (m, D)

    def learn(self, costs: Floats) -> None:
        """Take in the points' costs."""
        try:
            self.points = self.steps.send(costs)
        except (StopIteration, np.linalg.LinAlgError):
            self.done = True

    def _descend(self) -> Generator[Floats, Floats, None]:
        """Measure the gradient, choose a direction, search along it."""
        before: tuple[Floats, Floats] | None = None
        iterations = failures = trivial = 0
        while trivial < 3 and failures < 2:
            measures = self.newton and (iterations >= 3 or failures > 0)
            gradient = yield from (self._newton() if measures else self._gradient(before))
            if not 0 < float(np.linalg.norm(gradient)) < math.inf:
                return
            pushed = (self.x <= 0) & (gradient > 0) | (self.x >= 1) & (gradient < 0)
            free = np.flatnonzero(~pushed)  # coordinates not against a wall
            direction = np.zeros_like(gradient)
            direction[free] = -self.inverse[np.ix_(free, free)] @ gradient[free]
            slope = float(direction @ gradient)
            if not slope < 0:
                return
            shorter = min(1.0, 0.5 / float(np.abs(direction).max()))
            found = yield from self._search(shorter * direction, shorter * slope, iterations == 0)
            if found is None:
                failures += 1
                before = None
                self.coarseness *= 1 if self.newton else 10
            else:
                failures = 0
                before = (self.x, gradient)
                gain = self.cost - found[1]
                self.x, self.cost = found
                trivial = trivial + 1 if gain <= 1e-14 * abs(self.cost) else 0
                iterations += 1

    def _measure(self, points: Floats) -> Generator[Floats, Floats, Floats]:
        """The rise of the cost from x to each of the points; the cost at x may be unknown."""
        if math.isfinite(self.cost):
            return (yield points) - self.cost
        costs = yield np.concatenate([self.x[None], points])
        self.cost = float(costs[0])
        return costs[1:] - self.cost

    def _gradient(self, before: tuple[Floats, Floats] | None) -> Generator[Floats, Floats, Floats]:
        """The gradient by forward differences less the curvature; then BFGS, equation 6.17."""
        x = self.x
        points = self._around()
        rises = yield from self._measure(points)
        moves = points - x
        if len(self.inverse):
            rises = rises - 0.5 * (moves * np.linalg.solve(self.inverse, moves.T).T).sum(axis=1)
        gradient = np.linalg.solve(moves, rises).astype(np.float64, copy=False)
        size = float(np.linalg.norm(gradient))
        if not len(self.inverse):
            self.inverse = np.eye(len(x)) * (0.2 / size)
        elif before is not None and 0 < size < math.inf:
            self._update(x - before[0], gradient - before[1])
        return gradient

    def _around(self) -> Floats:
        """Points along the inverse Hessian's eigenvectors that change the cost equally."""
        x = self.x
        if not len(self.inverse):
            moves = 1e-4 * np.eye(len(x))
        else:
            moves = np.diag(np.sqrt(np.abs(np.diag(self.inverse))))
            inner = np.flatnonzero((x > 0) & (x < 1))
            if len(inner):
                variances, axes = np.linalg.eigh(self.inverse[np.ix_(inner, inner)])
                lengths = np.sqrt(np.maximum(variances, EPS * variances[-1]))
                moves[np.ix_(inner, inner)] = (axes * lengths).T
            moves *= self.coarseness * math.sqrt(4 * self.rounding())
            reach = np.maximum(np.abs(moves).max(axis=1, keepdims=True), 1e-300)
            moves *= np.clip(reach, 1e-11, 1e-3) / reach
        points = x + moves
        outside = ((points < 0) | (points > 1)).any(axis=1)
        points[outside] = x - moves[outside]
        return np.clip(points, 0.0, 1.0)

    def rounding(self) -> float:
        """Error of a cost."""
        return EPS * max(abs(self.cost), 1e-300)

    def _update(self, s: Floats, y: Floats) -> None:
        """Equation 6.17; before the first update the scale is set, equation 6.20."""
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
        self.inverse = self.inverse + (sy + yhy) * np.outer(u, u) - (cross + cross.T)

    def _newton(self) -> Generator[Floats, Floats, Floats]:
        """Measure the gradient, and the Hessian, whose negative eigenvalues count by their size."""
        x = self.x
        curvature = np.abs(np.diag(np.linalg.pinv(self.inverse)))
        a = np.sqrt(2 * math.sqrt(EPS) * abs(self.cost) / np.maximum(curvature, 1e-300))
        a, b = either_side(x, np.clip(a, 1e-8, 1e-3))
        i, j = np.triu_indices(len(x), 1)
        steps = np.diag(a)
        points = [x + steps, x + np.diag(b), x + steps[i] + steps[j]]
        rises = yield from self._measure(np.concatenate(points))
        n = len(x)
        gradient, curvature = parabola(rises[: 2 * n].reshape(2, n), np.stack([a, b]))
        hessian = np.diag(curvature)
        mixed = (rises[2 * n :] - rises[i] - rises[j]) / (a[i] * a[j])
        hessian[i, j] = hessian[j, i] = mixed
        values, axes = np.linalg.eigh(hessian)
        values = np.abs(values)
        self.newton = False
        self.inverse = (axes / np.maximum(values, 1e-10 * values.max())) @ axes.T
        self.scaled = True
        return gradient

    def _search(
        self, direction: Floats, slope: float, first: bool
    ) -> Generator[Floats, Floats, tuple[Floats, float] | None]:
        """A better point along x + t * direction, and its cost; None if there is none."""
        t = 1.0
        best = (0.0, self.cost, self.x)
        for tries in range(1, 20):
            point = np.clip(self.x + t * direction, 0.0, 1.0)
            cost = float((yield point[None])[0])
            if cost < best[1]:
                best = (t, cost, point)
            if first:
                little = tries == 1 and abs(cost - self.cost) < 0.1 * abs(t * slope)
                self.doubtful |= little or (tries >= 4 and best[0] == 0)
            bend = cost - self.cost - t * slope
            vertex = -slope * t * t / (2 * bend) if bend > 0 else 10 * t  # equation 3.58
            if best[0] == 0:
                if tries == 8:
                    break
                t *= min(max(vertex / t, 0.03), 0.5)
                continue
            vertex = min(max(vertex, 0.1 * t), 10 * t)
            inexact = tries == 1 and abs(vertex - t) > 0.25 * t
            ahead = tries < 6 and best[0] == t and vertex >= 4 * t
            if not (inexact or ahead):
                break
            t = vertex
        promised = -(best[0] or t) * slope
        clear = promised > 1e3 * self.rounding()
        self.misled = self.misled + 1 if clear and self.cost - best[1] < 0.15 * promised else 0
        return None if best[0] == 0 else (best[2], best[1])


class Swarm:
    """CMA-ES (Hansen 2016, arXiv 1604.00772; equation numbers refer to it)."""

    def __init__(self, dim: int, random: np.random.Generator) -> None:
        self.random = random
        self.population = default_population(dim)
        self.rates = Rates(dim, self.population)  # table 1
        self.mean = random.random(dim)
        self.sigma = 0.2
        self.covariance = np.eye(dim)
        self.axes = np.eye(dim)
        self.lengths = np.ones(dim)
        self.path_sigma = np.zeros(dim)
        self.path_c = np.zeros(dim)
        self.iteration = 0
        self.decomposed = 0  # iteration of the last decomposition

    def propose(self) -> Floats:
        """Points around the mean, (lambda, D), mirrored into the box."""
        if self.sigma * float(self.lengths.max()) < 1e-3 or self.iteration == 100:
            raise EndError("the swarm is narrow, or as old as is told here")
        normal = self.random.standard_normal((self.population, len(self.mean)))
        points = self.mean + self.sigma * (normal * self.lengths) @ self.axes.T
        self.asked = 1 - np.abs(1 - np.remainder(points, 2))
        return self.asked

    def learn(self, costs: Floats) -> None:
        """Move the mean towards the better half, and update paths, covariance and step size."""
        r = self.rates
        dim = len(self.mean)
        steps = (self.asked[np.argsort(costs, kind="stable")] - self.mean) / self.sigma
        self.iteration += 1
        step = r.weights[: r.mu] @ steps[: r.mu]  # eq. 41
        self.mean = self.mean + self.sigma * step  # eq. 42
        white = self.axes @ ((step @ self.axes) / self.lengths)
        keep = 1 - r.c_sigma
        size = math.sqrt(r.c_sigma * (1 + keep) * r.mu_eff)
        self.path_sigma = keep * self.path_sigma + size * white  # eq. 43
        norm = float(np.linalg.norm(self.path_sigma))
        long = (1.4 + 2 / (dim + 1)) * r.expected_norm
        stalled = norm / math.sqrt(1 - keep ** (2 * self.iteration)) >= long
        self.path_c = (1 - r.c_c) * self.path_c  # eq. 45
        if not stalled:
            self.path_c = self.path_c + math.sqrt(r.c_c * (2 - r.c_c) * r.mu_eff) * step
        weights = r.weights.copy()
        lengths = (((steps[r.mu :] @ self.axes) / self.lengths) ** 2).sum(axis=1)
        weights[r.mu :] *= dim / np.maximum(lengths, 1e-300)  # eq. 46
        more = r.c_1 * r.c_c * (2 - r.c_c) if stalled else 0.0
        decay = 1 - r.c_1 - r.c_mu * float(r.weights.sum()) + more
        rank_one = r.c_1 * np.outer(self.path_c, self.path_c)
        rank_mu = r.c_mu * (steps.T * weights) @ steps
        self.covariance = decay * self.covariance + rank_one + rank_mu  # eq. 47
        rate = r.c_sigma / r.d_sigma
        self.sigma *= math.exp(min(1.0, rate * (norm / r.expected_norm - 1)))  # eq. 44
        if self.iteration - self.decomposed > 0.1 / (dim * (r.c_1 + r.c_mu)):
            self.covariance = (self.covariance + self.covariance.T) / 2
            variances, self.axes = np.linalg.eigh(self.covariance)
            self.lengths = np.sqrt(np.maximum(variances, variances[-1] / 1e14))
            self.decomposed = self.iteration
