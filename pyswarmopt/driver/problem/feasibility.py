"""What a search learns of points that break a constraint: their order alone, or cost and
constraints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.checkpoint import check
from pyswarmopt.driver.problem.constraints import Constraints, ranked
from pyswarmopt.hybrid.constrained.swarm import ConstrainedSearch

if TYPE_CHECKING:
    from pyswarmopt.hybrid.search import PhasedSearch
    from pyswarmopt.swarm import Swarm

# costs, (n,), of points, (n, D), and a mask of those evaluated
Draw = Callable[[Floats], tuple[Floats, Bools]]


class Judged(NamedTuple):
    """What is known of some points, (N, D).

    Attributes:
        costs: (N,), lower is better.
        violations: (N,) sums of the amounts by which constraints are broken, 0 where none is.
        evaluated: (N,) mask of the points that count: those whose cost was asked for, or whose
            violation says it all.
        skipped: how many count without an evaluation.
    """

    costs: Floats
    violations: Floats
    evaluated: Bools
    skipped: int = 0


class Incumbent(NamedTuple):
    """The best point so far by Deb's rules: of feasible points that of least cost, else that of
    least violation.

    Violations and costs are compared each by itself: a sum of both could overflow.

    Attributes:
        x: the point, (D,), as the objective sees it.
        cost: lower is better; infinite if the value is not finite, NaN if the point was not
            evaluated.
        violation: 0 where it is feasible.

    Example:
        >>> points, costs = np.array([[1.0], [2.0], [3.0]]), np.array([0.0, 1e301, 1.7e308])
        >>> judged = Judged(costs, np.array([1e-9, 0.0, 0.0]), np.array([True, True, True]))
        >>> Incumbent.among(points, judged).x.tolist()
        [2.0]
    """

    x: Floats
    cost: float
    violation: float

    @classmethod
    def among(cls, points: Floats, judged: Judged) -> Incumbent | None:
        """The first best one of points, (n, D); None if none of them counts."""
        rows = np.flatnonzero(judged.evaluated)
        if not rows.size:
            return None
        violations = judged.violations[rows]
        costs = np.where(violations > 0, 0.0, _worst_if_not_finite(judged.costs[rows]))
        i = int(rows[np.lexsort((costs, violations))[0]])
        return cls(points[i].copy(), float(judged.costs[i]), float(judged.violations[i]))

    def beats(self, other: Incumbent | None) -> bool:
        """Whether it is strictly better."""
        return other is None or self._rank() < other._rank()

    def _rank(self) -> tuple[float, float]:
        cost = 0.0 if self.violation > 0 else float(_worst_if_not_finite(np.asarray(self.cost)))
        return self.violation, cost

    def state_dict(self) -> dict[str, Any]:
        """All fields, for a checkpoint."""
        return {f"incumbent.{name}": value for name, value in self._asdict().items()}

    @classmethod
    def from_state(cls, saved: Mapping[str, Any]) -> Incumbent | None:
        """The inverse of `state_dict`; None if there is none.

        Raises:
            ValueError: an entry of another type.
        """
        if "incumbent.x" not in saved:
            return None
        check(
            saved,
            {
                "incumbent.x": ("float64", "D"),
                "incumbent.cost": float,
                "incumbent.violation": float,
            },
        )
        x, cost, violation = (saved[f"incumbent.{name}"] for name in cls._fields)
        return cls(x.copy(), float(cost), float(violation))


def _worst_if_not_finite(costs: Floats) -> Floats:
    return np.where(np.isfinite(costs), costs, math.inf)


class ByOrder:
    """For searches that only compare points: those that break a constraint are not evaluated.

    They use up budget all the same: a search that finds no feasible point must end, too.
    """

    def __init__(self, search: Swarm | PhasedSearch, constraints: Constraints, draw: Draw) -> None:
        self._search, self._constraints, self._draw = search, constraints, draw

    def judge(self, points: Floats) -> Judged:
        """Evaluate points, (N, D)."""
        violations = self._constraints.excess(points).sum(axis=1)
        feasible = violations == 0
        if feasible.all():
            costs, evaluated = self._draw(points)
            return Judged(costs, violations, evaluated)
        costs, evaluated = np.full(len(points), math.nan), ~feasible
        costs[feasible], evaluated[feasible] = self._draw(points[feasible])
        return Judged(costs, violations, evaluated, int((~feasible).sum()))

    def tell(self, positions: Any, judged: Judged, sign: float) -> None:
        """Pass what is known of the points judged last on to the search; `sign` is -1 if that
        maximises.
        """
        self._search.tell(positions, sign * self.order(judged), dropped=~judged.evaluated)

    def order(self, judged: Judged) -> Floats:
        """One number for each point, (N,), lower is better."""
        return ranked(judged.costs, judged.violations) if self._constraints else judged.costs


class ByAmounts:
    """As `ByOrder`, for a search that uses cost and constraints of every point."""

    def __init__(self, search: ConstrainedSearch, constraints: Constraints, draw: Draw) -> None:
        self._search, self._constraints, self._draw = search, constraints, draw

    def judge(self, points: Floats) -> Judged:
        """Evaluate points, (N, D)."""
        sides = self._constraints.sides(points)
        violations = np.maximum(sides, 0.0).sum(axis=1)
        try:
            costs, evaluated = self._draw(points)
        except Exception as error:
            if (violations > 0).any():
                error.add_note(
                    "fun may have been called where a constraint is broken; "
                    "NonlinearConstraint(g, -inf, 0, "
                    "keep_feasible=True) keeps it from there"
                )
            raise
        costs = np.where(evaluated, _worst_if_not_finite(costs), math.inf)
        self._rows = np.column_stack([costs, sides])
        return Judged(costs, violations, evaluated)

    def tell(self, positions: Any, judged: Judged, sign: float) -> None:
        """As `ByOrder.tell`, with the costs and constraints."""
        order = sign * ranked(judged.costs, judged.violations)
        self._search.tell(positions, order, ~judged.evaluated, self._rows)


def judge_for(
    search: Swarm | PhasedSearch, constraints: Constraints, draw: Draw
) -> ByOrder | ByAmounts:
    """What evaluates the points of a search."""
    if isinstance(search, ConstrainedSearch):
        return ByAmounts(search, constraints, draw)
    return ByOrder(search, constraints, draw)
