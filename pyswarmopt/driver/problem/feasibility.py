"""What a search learns of points that break a constraint: their order alone, or cost and constraints."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.driver.problem.constraints import Constraints, ranked
from pyswarmopt.hybrid.constrained.swarm import ConstrainedSearch

if TYPE_CHECKING:
    from pyswarmopt.hybrid.memetic import MemeticSearch
    from pyswarmopt.swarm import Swarm

Draw = Callable[[Floats], tuple[Floats, Bools]]  # costs, (n,), of points, (n, D), and a mask of those evaluated


class Judged(NamedTuple):
    """Points, (N, D), in Deb's order.

    Attributes:
        costs: (N,), lower is better.
        evaluated: (N,) mask of the points that have one.
        feasible: (N,) mask.
        skipped: how many were ranked without an evaluation.
    """

    costs: Floats
    evaluated: Bools
    feasible: Bools
    skipped: int = 0


class ByOrder:
    """For searches that only compare points: those that break a constraint are not evaluated.

    They use up budget all the same: a search that finds no feasible point must end, too.

    Attributes:
        cost: of the best point if that breaks a constraint; None where it is not evaluated.
    """

    cost: float | None = None

    def __init__(self, search: Swarm | MemeticSearch, constraints: Constraints, draw: Draw) -> None:
        self._search, self._constraints, self._draw = search, constraints, draw

    def judge(self, points: Floats) -> Judged:
        """Evaluate points, (N, D)."""
        violations = self._constraints.excess(points).sum(axis=1)
        feasible = violations == 0
        costs, evaluated = np.zeros(len(points)), ~feasible
        costs[feasible], evaluated[feasible] = self._draw(points[feasible])
        order = ranked(costs, violations) if self._constraints else costs
        return Judged(order, evaluated, feasible, int((~feasible).sum()))

    def tell(self, positions: Any, values: Floats, dropped: Bools) -> None:
        """Pass the values, (N,), of the points judged last on to the search."""
        self._search.tell(positions, values, dropped=dropped)


class ByAmounts:
    """As `ByOrder`, for a search that uses cost and constraints of every point."""

    def __init__(self, search: ConstrainedSearch, constraints: Constraints, draw: Draw) -> None:
        self._search, self._constraints, self._draw = search, constraints, draw

    @property
    def cost(self) -> float:
        """Of the best point, lower is better."""
        return self._search.cost

    def judge(self, points: Floats) -> Judged:
        """Evaluate points, (N, D)."""
        sides = self._constraints.sides(points)
        violations = np.maximum(sides, 0.0).sum(axis=1)
        try:
            costs, evaluated = self._draw(points)
        except Exception as error:
            if (violations > 0).any():
                error.add_note(
                    "fun may have been called where a constraint is broken; NonlinearConstraint(g, -inf, 0, "
                    "keep_feasible=True) keeps it from there"
                )
            raise
        self._rows = np.column_stack([np.where(evaluated, costs, math.inf), sides])
        return Judged(ranked(costs, violations), evaluated, violations == 0)

    def tell(self, positions: Any, values: Floats, dropped: Bools) -> None:
        """Pass the values, (N,), of the points judged last on to the search, with their costs and constraints."""
        self._search.tell(positions, values, dropped, self._rows)


def judge_for(search: Swarm | MemeticSearch, constraints: Constraints, draw: Draw) -> ByOrder | ByAmounts:
    """What evaluates the points of a search."""
    if isinstance(search, ConstrainedSearch):
        return ByAmounts(search, constraints, draw)
    return ByOrder(search, constraints, draw)
