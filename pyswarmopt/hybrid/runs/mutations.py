"""Mutations of the best point, as a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import given, known
from pyswarmopt.hybrid.model.kinds import Kinds
from pyswarmopt.hybrid.runs.run import Run

MUTANTS = 8  # points of a round
NARROWEST, WIDEST = 1e-4, 0.5  # of a mutation, as a share of the range


@dataclass
class Mutations(Run):
    """Neighbours of the best point, of all widths; it goes where one is better."""

    kinds: Kinds = known()
    best: Floats = given("D")  # snapped
    cost: float = math.inf

    def propose(self, random: np.random.Generator) -> Floats:
        widths = NARROWEST * (WIDEST / NARROWEST) ** random.random(MUTANTS)
        return self.kinds.neighbours(np.tile(self.best, (MUTANTS, 1)), widths, random)

    def learn(self, costs: Floats) -> None:
        i = int(costs.argmin())
        if costs[i] <= self.cost:
            self.best, self.cost = self.batch[i].copy(), float(costs[i])
