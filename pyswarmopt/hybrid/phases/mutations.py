"""Mutations of the best point, as a phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.hybrid.model.kinds import Ints, Kinds
from pyswarmopt.hybrid.phases.phase import Phase

MUTANTS = 8  # points of a round
NARROWEST, WIDEST = 1e-4, 0.5  # of a mutation, as a share of the range


@dataclass
class Mutations(Phase):
    """Neighbours of the best point, of all widths; it goes where one is better."""

    levels: Ints  # see `Kinds`
    parameter: Ints
    best: Floats  # (M,), snapped
    cost: float

    def propose(self, random: np.random.Generator) -> Floats:
        widths = NARROWEST * (WIDEST / NARROWEST) ** random.random(MUTANTS)
        return Kinds(self.levels, self.parameter).neighbours(
            np.tile(self.best, (MUTANTS, 1)), widths, random
        )

    def learn(self, costs: Floats) -> None:
        i = int(costs.argmin())
        if costs[i] <= self.cost:
            self.best, self.cost = self.batch[i].copy(), float(costs[i])
