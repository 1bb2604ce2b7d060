"""Evaluates a search's points: values, constraints, and the best point; and whether a checkpoint
belongs to the same objective.

A search continued with another function would report the old one's value. So the best point is
evaluated once more when a checkpoint is read; this call is not counted, uses none of the search's
random numbers and is made in this process.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Bools, Floats, padded
from pyswarmopt.base.optimizer import Optimizer, Ticket
from pyswarmopt.base.record import NONE, StateRecord, columns, rows_of
from pyswarmopt.driver.call import Value
from pyswarmopt.driver.evaluation import Evaluator
from pyswarmopt.driver.options import Problem
from pyswarmopt.driver.problem.constraints import Breach, ranked, total_violation

# searches aim at this share of an equality's tolerance: aiming at zero from both sides would give
# two contradicting limits, and curved ones could only be crept along. The equilibrium of White,
# Johnson & Dantzig 1958 on a log scale, 500 calls: -47.72 of -47.76, and -46.92 with zero.
AIM = 0.1
# relative to the larger of the value and the search's first values: other machines and batches
# round differently
ROUNDING = 1e-9
SMALL = 1e-8  # gains below this share of the total gain do not count
NOISE = (
    "; fun returned {:.6g} at x and {:.6g} when called again, so it is noisy, and its best "
    "value may be luck; pass noisy=True"
)


class Evaluated(NamedTuple):
    """A point, and what is known about it.

    Attributes:
        x: the point, (D,), as the objective sees it.
        cost: lower is better; (M,) of several objectives; NaN if the call failed or was not made.
        violation: sum of the amounts by which it violates constraints, beyond their slack.
        amounts: value of each constraint, (K,), at most 0 if met.
        slack: largest allowed value of each constraint, (K,), above 0 only for equalities.
        counts: whether it was called, or violates a constraint so that it is not to be called.
        again: whether its value was known, so that it was not called again.
    """

    x: Floats
    cost: Any = math.nan
    violation: float = 0.0
    amounts: Floats = NONE
    slack: Floats = NONE
    counts: bool = False
    again: bool = False

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Deb's order: a missing value is worst, then comes the violation, then the cost of
        feasible points.

        Violations and costs are compared separately: their sum could overflow.
        """
        if not math.isfinite(self.cost):
            return True, self.violation, math.inf
        if self.violation > 0:
            return False, self.violation, 0.0
        return False, 0.0, self.cost


class Found(NamedTuple):
    """The best point, or a front.

    Attributes:
        x: the point, (D,), or the points of the front, (K, D).
        fun: its value, or (K, M); the mean of draws under noise.
        breach: how far it violates constraints; the worst point of a front.
        stderr: standard error of the mean, or (K, M).
        n: number of draws.
        note: a remark for the user.
    """

    x: Floats
    fun: Any
    breach: Breach
    stderr: Any = 0.0
    n: int = 1
    note: str = ""


class TakesRows(Optimizer, Protocol):
    """An optimizer that takes several numbers of each point: cost and constraints, or objectives."""

    def tell(
        self,
        positions: Any,
        values: npt.ArrayLike,
        dropped: npt.ArrayLike | None = None,
        rows: Floats | None = None,
    ) -> None:
        """As `Optimizer.tell`; `rows`, (N, K), are the numbers of each point."""


Search_co = TypeVar("Search_co", bound=Optimizer, covariant=True)


class Judge(Generic[Search_co]):
    """Evaluates points by constraints and objective, tells the search, and keeps the best.

    With constraints the search receives an order of the points, and infeasible ones are not called;
    they still use up budget, since a search without feasible points must also end.

    Args:
        search: receives values; subclasses need more of it than an `Optimizer` has.
        problem: gives constraints, and maps the search's positions to points.
        evaluator: calls the objective.
        sign: -1 for maximisation.

    Attributes:
        best: the best point so far by `Evaluated.rank`.
        calls: calls behind it: an interrupt at any moment sees point and calls in agreement.
    """

    _calls_infeasible = False  # whether points that violate constraints are called, too

    def __init__(
        self, search: Search_co, problem: Problem, evaluator: Evaluator, sign: float = 1.0
    ) -> None:
        self._search = search
        self._evaluator = evaluator
        self._sign = sign
        self._constraints = problem.constraints
        self._constrained = bool(problem.constraints)
        self._coding = problem.coding
        self._decode = problem.decode
        self._returned = problem.constraints.returned
        self.calls = evaluator.calls
        unknown = np.full(int(self._constrained and not self._returned), math.inf)
        start = self._best_position()
        self.best = Evaluated(start, math.inf, math.inf, unknown, np.zeros_like(unknown))

    # ---- evaluation ----

    def draft(self, x: Floats) -> Evaluated:
        """A point, (D,), before its call, with its constraints unless `fun` returns them."""
        if self._returned or not self._constrained:
            return Evaluated(x)
        amounts, slack = self._constraints.outside(x)
        violation = total_violation(amounts, slack)
        uncalled = violation > 0 and not self._calls_infeasible
        return Evaluated(x, math.nan, violation, amounts, slack, uncalled)

    def read(self, draft: Evaluated, value: Value | None) -> Evaluated:
        """A point with its value from the evaluator; None: it was not called."""
        if value is None:
            return draft
        if not self._returned:
            return draft._replace(counts=True, cost=self._sign * value)
        row = np.atleast_1d(value)
        cost = self._sign * float(row[0])
        amounts = np.nan_to_num(row[1:], nan=math.inf, posinf=math.inf)
        violation = math.inf
        if not math.isnan(cost):
            violation = float(np.maximum(amounts, 0.0).sum())
        slack = np.zeros_like(amounts)
        return draft._replace(
            counts=True, cost=cost, violation=violation, amounts=amounts, slack=slack
        )

    def judge(self, points: Floats) -> tuple[list[Evaluated], Exception | None]:
        """Evaluate points, (N, D); the error is the one that ends the search."""
        judged = [self.draft(x) for x in points]
        rows = [i for i, draft in enumerate(judged) if not draft.counts]
        values, known, error = self._evaluator(points[rows])
        for i, value, again in zip(rows, values, known, strict=True):
            judged[i] = self.read(judged[i]._replace(again=again), value)
        self._evaluator.skipped += len(points) - len(rows)
        return judged, error

    # ---- telling ----

    def tell(self, asked: Floats | Ticket, judged: Sequence[Evaluated]) -> None:
        """Tell the search the outcomes of the positions, or of the ticket, that it asked for, and keep
        the best point.
        """
        dropped = None
        if not (isinstance(asked, Ticket) or all(each.counts for each in judged)):
            dropped = np.array([not each.counts for each in judged])
        self._tell_search(asked, judged, dropped)
        self.keep(judged)

    def _tell_search(
        self, asked: Floats | Ticket, judged: Sequence[Evaluated], dropped: Bools | None
    ) -> None:
        self._search.tell(asked, self._told(asked, judged), dropped)

    def _told(self, asked: Floats | Ticket, judged: Sequence[Evaluated]) -> Floats:
        """The values of the positions, (N,), or the value of the ticket, ()."""
        values = self._values(judged)
        if isinstance(asked, Ticket):
            return values[0]
        return values

    def take_in(self, judged: Sequence[Evaluated]) -> None:
        """Pass the outcomes of unrequested points to the search."""
        self._search.take_in(self._positions(judged), self._values(judged))
        self.keep(judged)

    def _positions(self, judged: Sequence[Evaluated]) -> Floats:
        """The search's positions, (N, M), for points."""
        return self._coding.encode(np.array([each.x for each in judged]))

    def _values(self, judged: Sequence[Evaluated]) -> Floats:
        """A number for each point, (N,), with the sign of the objective."""
        costs = np.array([each.cost for each in judged])
        if not self._constrained:
            return self._sign * costs
        order = ranked(costs, np.array([each.violation for each in judged]))
        if self._calls_infeasible or self._returned:  # a missing cost is worst
            order = np.where(np.isfinite(costs), order, math.inf)
        return self._sign * order

    # ---- the result so far ----

    def keep(self, judged: Sequence[Evaluated]) -> None:
        """Keep the best of all points and of these."""
        for each in judged:
            if each.counts and each.rank < self.best.rank:
                self.best = each._replace(x=each.x.copy())
        self.calls = self._evaluator.calls

    def _best_position(self) -> Floats:
        """The search's best point, (D,), as the objective sees it."""
        return self._decode(self._search.best.x[None])[0]

    @property
    def value(self) -> float:
        """The best value of a feasible point; infinitely bad without any."""
        best = self.best
        if best.violation == 0 and math.isfinite(best.cost):
            return self._sign * float(best.cost)
        return self._sign * math.inf

    def reached(self) -> dict[str, float]:
        """The reason to stop at a target that the search does not check."""
        return {}

    def found(self) -> Found:
        """The best point so far."""
        return self._found(self.value)

    def final(self, scale: float) -> Found:
        """The best point at the end, with the value of one more call of the objective.

        A difference beyond rounding, for numbers of size `scale`, is noise.
        """
        cost = self.best.cost
        if self.best.violation == math.inf:  # none was judged, or none has numbers
            self.best = self.draft(self.best.x)._replace(cost=cost)
        value = self.value
        if math.isfinite(cost):  # also at an infeasible point
            value = self._sign * cost
        fun = self._evaluator.confirm(self.best.x, value, known=not math.isnan(cost))
        if not math.isfinite(cost) or same_but_rounding(value, fun, scale):
            return self._found(fun)
        return self._found(fun)._replace(note=NOISE.format(value, fun))

    def _found(self, fun: float) -> Found:
        """The best point with a value."""
        best = self.best
        # a copy: a callback may change it
        return Found(best.x.copy(), float(fun), Breach.of(best.amounts, best.slack))

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """The best point."""
        return columns([self.best], Evaluated, "incumbent.")

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored."""
        self.best = rows_of(saved, Evaluated, "incumbent.")[0]
        self.calls = self._evaluator.calls


class RowJudge(Judge[TakesRows], ABC):
    """Like `Judge`, for a search that takes several numbers of each point."""

    @abstractmethod
    def _rows(self, judged: Sequence[Evaluated]) -> Floats:
        """The numbers of each point, (N, K), infinite where missing."""

    def _tell_search(
        self, asked: Floats | Ticket, judged: Sequence[Evaluated], dropped: Bools | None
    ) -> None:
        self._search.tell(asked, self._told(asked, judged), dropped, self._rows(judged))

    def take_in(self, judged: Sequence[Evaluated]) -> None:
        rows = self._rows(judged)
        self._search.take_in(self._positions(judged), self._values(judged), rows)
        self.keep(judged)


class AmountsJudge(RowJudge):
    """Like `Judge`, for a search that uses cost and constraints of every point."""

    _calls_infeasible = True

    def _rows(self, judged: Sequence[Evaluated]) -> Floats:
        """Costs and constraints, (N, 1 + K)."""
        rows = padded([each.cost, *(each.amounts - AIM * each.slack)] for each in judged)
        return np.where(np.isfinite(rows), rows, math.inf)


class Gains(StateRecord):
    """The latest gain, and the total gain before it.

    Attributes:
        first: the first finite cost at a feasible point.
        best: the cost at the latest gain.
        violation: violation of the best point at the latest gain.
        calls: calls made by then.

    Example:
        >>> gains = Gains()
        >>> bests = [Evaluated(np.zeros(1), cost) for cost in (5.0, 3.0, 3.0 - 1e-9)]
        >>> [gains.idle(best, calls, 20) for best, calls in zip(bests, (1, 10, 30))]
        [False, False, True]
    """

    first: float = math.nan
    best: float = math.inf
    violation: float = math.inf
    calls: int = 0

    def idle(self, best: Evaluated, calls: int, patience: int) -> bool:
        """Record the best point after `calls` calls; return whether nothing was gained in
        `patience` of them.
        """
        if self._is_gain(best):
            self.best = best.cost
            self.violation = best.violation
            self.calls = calls
            if math.isnan(self.first) and best.violation == 0:
                self.first = best.cost
        return calls - self.calls >= patience

    def _is_gain(self, best: Evaluated) -> bool:
        if best.violation == 0 and not math.isfinite(best.cost):
            return False
        if best.violation > 0 or math.isnan(self.first):
            return (best.violation, best.cost) < (self.violation, self.best)
        return self.best - best.cost > SMALL * (self.first - best.cost)


def check_value(
    path: str | os.PathLike[str],
    stored: npt.ArrayLike,
    now: npt.ArrayLike,
    scale: npt.ArrayLike,
    what: str = "fun returned",
) -> None:
    """Compare the best point's stored value with the objective's present one.

    Args:
        path: checkpoint.
        stored: stored value: a number, or one per objective.
        now: present value; NaN for a forgiven failure, which says nothing.
        scale: size of the search's first values.
        what: what the values belong to, for the message.

    Raises:
        ValueError: the values differ by more than rounding.
    """
    before = np.asarray(stored, dtype=np.float64)
    after = np.asarray(now, dtype=np.float64)
    if not (np.isnan(after).any() or same_but_rounding(before, after, scale)):
        raise ValueError(
            f"{path} belongs to a different objective: at its best point, {what} "
            f"{before.tolist()} before and {after.tolist()} now; use another path"
        )


def same_but_rounding(before: npt.ArrayLike, after: npt.ArrayLike, scale: npt.ArrayLike) -> bool:
    """Whether two values of a point, with numbers of size `scale`, differ only by rounding."""
    allowed = ROUNDING * np.maximum(np.abs(before), np.nan_to_num(np.abs(scale), posinf=0.0))
    with np.errstate(over="ignore", invalid="ignore"):
        away = np.abs(np.subtract(after, before))
    return bool(((away <= allowed) | np.equal(after, before)).all())
