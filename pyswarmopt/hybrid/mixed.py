"""The default search with integers or categories.

What takes turns:

1. `ModelPhase`: a Gaussian process proposes the first points, up to `MODELLED` evaluations and 20
  parameters.
2. A `CovarianceSwarm` of those coordinates that have an order, with the best point's labels, and
   beside it `Mutations` of the best point: as many evaluations as the swarm has, an eighth while
   the best point is the swarm's.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.hybrid.memetic import MemeticSearch
from pyswarmopt.hybrid.model.kinds import Kinds
from pyswarmopt.hybrid.phased_search import Turn
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
        kinds: what the M coordinates are.
    """

    _kinds: ClassVar = KINDS | {"Mutations": Mutations}
    _tables: ClassVar = (SMALL, LARGE)

    def __init__(self, bounds: Any, *args: Any, kinds: Kinds, **kwargs: Any) -> None:
        super().__init__(bounds, *args, **kwargs)
        self._progress.slots = SMALL if self._box.dim <= MATRIX_DIM else LARGE
        self._progress.spent = {"swarm": 0, "mutations": 0}
        self._mixed_axes = kinds.of(self._box.free)

    @property
    def _axes(self) -> Kinds:
        return self._mixed_axes

    @property
    def modelled(self) -> int:
        return MODELLED

    def _turns(self) -> list[Turn]:
        return [
            Turn("model", lambda: self.modelling, self._begin_model),
            Turn("mutations", self._mutates, self._begin_mutations),
            Turn("swarm", lambda: True, self._begin_swarm),
        ]

    def _mutates(self) -> bool:
        """Whether mutations have had no more than their share, or nothing else can be proposed."""
        progress = self._progress
        share = SHARE_BEHIND if progress.best_by == "swarm" else SHARE_AHEAD
        return (
            not self._axes.ordered.any()
            or share * progress.spent["swarm"] >= progress.spent["mutations"]
        )

    def _propose(self) -> Floats:
        proposed = super()._propose()
        if self._progress.turn != "swarm" or not self._box.dim:
            return proposed
        points = np.tile(self._best_point(), (len(proposed), 1))
        points[:, self._axes.ordered] = proposed
        return points

    def _begin_mutations(self) -> Phase:
        return Mutations(
            self._axes.levels, self._axes.parameter, self._best_point(), self._best_known
        )

    def _begin_swarm(self) -> Phase:
        return self._swarm(int(self._axes.ordered.sum()), self._best_point()[self._axes.ordered])

    def _teach(self, phase: Phase, costs: Floats) -> None:
        super()._teach(phase, costs)
        mutations = self._phases.get("mutations")
        if isinstance(mutations, Mutations) and self._best_known < mutations.cost:
            mutations.best, mutations.cost = self._best_point(), self._best_known
