"""A ring of particles, as a run: constricted (Clerc & Kennedy 2002, IEEE Trans. Evol. Comput. 6),
each informed by its two neighbours, and stopped by walls (Bratton & Kennedy 2007).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import array
from pyswarmopt.default.phases import Run
from pyswarmopt.parts import topology

INERTIA = 0.7298
PULL = 1.4962
NEIGHBOURS: Any = topology.Ring()
ABOVE = 0.01  # share of the first costs' range by which the middle is a top
CLOSE = 4  # times closer are the pairs that show whether costs flatten
CLOSE_PAIRS = 3
# Pairs of a convex function rise above the middle by at least `CLOSE` times as much when they are
# `CLOSE` times as far; with a lower ratio its costs flatten.
FLAT = 3


class RingRun(Run):
    """Particles in opposite pairs about a point. It ends at once unless that point is a top: worse
    than what a plane through the pairs says, which no convex function is. Then closer pairs show
    whether the costs flatten outwards, which no convex function's do either.
    """

    middle: Floats  # (D,)
    pairs: int = 5
    x: Floats = array()  # (n, D)
    velocity: Floats = array()  # (n, D)
    best_positions: Floats = array()  # (n, D): the best point of each
    best_costs: Floats = array()  # (n,): theirs
    level: float = math.inf  # cost at the middle
    top: bool = False  # whether the middle is one
    flattens: bool = False  # whether the costs flatten outwards

    def propose(self, random: np.random.Generator) -> Floats:
        if not len(self.x):
            self._scatter(random)
            return np.vstack([self.middle, self.x])
        if not self.top:
            return self.middle + (self._some_pairs(self.x) - self.middle) / CLOSE
        own, social = random.random((2, *self.x.shape))
        known = NEIGHBOURS(self, random)
        pull = own * (self.best_positions - self.x) + social * (known - self.x)
        self.velocity = INERTIA * self.velocity + PULL * pull
        moved = self.x + self.velocity
        self.x = np.clip(moved, 0.0, 1.0)
        self.velocity[self.x != moved] = 0.0
        return self.x

    def _scatter(self, random: np.random.Generator) -> None:
        """Place the pairs about the middle."""
        reach = np.minimum(self.middle, 1 - self.middle)
        away = reach * random.uniform(-1, 1, (self.pairs, len(reach)))
        self.x = self.middle + np.vstack([away, -away])
        self.velocity = (random.random(self.x.shape) - self.x) / 2

    def _some_pairs(self, rows: Floats) -> Floats:
        """The rows, (2 pairs, ...), of the first pairs."""
        some = rows.reshape(2, -1, *rows.shape[1:])[:, :CLOSE_PAIRS]
        return some.reshape(-1, *rows.shape[1:])

    def learn(self, costs: Floats) -> None:
        if len(self.best_costs) and not self.top:
            far = self._rise(self._some_pairs(self.best_costs))
            self.flattens = far < FLAT * abs(self._rise(costs))
            self.done = True
            return
        if not len(self.best_costs):
            self.level = float(costs[0])
            costs = costs[1:]
            self.top = self._is_top(costs)
            self.best_costs = np.full(len(costs), np.inf)
            self.best_positions = self.x.copy()
        improved = costs < self.best_costs
        self.best_costs = np.where(improved, costs, self.best_costs)
        self.best_positions[improved] = self.x[improved]

    def _rise(self, costs: Floats) -> float:
        """How far points with these costs, (n,), are above the middle on average."""
        return float(np.mean(costs - self.level))

    def _is_top(self, costs: Floats) -> bool:
        """Whether the middle is a top, judged by the costs of the pairs, (n,)."""
        pairs = costs.reshape(2, -1).mean(axis=0)
        every = np.append(costs, self.level)
        finite = every[np.isfinite(every)]
        reach = 0.0
        if finite.size:
            reach = float(np.ptp(finite))
        return float((self.level - pairs).max()) > ABOVE * reach
