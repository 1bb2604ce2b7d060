"""The default search with constraints where some coordinates are whole or labels.

Its phases in their order are `ConstrainedMixedSearch.PHASES`:

1. `MixedDescent`: quadratic programs on real and whole numbers, from the best point if that is new,
   else near it. As many evaluations as all others while the best point is theirs, else a quarter.
2. `ConstrainedModel`: a Gaussian process of the cost and of each constraint proposes points, labels
   and numbers together, up to 20 parameters.
3. `EarlyMutate`: mutations of the best point.
4. `PenaltySwarm`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pyswarmopt.base.arrays import Floats
from pyswarmopt.hybrid.constrained import ConstrainedSearch, PenaltySwarm, ProgramDescent
from pyswarmopt.hybrid.constrained_proposals import ConstrainedProposals
from pyswarmopt.hybrid.memetic import BESIDE
from pyswarmopt.hybrid.mixed import EarlyMutate, LongModel

SHARE_AHEAD = (
    1.0  # evaluations of descents for each one of the others, while the best point is theirs
)
SHARE_BEHIND = 0.25


class MixedDescent(ProgramDescent):
    """Descents beside a model and mutations."""

    def due(self, s: Any) -> bool:
        if not (s.kinds.smooth | s.kinds.whole).any():
            return False
        if s.kept.rescuing:
            return self.run is None or not self.run.done
        others = sum(s.phase(kind).spent for kind in (LongModel, EarlyMutate, PenaltySwarm))
        share = SHARE_AHEAD if s.progress.best_by == self.name else SHARE_BEHIND
        return others > 0 and self.spent < share * others


class ConstrainedModel(LongModel):
    """The points that models of cost and constraints propose."""

    kinds = (ConstrainedProposals,)

    def begin(self, s: Any) -> ConstrainedProposals:
        usual = super().begin(s)
        return ConstrainedProposals(s.kinds, usual.first, usual.last, usual.at_once)

    def propose(self, s: Any) -> Floats:
        run = self.run
        best = s.best_point()
        row = s.kept.best
        if run is not None and len(row) and not (run.points == best).all(axis=1).any():
            run.take_in_rows(best[None], row[None])
        return super().propose(s)

    def learn(self, s: Any, costs: Floats) -> None:
        self.run.take_in_rows(self.run.batch, s.rows)
        self.spent += len(costs)

    def hear(self, s: Any, points: Floats, costs: Floats) -> None:
        if self.run is None and self.due(s):
            self.run = self.begin(s)
        if self.run is not None and len(self.run.points) < BESIDE:
            self.run.take_in_rows(points, s.rows)


class ConstrainedMixedSearch(ConstrainedSearch):
    """A search of real numbers, integers and categories together, with constraints."""

    PHASES: ClassVar = (MixedDescent, ConstrainedModel, EarlyMutate, PenaltySwarm)
    searches_lines = False
