"""Evaluates a search's points: values, constraints, and the best point."""

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

# searches aim at this share of an equality's tolerance: aiming at zero from both sides would give
# two contradicting limits, and curved ones could only be crept along. The equilibrium of White,
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
        violations: (N,) sums of the amounts by which constraints are broken, else 0.
        evaluated: (N,) mask of the points that count: whose cost was requested, or whose violation
            suffices.
        error: the error that ended the evaluation early.
        amounts: (N, K) constraints returned by `fun`, if it returns any.
        rows: (N, 1 + K) costs and constraints for a search with constraints.
    """

    costs: Floats
    violations: Floats
    evaluated: Bools
    error: Exception | None = None
    amounts: Floats | None = None
    rows: Floats | None = None

    @property
    def valued(self) -> Bools:
        """(N,) mask of the evaluated points that break no constraint."""
        return self.evaluated & (self.violations == 0)


class Worth(NamedTuple):
    """The value of a point: the mean of n draws with its standard error, and a remark."""

    fun: float
    stderr: float = 0.0
    n: int = 1
    note: str = ""


@dataclass(repr=False, eq=False)
class Incumbent(StateRecord):
    """The best point so far by Deb's rules: the feasible point with least cost, else the one with
    least violation; a point without finite cost only if there is no other.

    Violations and costs are compared separately: their sum could overflow.

    Attributes:
        x: the point, (D,), as the objective sees it.
        cost: lower is better; infinite if the value is not finite, NaN if the point was not
            evaluated.
        violation: 0 if feasible.
        calls: number of calls behind it. An interrupt at any moment sees point and calls in
            agreement.
        amounts: constraints returned by `fun`, (K,), if it returns any.

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
        """The first best of the points, (n, D), that count, if strictly better than this one;
        `calls` is the number of calls by then.
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
        cost = float(judged.costs[i])
        violation = float(judged.violations[i])
        amounts = NONE if judged.amounts is None or failed[first] else judged.amounts[i]
        return Incumbent(points[i].copy(), cost, violation, calls, amounts)


def _rank(costs: Floats, violations: Floats) -> tuple[Bools, Floats, Floats]:
    """Sorting keys of points, each (n,), in order of precedence: missing finite cost, violation,
    cost of feasible points.
    """
    finite = np.isfinite(costs)
    return ~finite, violations, np.where(violations > 0, 0.0, _worst_if_not_finite(costs))


def _worst_if_not_finite(costs: Floats) -> Floats:
    return np.where(np.isfinite(costs), costs, math.inf)


class ByOrder:
    """For searches that only compare points: infeasible points are not evaluated.

    They use up budget all the same: a search without feasible points must end, too.

    Args:
        search: receives an order of points, negated if it maximises.
        problem: gives constraints, and maps the search's positions to points.
        evaluator: calls the objective.
        sign: -1 for maximisation.
    """

    noisy = False

    def __init__(
        self, search: Any, problem: Problem, evaluator: Evaluator, sign: float = 1.0
    ) -> None:
        self._search = search
        self._evaluator = evaluator
        self._sign = sign
        self._constraints = problem.constraints
        self._coding = problem.coding
        self.best = Incumbent(self._best_position(), math.inf, math.inf, evaluator.calls)

    def draw(self, points: Floats) -> tuple[Floats, Bools]:
        """Costs of points, (n, D), and a mask of evaluated ones: two arrays (n,)."""
        values, evaluated, error = self._evaluator(points)
        if error is not None:
            raise error
        return self._sign * values, evaluated

    def needless(self, points: Floats) -> Floats:
        """Violations, (n,), of points, (n, D); above 0 the point need not be called."""
        return self._constraints.violations(points)

    def judge_one(self, point: Floats, value: Floats | float) -> Judged:
        """The point, (D,), with its outcome."""
        return Judged(np.array([self._sign * value]), np.zeros(1), np.ones(1, np.bool_))

    def judge(self, points: Floats) -> Judged:
        """Evaluate points, (N, D)."""
        violations = self._constraints.violations(points)
        judged = self._evaluated(points, violations, violations == 0)
        self._evaluator.skipped += int((violations > 0).sum())
        return judged

    def _evaluated(self, points: Floats, violations: Floats, chosen: Bools) -> Judged:
        """Evaluate the chosen points."""
        costs = np.full((len(points), *self._evaluator.form.shape), math.nan)
        evaluated = ~chosen
        values, evaluated[chosen], error = self._evaluator(points[chosen])
        costs[chosen] = self._sign * values
        return Judged(costs, violations, evaluated, error)

    def salvage(self, points: Floats, judged: Judged) -> None:
        """Keep the best of the points evaluated before an exception."""
        self.keep(points, judged)

    def tell(self, positions: Any, points: Floats, judged: Judged) -> None:
        """Pass the points' outcomes to the search, and keep the best."""
        values = self._sign * self.order(judged)
        self._search.tell(positions, values, dropped=~judged.evaluated, **self._rows(judged))
        self.keep(points, judged)

    def tell_one(self, ticket: Ticket, judged: Judged) -> None:
        """Pass one point's outcome to the search that handed it out."""
        value = self._sign * float(self.order(judged)[0])
        self._search.tell(ticket, value, **self._rows(judged))

    def take_in(self, positions: Floats, judged: Judged) -> None:
        """Pass the outcomes of unrequested points to the search, if it accepts them."""
        if isinstance(self._search, PhasedSearch):
            values = self._sign * self.order(judged)
            self._search.take_in(positions, values, **self._rows(judged))

    def _rows(self, judged: Judged) -> dict[str, Any]:
        """Costs and constraints, for a search that uses them."""
        return {}

    def order(self, judged: Judged) -> Floats:
        """A number for each point, (N,), lower is better."""
        return ranked(judged.costs, judged.violations) if self._constraints else judged.costs

    # ---- the result so far ----

    def keep(self, points: Floats, judged: Judged) -> None:
        """Keep the best of all points and of these, (n, D)."""
        self.best = self.best.or_better(points, judged, self._evaluator.calls)

    def _best_position(self) -> Floats:
        """The best point in the search's coordinates, (D,)."""
        return self._coding.decode(np.asarray(self._search.best.x)[None])[0]

    def breach(self) -> Breach:
        """How far the best point breaks constraints."""
        return self._constraints.breach(self.best.x, self.best.violation)

    @property
    def value(self) -> float:
        """The best value of a feasible point; infinitely bad without any."""
        best = self.best
        counts = best.violation == 0 and math.isfinite(best.cost)
        return self._sign * (best.cost if counts else math.inf)

    def reached(self) -> dict[str, float]:
        """The reason to stop at a target that the search does not check."""
        return {}

    def worth(self) -> Worth:
        """Value of the best point so far."""
        return Worth(self.value)

    def final_worth(self, scale: float) -> Worth:
        """Value of the best point at the end, from one more call of the objective.

        A difference beyond rounding, for numbers of size `scale`, is noise.
        """
        x = self.best.x
        cost = self.best.cost
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
    """As `ByOrder`, for a search that uses every point's cost and constraints."""

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
        """`judged` with costs and constraints, (N, K), as shown to the search."""
        costs = np.where(judged.evaluated, _worst_if_not_finite(judged.costs), math.inf)
        rows = np.column_stack([costs, amounts])
        return judged._replace(costs=costs, rows=np.where(np.isfinite(rows), rows, math.inf))

    def _rows(self, judged: Judged) -> dict[str, Any]:
        # swarms only use the order
        return {"rows": judged.rows} if isinstance(self._search, PhasedSearch) else {}

    def order(self, judged: Judged) -> Floats:
        """A number for each point, (N,), lower is better; a missing cost is worst."""
        return np.where(np.isfinite(judged.costs), super().order(judged), math.inf)


class ByReturned(ByAmounts):
    """As `ByAmounts`, for an objective that returns its constraints; for any search."""

    def judge(self, points: Floats) -> Judged:
        values, evaluated, error = self._evaluator(points)
        return self._read(values.reshape(len(points), -1), evaluated, error)

    def judge_one(self, point: Floats, value: Floats | float) -> Judged:
        if not np.ndim(value):  # a failed call has no constraints
            value = np.full(self._evaluator.form.shape or (1,), value)
        return self._read(np.reshape(value, (1, -1)), np.ones(1, np.bool_), None)

    def breach(self) -> Breach:
        return Breach.of(self.best.amounts, np.zeros(len(self.best.amounts)))

    def _read(self, rows: Floats, evaluated: Bools, error: Exception | None) -> Judged:
        """Judge values together with constraints, (N, 1 + K)."""
        costs = self._sign * rows[:, 0]
        amounts = np.nan_to_num(rows[:, 1:], nan=math.inf, posinf=math.inf)
        violations = np.where(np.isnan(costs), math.inf, total(amounts, np.zeros(amounts.shape[1])))
        judged = Judged(costs, violations, evaluated, error, amounts)
        return judged if error is not None else self._shown(judged, amounts)
