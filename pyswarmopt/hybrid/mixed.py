"""The default search with integers or categories.

What takes turns:

1. `ModelPhase`: a Gaussian process proposes the first points, up to `MODELLED` evaluations and 20 parameters.
2. A `CovarianceSwarm` of those coordinates that have an order, with the best point's labels, and beside it `Mutations`
   of the best point: as many evaluations as the swarm has, an eighth while the best point is the swarm's.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.hybrid.memetic import MemeticSearch
from pyswarmopt.hybrid.model.kinds import Ints, Kinds
from pyswarmopt.hybrid.phases.mutations import Mutations
from pyswarmopt.hybrid.phases.phase import Phase
from pyswarmopt.hybrid.slots import KINDS, MATRIX_DIM

SMALL = {"model": "ModelPhase", "mutations": "Mutations", "swarm": "CovarianceSwarm"}
LARGE = SMALL | {"swarm": "SeparableSwarm"}
MODELLED = 200  # evaluations
SHARE_AHEAD, SHARE_BEHIND = 1.0, 0.125  # evaluations of mutations for each one of the swarm


class MixedSearch(MemeticSearch):
    """An `Optimizer` for real numbers, integers and categories together.

    Args:
        bounds: the box; this and all others not named here as for `MemeticSearch`.
        levels: of the M coordinates, see `Kinds`.
        parameter: to which parameter each of them belongs.
    """

    _kinds: ClassVar = KINDS | {"Mutations": Mutations}
    _tables: ClassVar = (SMALL, LARGE)

    def __init__(self, bounds: Any, *args: Any, levels: Ints, parameter: Ints, **kwargs: Any) -> None:
        super().__init__(bounds, *args, **kwargs)
        self._slots = SMALL if self._box.dim <= MATRIX_DIM else LARGE
        free = self._box.free
        self._own_axes = Kinds(levels[free], np.unique(parameter[free], return_inverse=True)[1])
        self._spent = {"swarm": 0, "mutations": 0}

    @property
    def _axes(self) -> Kinds:
        return self._own_axes

    @property
    def modelled(self) -> int:
        return MODELLED

    def _next_turn(self) -> str:
        if not self._box.dim:
            return "start"
        if self.modelling:
            return "model"
        if not self._axes.ordered.any():
            return "mutations"
        share = SHARE_BEHIND if self._best_by == "swarm" else SHARE_AHEAD
        return "mutations" if share * self._spent["swarm"] >= self._spent["mutations"] else "swarm"

    def _propose(self) -> Floats:
        found = super()._propose()
        if self._turn != "swarm" or not self._box.dim:
            return found
        points = np.tile(self._best_point(), (len(found), 1))
        points[:, self._axes.ordered] = found
        return points

    def _begin(self, name: str) -> Phase:
        if name == "model":
            return super()._begin(name)
        if name == "mutations":
            return Mutations(self._axes.levels, self._axes.parameter, self._best_point(), self._best_cost)
        return self._begin_swarm(int(self._axes.ordered.sum()), self._best_point()[self._axes.ordered])

    def _teach(self, phase: Phase, costs: Floats) -> None:
        super()._teach(phase, costs)
        mutations = self._phases.get("mutations")
        if isinstance(mutations, Mutations) and self._best_cost < mutations.cost:
            mutations.best, mutations.cost = self._best_point(), self._best_cost

    def _best_point(self) -> Floats:
        """The best point in the unit box, (M,), snapped."""
        return self._axes.snap(self._box.encode(self._best_x)[None])[0]
