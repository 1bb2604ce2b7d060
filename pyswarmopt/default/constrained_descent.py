"""A descent with constraints, as a run: sequential quadratic programming by differences.

Nocedal & Wright 2006, Numerical Optimization, chapter 18: a quadratic program with the Lagrangian's
damped BFGS Hessian and the linearised constraints gives the step, an exact penalty its length. One
batch of D points gives the gradients of the objective and of all constraints. From the end of a
step that lies outside, one more call is made at the nearest point inside along the slopes that are
known (the second-order correction of section 18.3). The target lies slightly inside the
constraints, so that the end is strictly feasible.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from pyswarmopt.base.arrays import Floats, Ints
from pyswarmopt.base.record import NONE, array
from pyswarmopt.default.descent import FIRST_STEP, LONGEST_STEP, MOST_FAILURES, MOST_TRIVIAL, TRIES
from pyswarmopt.default.phases import EPS, Run, one_changed
from pyswarmopt.default.quadratic_program import quadratic_program

DIFFERENCE = 1e-7  # first difference, as a share of the box's side
COARSE_DIFFERENCE = 0.05  # largest difference for values with few digits
TOO_SHORT = 0.5  # a shorter move, as a share of the difference that the values need, is made again
TINY = 1e-300  # stands for 0 where something is divided by it
# price of breaking a constraint in the quadratic program, for gradients of length 1; a wall's
PRICE = 1e5
WALL = 1e6
# largest multiplier, for gradients of length 1: contradicting limits have no finite ones
LARGEST = 1e3
NEW_WEIGHT = 0.5  # share of the new multipliers in the weights, if these were larger
MARGIN = 1e-11  # target distance from a constraint, as a share of the box
FAR = 0.1  # of the box: no step may break a constraint by more, unless it started farther outside
BESIDE = 0.05  # distance, as a share of the box, within which slopes should not jump
JUMP = 0.5  # a larger change is a jump, as a share of both sizes
BENT = 0.05  # largest error of the trapezoidal rule for smooth functions, as a share of the bend
STRAIGHT = 0.01  # change of slopes, as a share of the first Hessian's, of next to linear functions
FLATTEST = 1e-4  # least share of the first Hessian that such functions leave
ENOUGH_GAIN = 1e-4  # least share of the first-order gain (equation 18.28)
TRIVIAL_GAIN = 1e-12  # gain of the merit, see `MOST_TRIVIAL`
ROUNDING = 4 * EPS  # of the merit
# a step without improvement is shortened to the parabola's vertex, within these factors
SHORTEN_LEAST = 0.5
SHORTEN_MOST = 0.1
SMALLEST_STEP = 1e-12  # as a share of the box
ROUNDINGS = 8  # roundings of a step
TESTED = 2  # most promising roundings, which are evaluated
REPEATS = 4  # further measurements of slopes of which a point has failed
LENGTHS = 4  # shortenings of a step without improvement
SHORTER = 0.35  # factor between them
GRID_TRIVIAL_GAIN = 1e-9  # of the merit, for moves of whole numbers

# what the points proposed last are: differences for slopes, a step, or the end of a step pulled in
Mode = Literal["gradient", "line", "pull"]


class ConstrainedDescent(Run):
    """Descends in the box [0, 1]^D to a local minimum that is feasible.

    It learns a row per point: the cost, then the constraints, at most 0 where allowed.
    """

    x: Floats  # (D,): starting point, then current point
    smooth: Ints  # (S,): mask of moving coordinates
    values: Floats = array()  # (R,): cost and constraints at x
    slopes: Floats = array()  # (R, T): their gradients
    hessian: Floats = array()  # (S, S): Hessian of the Lagrangian
    multipliers: Floats = array()  # (J,): of the constraints
    weights: Floats = array()  # (J,): of the penalty
    farthest: float = math.inf  # a constraint may be broken by this share of the box
    measured: Floats = array()  # (S,): the moving coordinates where the slopes hold
    measured_values: Floats = array()  # (R,): the values there
    scaled: bool = False  # whether the Hessian has the curvature's scale
    mode: Mode = "gradient"
    direction: Floats = array()  # (S,)
    outside: Floats = array()  # (D,): end of a step that breaks constraints, to be pulled in
    outside_values: Floats = array()  # (R,): cost and constraints there
    gain: float = 0.0  # slope of the merit per unit of t, to first order
    t: float = 1.0
    tries: int = 0
    failures: int = 0
    trivial: int = 0
    moves: Floats = array()  # (V,): of the latest differences
    found: Floats = array()  # (U, Q): slopes at x so far by coordinate, NaN where a point failed
    repeats: int = 0  # measurements of those that failed
    error: float = 0.0  # error of the cost beyond double's rounding
    kinked: Floats = array()  # (J,): 1 for constraints whose slopes jump, else 0

    @property
    def started(self) -> bool:
        """Whether its starting point has not failed."""
        return bool(len(self.values) and np.isfinite(self.values).all())

    def propose(self, random: np.random.Generator) -> Floats:
        if self.mode == "line":
            return np.array([self._moved(self.x, step) for step in self._steps(random)])
        if self.mode == "pull":
            return self._pulled_in()[None]
        self.moves = self._differences(random)
        lacking = self._lacking()
        axes = self.smooth[lacking]
        points = one_changed(self.x, axes, self.x[axes] + self.moves[lacking])
        if len(self.values):
            return points
        return np.concatenate([self.x[None], points])

    def learn(self, costs: Floats) -> None:
        if self.mode == "line":
            self._learn_line(costs)
        elif self.mode == "pull":
            self._learn_pulled(costs[0])
        else:
            self._learn_slopes(costs)

    def _moved(self, x: Floats, step: Floats) -> Floats:
        """x, (D,), after a step of the moving coordinates, (S,), within the box."""
        x = x.copy()
        x[self.smooth] = np.clip(x[self.smooth] + step, 0.0, 1.0)
        return x

    def _pulled_in(self) -> Floats:
        """The nearest point to the step's end, (D,), that keeps the constraints, to first order."""
        here = self.outside[self.smooth]
        still = np.zeros(len(here))
        back, _ = self._solve(np.eye(len(here)), still, self.outside_values, -here, 1 - here)
        return self._moved(self.outside, back)

    def _differences(self, random: np.random.Generator) -> Floats:
        """Moves along the coordinates, (S,), for their slopes; to the other side, and then farther,
        where a point has failed.
        """
        here = self.x[self.smooth]
        size = self._difference() * (1 + self.repeats // 2)
        inwards = np.where(here > 0.5, -size, size)
        if self.repeats % 2 == 0:
            return inwards
        return np.where(np.abs(here - inwards - 0.5) <= 0.5, -inwards, 2 * inwards)

    def _difference(self) -> float:
        """Length of a move for slopes: the root of the cost's relative error."""
        if not len(self.values):
            return DIFFERENCE
        share = self.error / max(abs(float(self.values[0])), TINY)
        return min(max(DIFFERENCE, math.sqrt(share)), COARSE_DIFFERENCE)

    def _steps(self, random: np.random.Generator) -> list[Floats]:
        """Moves to try along the direction, (S,) each."""
        return [self.t * self.direction]

    # ---- gradients ----

    def _learn_slopes(self, costs: Floats) -> None:
        if not len(self.values):
            self.values = costs[0]
            costs = costs[1:]
            self.weights = self.multipliers = self.kinked = np.zeros(len(self.values) - 1)
        if not self.started:
            self.done = True
            return
        if float(np.abs(self.moves).min()) < TOO_SHORT * self._difference():
            return  # for values with so few digits: measure again
        if not len(self.found):
            self.found = np.full((len(self.smooth), len(self.values)), math.nan)
        lacking = self._lacking()
        self.found[lacking] = (costs - self.values) / self.moves[lacking, None]
        if not np.isfinite(self.found).all():
            self.repeats += 1
            self.done = self.repeats > REPEATS
            return
        self._end_measuring(self.found.T)

    def _end_measuring(self, slopes: Floats) -> None:
        """Take the slopes at x, (R, S), and choose the next step."""
        self.found = NONE
        self.repeats = 0
        here = self.x[self.smooth]
        if len(self.measured):
            self._look_for_kinks(slopes, float(np.abs(here - self.measured).max()))
            self._update(here - self.measured, slopes)
        self.slopes = slopes
        self.measured = here
        self.measured_values = self.values
        self._choose_direction()

    def _look_for_kinks(self, slopes: Floats, distance: float) -> None:
        """Compare slopes, (R, S), with those that were measured at a distance from here."""
        if distance > BESIDE:
            return
        change = np.linalg.norm(slopes - self.slopes, axis=1)
        sizes = np.linalg.norm(slopes, axis=1) + np.linalg.norm(self.slopes, axis=1)
        # far inside, slopes next to nothing are rounding
        sizes = np.maximum(sizes, np.abs(self.values))
        # without a kink the mean of both slopes gives the rise between the points
        step = self.x[self.smooth] - self.measured
        rise = self.values - self.measured_values
        bend = np.abs(rise - 0.5 * (slopes + self.slopes) @ step)
        clear = BENT * np.abs((slopes - self.slopes) @ step)
        jumps = (change > JUMP * sizes) & (bend > clear)
        self.kinked = np.maximum(self.kinked, jumps[1:])

    def _lacking(self) -> Ints:
        """The moving coordinates without slopes at x."""
        if not len(self.found):
            return np.arange(len(self.smooth))
        return np.flatnonzero(~np.isfinite(self.found).all(axis=1))

    def _update(self, s: Floats, slopes: Floats) -> None:
        """Damped BFGS, procedure 18.2; before the first update the scale is set to the curvature
        met.
        """
        y = (slopes - self.slopes).T @ np.concatenate([[1.0], self.multipliers])
        sy = float(s @ y)
        ss = float(s @ s)
        if not (np.isfinite(y).all() and ss > 0):
            return
        if not self.scaled:
            self._set_scale(y, sy, ss)
        bs = self.hessian @ s
        sbs = float(s @ bs)
        theta = 1.0
        if sy < 0.2 * sbs:
            theta = 0.8 * sbs / (sbs - sy)
        r = theta * y + (1 - theta) * bs
        updated = self.hessian - np.outer(bs, bs) / sbs + np.outer(r, r) / float(s @ r)
        if np.isfinite(updated).all():
            self.hessian = updated

    def _set_scale(self, y: Floats, sy: float, ss: float) -> None:
        """Give the first Hessian the scale of the curvature met: a change y, (S,), of the slopes
        along a step s, of which sy = s y and ss = s s are known.
        """
        # slopes that hardly change are a plane's
        bend = float(np.linalg.norm(y)) / math.sqrt(ss)
        first = float(self.hessian[0, 0])
        if bend < STRAIGHT * first:
            self.hessian = self.hessian * max(bend / first, FLATTEST)
        elif sy > 0:
            self.hessian = np.eye(len(y)) * float(y @ y) / sy
        self.scaled = True

    # ---- direction ----

    def _choose_direction(self) -> None:
        """Choose the direction; without one, or if it does not lead downhill, the descent ends."""
        try:
            self.direction, latest = self._program(*self._reach(LONGEST_STEP))
        except np.linalg.LinAlgError:
            self.done = True
            return
        if math.isinf(self.farthest):
            self.farthest = max(FAR, self._farthest_outside(self.values))
        self.multipliers = latest
        self.weights = np.maximum(latest, NEW_WEIGHT * (self.weights + latest))  # Powell 1978
        self.gain = self._predicted_gain()
        self.t = 1.0
        self.tries = 0
        self.mode = "line"
        moves = float(np.abs(self.direction).max()) > SMALLEST_STEP
        least = 0.0
        if self._is_feasible(self.values):
            least = TRIVIAL_GAIN * abs(float(self.values[0]))
        self.done = not (moves and self.gain < -least)

    def _reach(self, longest: float) -> tuple[Floats, Floats]:
        """Bounds of a step in the box, at most so long in any coordinate, (S,) each."""
        here = self.x[self.smooth]
        return np.maximum(-here, -longest), np.minimum(1 - here, longest)

    def _predicted_gain(self) -> float:
        """First-order change of the merit; weights are raised until reducing violations pays
        (equation 18.36).
        """
        linear = self.values + self.slopes @ self.direction
        rise = float(linear[0] - self.values[0])
        bend = 0.5 * float(self.direction @ self.hessian @ self.direction)
        drop = self._penalty(self.values) - self._penalty(linear)
        if drop > 0 and rise + bend > 0.5 * drop:
            self.weights = self.weights * (2 * (rise + bend) / drop)
            drop = 2 * (rise + bend)
        return rise - drop

    def _lengths(self) -> Floats:
        """Lengths of the gradients of cost and constraints, (R,); 1 where there is none."""
        lengths = np.linalg.norm(self.slopes, axis=1)
        return np.where(lengths > 0, lengths, 1.0)

    def _program(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """The quadratic program's step between bounds, (S,) each, and its multipliers."""
        lengths = self._lengths()
        if not len(self.hessian):
            self.hessian = np.eye(len(self.smooth)) * (lengths[0] / FIRST_STEP)
        gradient = self.slopes[0] / lengths[0]
        step, multipliers = self._solve(self.hessian / lengths[0], gradient, self.values, low, high)
        return step, np.minimum(multipliers, LARGEST) * lengths[0] / lengths[1:]

    def _solve(
        self, hessian: Floats, gradient: Floats, values: Floats, low: Floats, high: Floats
    ) -> tuple[Floats, Floats]:
        """A step from a point with these values, (R,), and its multipliers, in units in which the
        gradients of the cost and of each constraint have length 1.
        """
        lengths = self._lengths()[1:]
        eye = np.eye(len(low))
        rows = np.concatenate([self.slopes[1:] / lengths[:, None], eye, -eye])
        limits = np.concatenate([-values[1:] / lengths - MARGIN, high, -low])
        prices = np.full(len(rows), WALL)
        prices[: len(lengths)] = PRICE
        step, multipliers = quadratic_program(hessian, gradient, rows, limits, prices)
        return np.clip(step, low, high), multipliers[: len(lengths)]

    def _farthest_outside(self, values: Floats) -> float:
        """The largest violation, as the distance along its slope; 0 for a feasible point."""
        return float((values[1:] / self._lengths()[1:]).max(initial=0.0))

    def _is_feasible(self, values: Floats) -> bool:
        return self._farthest_outside(values) == 0

    def _merit(self, values: Floats) -> float:
        """The cost plus the penalty, which the descent lowers."""
        return float(values[0]) + self._penalty(values)

    def leads(self, values: Floats) -> bool:
        """Whether its merit is lower than that of a point with these values, (R,)."""
        return self.started and self._merit(self.values) < self._merit(values)

    def _penalty(self, values: Floats) -> float:
        """The weighted sum of the violations."""
        return float(self.weights @ np.maximum(values[1:], 0.0))

    # ---- the line search ----

    def _learn_line(self, rows: Floats) -> None:
        self.tries += 1
        values = rows[0]
        if self.tries == 1 and np.isfinite(values).all() and not self._is_feasible(values):
            self.outside = self.batch[0].copy()
            self.outside_values = values
            self.mode = "pull"
        else:
            self._judge(self.batch[0], values)

    def _learn_pulled(self, values: Floats) -> None:
        """Take the step's end if its merit is enough lower, else the better one of it and the point
        that it was pulled to.
        """
        self.mode = "line"
        worse = self._merit(values) > self._merit(self.outside_values)
        if worse or self._is_better(self.outside_values):
            self._judge(self.outside, self.outside_values)
        else:
            self._judge(self.batch[0], values)

    def _judge(self, x: Floats, values: Floats) -> None:
        """Move to x, (D,), if its merit is enough lower; else try a shorter step."""
        before = self._merit(self.values)
        merit = self._merit(values)
        if self._is_better(values):
            self._accept(x, values, max(TRIVIAL_GAIN * abs(before), self.error))
        elif self.tries < TRIES:
            bend = merit - before - self.t * self.gain
            if bend > 0:
                vertex = -self.gain * self.t / (2 * bend)
                self.t *= min(max(vertex, SHORTEN_MOST), SHORTEN_LEAST)
            else:
                self.t *= SHORTEN_MOST
        else:
            self.failures += 1
            self.done = self.failures >= MOST_FAILURES
            self._forget()  # once more, as at the start

    def _is_better(self, values: Floats) -> bool:
        """Whether the merit is enough lower, and no constraint broken by far more than at the start."""
        before = self._merit(self.values)
        allowed = before + ENOUGH_GAIN * self.t * self.gain + ROUNDING * abs(before)
        near = self._farthest_outside(values) <= self.farthest
        return near and self._merit(values) <= allowed

    def _accept(self, x: Floats, values: Floats, trivial: float) -> None:
        """Move to x, (D,); `MOST_TRIVIAL` trivial gains in a row are the end."""
        self.trivial += 1
        if self._merit(self.values) - self._merit(values) > trivial:
            self.trivial = 0
        self.done = self.trivial >= MOST_TRIVIAL
        self.x = x.copy()
        self.values = values
        self.mode = "gradient"
        self.failures = 0

    def _forget(self) -> None:
        """Measure anew, without the learnt curvature."""
        self.found = self.hessian = NONE
        self.repeats = 0
        self.measured = NONE
        self.scaled = False
        self.mode = "gradient"


class GridDescent(ConstrainedDescent):
    """Descends with whole numbers on their grid, then, when these lead no further, by the real
    numbers only.
    """

    # distance between a coordinate's values in the unit box, 0 for real numbers; empty once only
    # these move
    units: Floats = array()  # (S,)

    def _differences(self, random: np.random.Generator) -> Floats:
        moves = super()._differences(random)
        if not len(self.units):
            return moves
        either = np.copysign(self.units, random.random(len(self.units)) - 0.5)
        inside = np.abs(self.x[self.smooth] + either - 0.5) <= 0.5
        inward = np.copysign(self.units, moves)
        return np.where(self.units > 0, np.where(inside, either, inward), moves)

    def learn(self, costs: Floats) -> None:
        super().learn(costs)
        if not (self.done and len(self.units)):
            return
        # go on with the real numbers, as from a start
        self.smooth = self.smooth[self.units == 0]
        self.units = NONE
        self.done = not (len(self.smooth) and self.started)
        self._forget()
        self.direction = NONE
        self.failures = self.trivial = 0

    # ---- steps on the grid ----

    def _steps(self, random: np.random.Generator) -> list[Floats]:
        """The most promising roundings of the step (the nearest and some random ones), each with
        matching real numbers.
        """
        if not len(self.units):
            return super()._steps(random)
        whole = self.units > 0
        units = self.units[whole]
        here = self.x[self.smooth][whole]
        step = self.t * self.direction[whole]
        draws = random.random((ROUNDINGS, len(whole)))[:, whole]
        draws[0] = 0.5
        counts = np.clip(
            np.floor(step / units + draws), np.ceil(-here / units), np.floor((1 - here) / units)
        )
        low, high = self._reach(self.t * LONGEST_STEP)
        steps = []
        for rounded in np.unique(counts, axis=0):
            low[whole] = high[whole] = rounded * units
            try:
                steps.append(self._program(low, high)[0])
            except np.linalg.LinAlgError:
                steps.append(np.clip(self.t * self.direction, low, high))
        return sorted(steps, key=self._expected)[:TESTED]

    def _expected(self, step: Floats) -> float:
        """The predicted merit after a step, (S,), by slopes and curvature."""
        linear = self.values + self.slopes @ step
        return self._merit(linear) + float(0.5 * step @ self.hessian @ step)

    def _learn_line(self, rows: Floats) -> None:
        if not len(self.units):
            super()._learn_line(rows)
            return
        before = self._merit(self.values)
        merits = [*map(self._merit, rows), math.inf]
        i = int(np.nanargmin(merits))
        self.tries += 1
        if merits[i] < before - ROUNDING * abs(before):
            self.direction = (self.batch[i] - self.x)[self.smooth]
            self.t = 1.0
            self._accept(self.batch[i], rows[i], GRID_TRIVIAL_GAIN * abs(before))
        else:
            self.t *= SHORTER
            self.done = self.tries >= LENGTHS
