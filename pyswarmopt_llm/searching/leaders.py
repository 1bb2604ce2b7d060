"""The candidates of a search, and the Pareto front of those scored on several tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from pyswarmopt.driver.multi.pareto import non_dominated
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import FrontPoint


class Archive:
    """The fully scored candidates of a search, the first at each position.

    Args:
        tasks: names of the tasks.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._tasks = tuple(tasks)
        self._rows: dict[str, Row] = {}

    def add(self, positions: Tensor, rows: Sequence[Row]) -> None:
        """Add candidates, (n, D), unless their evaluation is incomplete."""
        for row in rows:
            if row.complete:
                self._rows.setdefault(row.key, row)

    def front(self, experts: Sequence[str]) -> list[FrontPoint]:
        """The non-dominated candidates, sorted by the first task, one of several equal ones; [] for
        one task.

        Args:
            experts: names of the experts.
        """
        if len(self._tasks) < 2:
            return []
        points: dict[tuple[float, ...], Row] = {}
        for row in self._rows.values():
            points.setdefault(tuple(row.score(name).value for name in self._tasks), row)
        efficient = non_dominated(-np.array(list(points)))
        front = [values for values, is_in in zip(points, efficient, strict=True) if is_in]
        return [
            FrontPoint(
                dev=dict(zip(self._tasks, values, strict=True)),
                coefficients=dict(zip(experts, points[values].coefficients, strict=True)),
            )
            for values in sorted(front)
        ]
