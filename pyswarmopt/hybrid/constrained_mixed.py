"""The default search with constraints and some whole or label coordinates.

Its phases in their order are `ConstrainedMixedSearch.PHASES`:

1. `MixedDescent`: quadratic programs on real and whole numbers, from the best point if that is new,
   else near it. As many evaluations as all others while the best point is theirs, else a quarter.
2. `LongConstrainedModel`: a Gaussian process of the cost and of each constraint proposes 200 points,
   labels and numbers together, up to 20 parameters.
3. `EarlyMutate`: mutations of the best point.
4. `PenaltySwarm`.
"""

from __future__ import annotations

from typing import ClassVar

from pyswarmopt.hybrid.constrained import (
    ConstrainedModel,
    ConstrainedSearch,
    PenaltySwarm,
    ProgramDescent,
)
from pyswarmopt.hybrid.mixed import MODELLED, EarlyMutate
from pyswarmopt.hybrid.search import PhasedSearch

SHARE_AHEAD = (
    1.0  # evaluations of descents for each other evaluation, while the best point is theirs
)
SHARE_BEHIND = 0.25


class MixedDescent(ProgramDescent):
    """Descents beside a model and mutations."""

    def _has_turn(self, s: ConstrainedSearch) -> bool:
        others = self._others(s)
        share = SHARE_AHEAD if s.progress.best_by == self.name else SHARE_BEHIND
        return others > 0 and self.spent < share * others


class LongConstrainedModel(ConstrainedModel):
    """Points proposed by models before all other phases."""

    def points(self, s: PhasedSearch) -> int:
        return MODELLED


class ConstrainedMixedSearch(ConstrainedSearch):
    """A search of real numbers, integers and categories together, with constraints."""

    PHASES: ClassVar = (MixedDescent, LongConstrainedModel, EarlyMutate, PenaltySwarm)
    searches_lines = False
