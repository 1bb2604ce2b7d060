"""Evaluation of a search's points: their values, and the best of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.record import NONE, StateRecord, array, given
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.options import Problem
from pyswarmopt.driver.problem.constraints import Breach, ranked, total
from pyswarmopt.driver.start import same_but_rounding
from pyswarmopt.hybrid.search import PhasedSearch

# share of the tolerance of an equality that a search aims at: zero itself, from both sides, would be two
# limits that contradict each other, and curved ones would only be crept along. The equilibrium of White,
# Johnson & Dantzig 1958 on a log scale, 500 calls: -47.72 of -47.76, and -46.92 with zero.
AIM = 0.1
NOISE = (
    "; fun gave {:.6g} at x and {:.6g} when it was called there again, so it has noise and its least "
    "value is luck: say noisy=True"
)


class Judged(NamedTuple):
    """Evaluations of some points, (N, D).

    Attributes:
        costs: (N,), lower is better.
        violations: (N,) sums of the amounts by which constraints are broken, 0 where none is.
        evaluated: (N,) mask of the points that count: those whose cost was asked for, or whose
            violation says it all.
        error: what ended their evaluation before all were evaluated.
        amounts: (N, K) the constraints that `fun` returned, if it does.
        rows: (N, 1 + K) costs and constraints as a search with constraints sees them.
    """

    costs: Floats
    violations: Floats
    evaluated: Bools
    error: Exception | None = None
    amounts: Floats | None = None
    rows: Floats | None = None

    @property
    def valued(self) -> Bools:
        """(N,) mask of the points that were evaluated and break no constraint."""
        return self.evaluated & (self.violations == 0)


class Worth(NamedTuple):
    """The value of a point: the mean of n draws with its standard error, and a note on it."""

    fun: float
    stderr: float = 0.0
    n: int = 1
    note: str = ""


@dataclass(repr=False, eq=False)
class Incumbent(StateRecord):
    """The best point so far by Deb's rules: of feasible points that of least cost, else that of
    least violation; one that has no finite cost only where none has.

    Violations and costs are compared each by itself: a sum of both could overflow.

    Attributes:
        x: the point, (D,), as the objective sees it.
        cost: lower is better; infinite if the value is not finite, NaN if the point was not
            evaluated.
        violation: 0 where it is feasible.
        calls: number of calls that it rests on. An interrupt, which may come at any moment, sees
            the point and the calls together.
        amounts: the constraints that `fun` returned, (K,), if it does.

    Example:
        >>> points, costs = np.array([[1.0], [2.0], [3.0]]), np.array([0.0, 1e301, 1.7e308])
        >>> judged = Judged(costs, np.array([1e-9, 0.0, 0.0]), np.array([True, True, True]))
        >>> Incumbent(np.zeros(1), math.inf, math.inf).or_better(points, judged).x.tolist()
        [2.0]
    """

    x: Floats = given("D")
    cost: float = math.inf
    violation: float = 0.0
    calls: int = field(default=0, metadata={"saved": False})
    amounts: Floats = array("K")

    def or_better(self, points: Floats, judged: Judged, calls: int = 0) -> Incumbent:
        """The first best one of points, (n, D), that count, if it is strictly better than this; after
        so many calls.
        """
        same = replace(self, calls=calls)
        rows = np.flatnonzero(judged.evaluated)
        if not rows.size:
            return same
        failed, violations, costs = _rank(judged.costs[rows], judged.violations[rows])
        first = int(np.lexsort((costs, violations, failed))[0])
        mine = _rank(np.array([self.cost]), np.array([self.violation]))
        if [part[first] for part in (failed, violations, costs)] >= [part[0] for part in mine]:
            return same
        i = rows[first]
        cost, violation = float(judged.costs[i]), float(judged.violations[i])
        amounts = NONE if judged.amounts is None or failed[first] else judged.amounts[i]
        return Incumbent(points[i].copy(), cost, violation, calls, amounts)


def _rank(costs: Floats, violations: Floats) -> tuple[Bools, Floats, Floats]:
    """What points are ordered by, each (n,), the first first: whether they have no finite cost, how
    much they break constraints, and what feasible ones cost.
    """
    finite = np.isfinite(costs)
    return ~finite, violations, np.where(violations > 0, 0.0, _worst_if_not_finite(costs))


def _worst_if_not_finite(costs: Floats) -> Floats:
    return np.where(np.isfinite(costs), costs, math.inf)


class ByOrder:
    """For searches that only compare points: those that break a constraint are not evaluated.

    They use up budget all the same: a search that finds no feasible point must end, too.

    Args:
        search: gets an order of points, its sign turned if it maximises.
        problem: its constraints, and the way from the search's positions to points.
        evaluator: calls the objective.
        sign: -1 if it maximises.
    """

    noisy = False

    def __init__(
        self, search: Any, problem: Problem, evaluator: Evaluator, sign: float = 1.0
    ) -> None:
        self._search, self._evaluator, self._sign = search, evaluator, sign
        self._constraints, self._coding = problem.constraints, problem.coding
        self.best = Incumbent(self._best_position(), math.inf, math.inf, evaluator.calls)

    def draw(self, points: Floats) -> tuple[Floats, Bools]:
        """Costs of points, (n, D), and which were evaluated: two arrays (n,)."""
        values, evaluated, error = self._evaluator(points)
        if error is not None:
            raise error
        return self._sign * values, evaluated

    def needless(self, points: Floats) -> Floats:
        """Violations, (n,), of points, (n, D), above 0 for those that need not be called."""
        return self._constraints.violations(points)

    def judge_one(self, point: Floats, value: Floats | float) -> Judged:
        """The point, (D,), with what was found there."""
        return Judged(np.array([self._sign * value]), np.zeros(1), np.ones(1, np.bool_))

    def judge(self, points: Floats) -> Judged:
        """Evaluate points, (N, D)."""
        violations = self._constraints.violations(points)
        judged = self._evaluated(points, violations, violations == 0)
        self._evaluator.skipped += int((violations > 0).sum())
        return judged

    def _evaluated(self, points: Floats, violations: Floats, chosen: Bools) -> Judged:
        """Evaluate the chosen points."""
        costs = np.full((len(points), *self._evaluator.shape), math.nan)
        evaluated = ~chosen
        values, evaluated[chosen], error = self._evaluator(points[chosen])
        costs[chosen] = self._sign * values
        return Judged(costs, violations, evaluated, error)

    def salvage(self, points: Floats, judged: Judged) -> None:
        """Keep the best of what was evaluated before an exception."""
        self.keep(points, judged)

    def tell(self, positions: Any, points: Floats, judged: Judged) -> None:
        """Pass what is known of the points on to the search, and keep the best."""
        values = self._sign * self.order(judged)
        self._search.tell(positions, values, dropped=~judged.evaluated, **self._rows(judged))
        self.keep(points, judged)

    def tell_one(self, ticket: Ticket, judged: Judged) -> None:
        """Pass what is known of one point on to the search that handed it out."""
        value = self._sign * float(self.order(judged)[0])
        self._search.tell(ticket, value, **self._rows(judged))

    def take_in(self, positions: Floats, judged: Judged) -> None:
        """Pass on what is known of points that the search has not asked for, if it takes them."""
        if isinstance(self._search, PhasedSearch):
            values = self._sign * self.order(judged)
            self._search.take_in(positions, values, **self._rows(judged))

    def _rows(self, judged: Judged) -> dict[str, Any]:
        """Costs and constraints, for a search that looks at them."""
        return {}

    def order(self, judged: Judged) -> Floats:
        """One number for each point, (N,), lower is better."""
        return ranked(judged.costs, judged.violations) if self._constraints else judged.costs

    # ---- the result so far ----

    def keep(self, points: Floats, judged: Judged) -> None:
        """Keep the best of all points and of these, (n, D)."""
        self.best = self.best.or_better(points, judged, self._evaluator.calls)

    def _best_position(self) -> Floats:
        """The best point as the search knows it, (D,)."""
        return self._coding.decode(np.asarray(self._search.best.x)[None])[0]

    def breach(self) -> Breach:
        """By how much the best point breaks constraints."""
        return self._constraints.breach(self.best.x)

    @property
    def value(self) -> float:
        """The best value of a feasible point, infinitely bad if there is none."""
        best = self.best
        counts = best.violation == 0 and math.isfinite(best.cost)
        return self._sign * (best.cost if counts else math.inf)

    def reached(self) -> dict[str, float]:
        """The reason to stop at a target that the search itself does not see."""
        return {}

    def worth(self) -> Worth:
        """Value of the best point so far."""
        return Worth(self.value)

    def final_worth(self, scale: float) -> Worth:
        """Value of the best point at the end: the objective is called there once more.

        A value that differs by more than rounding of numbers of the size `scale` is noise.
        """
        x, cost = self.best.x, self.best.cost
        value = self._sign * cost if math.isfinite(cost) else self.value
        fun = self._evaluator.confirm(x, value, known=not math.isnan(cost))
        sure = not math.isfinite(cost) or same_but_rounding(value, fun, scale)
        return Worth(fun, note="" if sure else NOISE.format(value, fun))

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """The best point."""
        return self.best.state_dict("incumbent")

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored."""
        self.best = Incumbent.from_state(saved, "incumbent", {}, calls=self._evaluator.calls)


class ByAmounts(ByOrder):
    """As `ByOrder`, for a search that uses cost and constraints of every point."""

    def needless(self, points: Floats) -> Floats:
        return np.zeros(len(points))

    def judge(self, points: Floats) -> Judged:
        """Evaluate points, (N, D)."""
        amounts, slack = self._constraints.amounts(points)
        violations = total(amounts, slack)
        judged = self._evaluated(points, violations, np.ones(len(points), np.bool_))
        if judged.error is not None:
            if (violations > 0).any():
                judged.error.add_note(
                    "fun may have been called where a constraint is broken; "
                    "NonlinearConstraint(g, -inf, 0, keep_feasible=True) keeps it from there"
                )
            return judged
        return self._shown(judged, amounts - AIM * slack)

    def judge_one(self, point: Floats, value: Floats | float) -> Judged:
        amounts, slack = self._constraints.amounts(point[None])
        judged = super().judge_one(point, value)._replace(violations=total(amounts, slack))
        return self._shown(judged, amounts - AIM * slack)

    def _shown(self, judged: Judged, amounts: Floats) -> Judged:
        """With costs and constraints, (N, K), as the search is to see them."""
        costs = np.where(judged.evaluated, _worst_if_not_finite(judged.costs), math.inf)
        rows = np.column_stack([costs, amounts])
        return judged._replace(costs=costs, rows=np.where(np.isfinite(rows), rows, math.inf))

    def _rows(self, judged: Judged) -> dict[str, Any]:
        # swarms look at the order alone
        return {"rows": judged.rows} if isinstance(self._search, PhasedSearch) else {}

    def order(self, judged: Judged) -> Floats:
        """One number for each point, (N,), lower is better; none is worse than no cost."""
        return np.where(np.isfinite(judged.costs), super().order(judged), math.inf)


class ByReturned(ByAmounts):
    """As `ByAmounts`, for an objective that returns its constraints; any search."""

    def judge(self, points: Floats) -> Judged:
        values, evaluated, error = self._evaluator(points)
        return self._read(values.reshape(len(points), -1), evaluated, error)

    def judge_one(self, point: Floats, value: Floats | float) -> Judged:
        if not np.ndim(value):  # a failed call has no constraints
            value = np.full(self._evaluator.shape or (1,), value)
        return self._read(np.reshape(value, (1, -1)), np.ones(1, np.bool_), None)

    def breach(self) -> Breach:
        return Breach.of(self.best.amounts, np.zeros(len(self.best.amounts)))

    def _read(self, rows: Floats, evaluated: Bools, error: Exception | None) -> Judged:
        """Judge values with their constraints, (N, 1 + K)."""
        costs = self._sign * rows[:, 0]
        amounts = np.nan_to_num(rows[:, 1:], nan=math.inf, posinf=math.inf)
        violations = np.where(np.isnan(costs), math.inf, total(amounts, np.zeros(amounts.shape[1])))
        judged = Judged(costs, violations, evaluated, error, amounts)
        return judged if error is not None else self._shown(judged, amounts)
