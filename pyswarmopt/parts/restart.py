"""Restart policies: called after every evaluation, they may send particles, or the whole swarm,
elsewhere.

A policy is a function of the state, which it reads, and of the `Restartable` swarm, which it
changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pyswarmopt.base.arrays import Bools
from pyswarmopt.base.state import State
from pyswarmopt.parts.stopping import extent


class Restartable(Protocol):
    """Methods of a swarm that a policy calls.

    Example:
        Particles without a new personal best for ten iterations start again elsewhere:

        >>> import pyswarmopt as pso
        >>> def elsewhere(state, swarm: Restartable) -> None:
        ...     idle = state.stagnation >= 10
        ...     swarm.scatter(idle)
        ...     state.stagnation[idle] = 0  # the count starts anew
        >>> pso.compose([pso.inertia(0.7), pso.social(1.5)], restart=elsewhere).name
        'composed'
    """

    def send_back(self, rows: Bools) -> None:
        """Set x <- p and v <- 0 for the particles in a mask, (N,); those being evaluated stay."""

    def scatter(self, rows: Bools) -> None:
        """Draw new x and v, as at the recipe's start, for the particles in a mask, (N,), which keep
        their p; those being evaluated stay.
        """

    def repopulate(self, count: int) -> None:
        """Replace the population with `count` new particles of the recipe; the overall best is
        kept.
        """


Restart = Callable[[State, Restartable], None]


@dataclass(frozen=True)
class RestartAtBest:
    """A particle whose personal best has not changed for `patience` iterations returns to it, at
    rest.

    Feng et al. 2024, Algorithm 1: x <- p, v <- 0. The next move starts at p.

    Attributes:
        patience: iterations without change, c_r.
        once: whether the count restarts after a return; otherwise the particle is sent back at
            every iteration until it finds a new personal best, as in the authors' released code.
        count_best: whether the evaluation that found the personal best is the first of the count,
            as in the authors' released code, where a particle's history begins with its start: it
            returns after `patience` - 1 iterations without change.

    Raises:
        ValueError: `patience` is below 1.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.inertia(1.0)], restart=RestartAtBest(patience=1))
        >>> s = pso.Swarm(positions=[[0.0], [1.0]], recipe=recipe, seed=0)
        >>> s.tell(s.ask(), [0.0, 0.0])
        >>> s.tell(s.ask(), [1.0, 1.0])  # no better: back to the start
        >>> s.positions.flatten().tolist(), s.velocities.flatten().tolist()
        ([0.0, 1.0], [0.0, 0.0])
    """

    patience: int
    once: bool = True
    count_best: bool = False

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"restart patience must be at least 1, got {self.patience}")

    def __call__(self, state: State, swarm: Restartable) -> None:
        due = state.stagnation >= self.patience - self.count_best
        if not np.count_nonzero(due):
            return
        swarm.send_back(due)
        if self.once:
            np.putmask(state.stagnation, due, 0)


@dataclass(frozen=True)
class RestartSwarm:
    """Replace a stagnating or collapsed swarm with a new, larger one, drawn within the bounds.

    A growing population searches locally at first and more globally later (Auger & Hansen 2005, for
    CMA-ES: "IPOP"). The new swarm inherits nothing; `Swarm.best` keeps the overall best. Schedules
    start over. This policy requires bounds.

    Attributes:
        patience: iterations without a new best of the current swarm.
        collapse: share of its starting extent (see `stopping.extent`) below which the swarm has
            collapsed.
        growth: factor by which the population grows, rounded up; 1 keeps its size.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> from dataclasses import replace
        >>> import pyswarmopt as pso
        >>> once_more = replace(pso.recipes.constriction(population=6), restart=(RestartSwarm(patience=5),))
        >>> s = pso.Swarm(bounds=[(-5, 5)] * 2, recipe=once_more, seed=1)
        >>> sizes = []
        >>> for _ in range(12):
        ...     x = s.ask()
        ...     sizes.append(len(x))
        ...     s.tell(x, 0 * x[:, 0])  # nothing ever improves
        >>> sizes
        [6, 6, 6, 6, 6, 6, 9, 9, 9, 9, 9, 9]
    """

    patience: int = 50
    collapse: float = 1e-10
    growth: float = 1.5

    def __post_init__(self) -> None:
        if self.patience < 1 or not 0 <= self.collapse < 1 or not 1 <= self.growth < math.inf:
            raise ValueError(
                f"{self}: patience and growth must be at least 1, and collapse at least 0 and below 1"
            )

    def __call__(self, state: State, swarm: Restartable) -> None:
        now = extent(state)
        first = state.memory.setdefault("starting_extent", np.array(now))
        if now < self.collapse * float(first) or state.leader_stagnation >= self.patience:
            swarm.repopulate(math.ceil(len(state.positions) * self.growth))


__all__ = ["Restart", "RestartAtBest", "RestartSwarm", "Restartable"]
