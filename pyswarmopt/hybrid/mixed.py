"""The default search with integers or categories.

Its phases in their order are `MixedSearch.PHASES`:

1. `LongModel`: a Gaussian process proposes the first 200 points, up to 20 parameters.
2. `EarlyMutate`: mutations of the best point, as many evaluations as the swarm has, an eighth while
   the best point is the swarm's.
3. `OrderedSwarm` of those coordinates that have an order, with the best point's labels.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.hybrid.kinds import Kinds
from pyswarmopt.hybrid.memetic import SHARE_BEHIND, ModelPhase, Mutate, SwarmPhase
from pyswarmopt.hybrid.search import PhasedSearch

MODELLED = 200  # evaluations
SHARE_AHEAD = 1.0  # evaluations of mutations for each of the swarm's


class LongModel(ModelPhase):
    """Points proposed by a Gaussian process."""

    def points(self, s: PhasedSearch) -> int:
        return MODELLED


class EarlyMutate(Mutate):
    """Mutations of the overall best point, from the start."""

    def due(self, s: PhasedSearch) -> bool:
        """Whether it has had at most its share, or nothing else can propose."""
        share = SHARE_BEHIND if s.progress.best_by == SwarmPhase.name else SHARE_AHEAD
        return not s.kinds.ordered.any() or share * s.phase(SwarmPhase).spent >= self.spent


class OrderedSwarm(SwarmPhase):
    """A swarm of the ordered coordinates."""

    def start(self, s: PhasedSearch) -> Floats:
        return s.best_point()[s.kinds.ordered]

    def propose(self, s: PhasedSearch) -> Floats:
        proposed = super().propose(s)
        points = np.tile(s.best_point(), (len(proposed), 1))
        points[:, s.kinds.ordered] = proposed
        return points

    def dim(self, kinds: Kinds) -> int:
        return int(kinds.ordered.sum())


class MixedSearch(PhasedSearch):
    """A search over real numbers, integers and categories together."""

    PHASES: ClassVar = (LongModel, EarlyMutate, OrderedSwarm)
