"""The default search with constraints: descents by quadratic programs, and a swarm on an exact
penalty.

What takes turns:

1. `ConstrainedDescent` from the middle of the box, or from the best given position.
2. `CovarianceSwarm` on the cost plus a weighted sum of violations, whose weights grow as long as
   the best of the swarm breaks a constraint; and beside it, with as many evaluations, descents:
   from the best point if that is new, and every other one from a random point.

With whole numbers the descents are `GridDescent`, which moves them as well, and those that do not
start from the best point start from a neighbour of it or from a random point.

The best point is by Deb's rules: a feasible one is better than one that is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.hybrid.constrained.descent import ConstrainedDescent
from pyswarmopt.hybrid.constrained.grid_descent import GridDescent
from pyswarmopt.hybrid.memetic import MemeticSearch
from pyswarmopt.hybrid.model.kinds import Kinds
from pyswarmopt.hybrid.phased_search import Turn
from pyswarmopt.hybrid.phases.cma_es import CovarianceSwarm
from pyswarmopt.hybrid.phases.phase import NONE, Phase
from pyswarmopt.hybrid.slots import KINDS, MATRIX_DIM

SLOTS = {"descent": "ConstrainedDescent", "swarm": "CovarianceSwarm"}
LARGE = SLOTS | {"swarm": "SeparableSwarm"}
ON_A_GRID = SLOTS | {"descent": "GridDescent"}
LARGE_ON_A_GRID = LARGE | {"descent": "GridDescent"}
HARDER = 1.5  # factor of the weights of constraints that the swarm's best breaks
# weight: far below what overflows, for an infinite one makes no number of a violation of 0
HEAVIEST = 1e250
LARGEST_COST = 1e300  # in units of their first spread
NEAR = 0.8  # share of neighbours of the best point among the starts of later descents on a grid
WIDTHS = (1e-3, 0.3)  # of them, as a share of the range


class ConstrainedSearch(MemeticSearch):
    """An `Optimizer` for a function with constraints; `tell` takes their values, too.

    Args:
        bounds: the box; this and all other arguments as for `MemeticSearch`.
        smooth: mask of the coordinates, (D,), in which cost and constraints have slopes; None for
            all.
        kinds: what the coordinates are; None where all are smooth.
    """

    _kinds: ClassVar = KINDS | {kind.__name__: kind for kind in (ConstrainedDescent, GridDescent)}
    _tables: ClassVar = (SLOTS, LARGE, ON_A_GRID, LARGE_ON_A_GRID)

    def __init__(
        self,
        bounds: Any,
        *args: Any,
        smooth: npt.ArrayLike | None = None,
        kinds: Kinds | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(bounds, *args, **kwargs)
        small = self._box.dim <= MATRIX_DIM
        if kinds is None:
            self._progress.slots = SLOTS if small else LARGE
        else:
            self._progress.slots = ON_A_GRID if small else LARGE_ON_A_GRID
        mask = np.ones(len(self._box.low)) if smooth is None else np.asarray(smooth)
        self._smooth = mask.astype(np.bool_)[self._box.free]
        self._grid = None if kinds is None else kinds.of(self._box.free)
        self._unit = 1.0  # of costs, so that the sum of a huge one and violations does not overflow
        self._weights = NONE  # of the violations, (J,)
        self._rows = NONE  # cost and constraints of the points told last, (m, 1 + J)
        # best cost when the latest descent began, and where
        self._tried, self._from_best = math.inf, False

    def tell(
        self,
        positions: npt.ArrayLike | Ticket,
        values: npt.ArrayLike,
        dropped: npt.ArrayLike | None = None,
        rows: npt.ArrayLike | None = None,
    ) -> None:
        """As `MemeticSearch.tell`; `values` are in Deb's order, `rows`, (m, 1 + J), has cost and
        constraints.

        The cost is lower for better, a constraint at most 0 where the point is allowed.
        """
        if rows is not None:
            told = np.asarray(rows, dtype=np.float64)
            self._rows = np.where(np.isfinite(told), told, math.inf)
            self._weights = self._weights if len(self._weights) else np.zeros(told.shape[1] - 1)
        super().tell(positions, values, dropped)

    def _teach(self, phase: Phase, costs: Floats) -> None:
        """Descents learn all values, swarms their merits."""
        if len(self._rows) != len(costs):  # a state that is tried out
            self._rows = np.zeros((len(costs), 1 + len(self._weights)))
        phase.tell(self._merits() if isinstance(phase, CovarianceSwarm) else self._rows)

    def _merits(self) -> Floats:
        """Cost and weighted violations, (m,), in units of cost; a missing cost counts as the worst
        of the others.
        """
        costs, broken = self._rows[:, 0], np.maximum(self._rows[:, 1:], 0.0)
        finite = np.isfinite(costs)
        costs = np.where(finite, costs, costs[finite].max() if finite.any() else 0.0)
        if not self._weights.any():
            self._unit, self._weights = _unit_and_weights(costs, broken)
        with np.errstate(over="ignore"):  # costs may be anything
            merits = (
                np.clip(costs / self._unit, -LARGEST_COST, LARGEST_COST) + broken @ self._weights
            )
        best = int(merits.argmin())
        self._weights = np.where(
            broken[best] > 0, np.minimum(HARDER * self._weights, HEAVIEST), self._weights
        )
        return merits

    # ---- whose turn it is ----

    def _turns(self) -> list[Turn]:
        return [
            Turn("descent", self._descends, self._begin_descent),
            Turn("swarm", lambda: True, self._begin_swarm),
        ]

    def _descends(self) -> bool:
        """Whether it is the first descent, or later ones have had fewer evaluations than the
        swarm.
        """
        if not self._smooth.any():
            return False
        descent, spent = self._phases.get("descent"), self._progress.spent
        if descent is None or ("swarm" not in self._phases and not descent.done):
            return True
        return spent["swarm"] > spent["descent"] - self._progress.granted

    def _swarm(self, dim: int, first: Floats | None) -> CovarianceSwarm:
        self._weights = np.zeros_like(self._weights)
        return super()._swarm(dim, first)

    def _begin_descent(self) -> Phase:
        self._from_best = "descent" not in self._phases or (
            not self._from_best and self._best_cost < self._tried
        )
        self._tried = self._best_cost
        if self._grid is not None:
            return self._begin_on(self._grid)
        x = self._first_point()
        if not self._from_best:
            x = self._random.random(len(x))
        return ConstrainedDescent(x, np.flatnonzero(self._smooth))

    def _begin_on(self, kinds: Kinds) -> Phase:
        x = kinds.snap(self._first_point()[None])
        if not self._from_best:
            width = WIDTHS[0] * (WIDTHS[1] / WIDTHS[0]) ** self._random.random(1)
            near = self._random.random() < NEAR
            x = kinds.neighbours(x, width, self._random) if near else kinds.draw(1, self._random)
        moving = np.flatnonzero(self._smooth | kinds.whole)
        levels = kinds.levels[moving]
        return GridDescent(x[0], moving, np.where(levels > 0, 1 / np.maximum(levels, 1), 0.0))

    # ---- saving ----

    def state_dict(self) -> dict[str, Any]:
        """All that a resume needs: copies, numbers and strings."""
        lists = {"weights": self._weights.tolist(), "smooth": self._smooth.tolist()}
        lists["unit"] = self._unit
        return super().state_dict() | lists | {"tried": self._tried, "from_best": self._from_best}

    def _take_over(self, saved: Mapping[str, Any]) -> None:
        super()._take_over(saved)
        self._weights, self._smooth = (
            np.array(saved["weights"]),
            np.array(saved["smooth"], dtype=np.bool_),
        )
        self._unit = saved.get("unit", 1.0)  # what it was when files had none
        self._tried, self._from_best = saved["tried"], saved["from_best"]


def _unit_and_weights(costs: Floats, broken: Floats) -> tuple[float, Floats]:
    """A unit near the spread of finite costs, (m,), and weights, (J,), by which violations, (m, J),
    are as large.

    The unit is a power of 2, so that dividing by it is exact.

    Example:
        >>> unit, weights = _unit_and_weights(np.array([-1.5e308, 1.5e308]), np.array([[4.0], [0.0]]))
        >>> unit == 2.0**1022, (weights * unit / 3e307).round(3).tolist()
        (True, [2.5])
    """
    half_spread = float(np.ptp(costs / 2)) or 0.5
    unit = 2.0 ** min(math.frexp(half_spread)[1], 1022)
    largest = np.where(np.isfinite(broken), broken, 0.0).max(axis=0)
    scales = np.where(largest > 0, largest, max(float(largest.max()), 1e-300))
    with np.errstate(over="ignore"):
        return unit, np.minimum(2 * (half_spread / unit) / scales, HEAVIEST)
