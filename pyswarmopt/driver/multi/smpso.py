"""The swarm behind `minimize_multi`: points proposed by models of the objectives, then SMPSO.

MOPSO (Coello Coello, Pulido & Lechuga 2004, IEEE TEC 8(3)) with an archive kept by crowding
distance (Raquel & Naval 2005, GECCO), in the form of SMPSO (Nebro, Durillo, Garcia-Nieto, Coello
Coello, Luna & Alba 2009, IEEE MCDM): each particle follows its own best and a leader from the
archive, its speed is constricted, and some particles mutate. With the weights of the first two
papers, and their mutation that dies out, swarms often collapse into a corner of the front (ZDT2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats, too_large
from pyswarmopt.base.optimizer import Ticket
from pyswarmopt.base.random import generator_at
from pyswarmopt.base.record import StateRecord
from pyswarmopt.driver.multi.front_model import FrontProposals
from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated
from pyswarmopt.hybrid.box import UnitBox

# Nebro et al. 2009, section III: w, and the range of both c1 and c2
INERTIA = 0.1
ACCELERATION = 1.5, 2.5
ARCHIVE = 100  # points to follow; the most crowded ones go first
MUTANTS = 0.15  # share of particles that mutate
MUTATION_INDEX = 20.0  # eta of the polynomial mutation: larger means smaller steps


class MultiSwarm(StateRecord):
    """Positions, personal bests and the archive, in the coordinates of the swarm, (.., M).

    Args:
        bounds: low and high, (M,) each.
        population: particles.
        objectives: K.
        seed: seed of the swarm's own generator.
        start: positions to begin with, (n, M).
        model: proposes points before the swarm moves; None: the swarm moves at once.

    Attributes:
        x: positions, (P, M).
        v: velocities.
        p: personal bests, with their objectives and violations.
        archive: feasible non-dominated points, (A, M).
        archive_values: their objectives, (A, K).
        asked: the round's positions, (R, M), none between rounds.
        told: their outcomes, (R, K + 2): objectives, violation, and whether they count; NaN before.
        iteration: moves.
        numbers: of the points of all rounds before.
    """

    x: Floats  # (P, M)
    v: Floats  # (P, M)
    p: Floats  # (P, M)
    p_values: Floats  # (P, K)
    p_violations: Floats  # (P,)
    archive: Floats  # (A, M)
    archive_values: Floats  # (A, K)
    asked: Floats  # (R, M)
    told: Floats  # (R, T)
    iteration: int = 0
    rounds: int = 0
    numbers: int = 0

    def __init__(
        self,
        bounds: tuple[Floats, Floats],
        population: int,
        objectives: int,
        seed: int | np.random.Generator | None,
        start: Floats,
        model: FrontProposals | None = None,
    ) -> None:
        self._random = np.random.default_rng(seed)
        self._low, self._high = bounds
        self._box = UnitBox(*bounds)
        self.model = model
        self.objectives = objectives
        shape = population, len(self._low)
        try:
            self.x = self._random.uniform(self._low, self._high, shape)
        # the latest ones: they may be too many for NumPy to count
        except (MemoryError, OverflowError, ValueError) as error:
            raise too_large(shape) from error
        if len(start) > population:
            raise ValueError(
                f"population must be at least {len(start)}, the number of points in x0, got {population}"
            )
        self.x[: len(start)] = start
        self._start = start
        self.v = np.zeros_like(self.x)
        self.p = self.x.copy()
        self.p_values = np.full((population, objectives), math.inf)
        self.p_violations = np.full(population, math.inf)
        self.archive = self.x[:0]
        self.archive_values = self.p_values[:0]
        self.asked = self.x[:0]
        self.told = np.empty((0, objectives + 2))

    def stop(self) -> dict[str, float]:
        """No reasons of its own to stop."""
        return {}

    # ---- ask and tell ----

    def ask(self) -> Floats:
        """Positions to evaluate, (R, M); unchanged until they are told."""
        if not len(self.asked):
            self.asked = self._proposed()
            self.told = np.full((len(self.asked), self.objectives + 2), math.nan)
        return self.asked

    def _proposed(self) -> Floats:
        """Starting points, then the models' proposals, then the moved particles."""
        model = self.model
        if model is None or model.done:
            return self._moved()
        if not self.rounds and len(self._start):
            return self._start
        self.iteration += len(model.points) >= model.first
        return self._box.decode(model.propose(self._random))

    def tickets(self) -> list[Ticket]:
        """This round's tickets that have no outcome yet."""
        x = self.ask()
        missing = np.flatnonzero(np.isnan(self.told[:, -1])).tolist()
        return [Ticket(x[row].copy(), row, self.numbers + row) for row in missing]

    def tell(self, positions: Floats | Ticket, outcomes: Floats, dropped: Any = None) -> None:
        """Record objectives and violations, (R, K + 1), of the round, of which `dropped`, (R,),
        were not evaluated; or the outcome of a ticket, (K + 1,). The last one completes the round.
        """
        if isinstance(positions, Ticket):
            self.told[positions.particle] = np.append(outcomes, 1.0)
        else:
            self.told = np.column_stack([outcomes, np.logical_not(dropped)])
        if not np.isnan(self.told[:, -1]).any():
            self._learn()

    def _learn(self) -> None:
        x = self.asked
        counts = self.told[:, -1] > 0
        values, violations, seen = _read(self.told[:, :-1])
        self.asked = x[:0]
        self.told = self.told[:0]
        self.rounds += 1
        self.numbers += len(x)
        self._keep(x, values)
        model = self.model
        if model is None or model.done:
            self._remember(values, violations, seen)
            return
        model.learn_front(self._box.encode(x[counts]), values[counts], violations[counts])
        if model.done:  # particles begin at the best points
            count = min(len(self.archive), len(self.x))
            self.x[:count] = self.p[:count] = self.archive[:count]
            self.p_values[:count] = self.archive_values[:count]
            self.p_violations[:count] = 0.0

    # ---- moves ----

    def _moved(self) -> Floats:
        """The particles' positions, moved unless none was evaluated, with walls and mutation."""
        if not self.rounds:
            return self.x
        x, v = self._step()
        # At a wall a particle stops and turns round.
        self.x = np.clip(x, self._low, self._high)
        self.v = np.where(self.x == x, v, -v)
        self._mutate()
        self.iteration += 1
        return self.x

    def _step(self) -> tuple[Floats, Floats]:
        """Positions and velocities of the next move by equations 1 to 6 of Nebro et al. 2009."""
        n = len(self.x)
        c1, c2 = self._random.uniform(*ACCELERATION, (2, n, 1))
        r1, r2 = self._random.random((2, n, 1))
        v = INERTIA * self.v + c1 * r1 * (self.p - self.x) + c2 * r2 * (self._leaders(n) - self.x)
        phi = np.maximum(c1 + c2, 4.0)  # the coefficient is 1 up to 4
        v *= 2 / np.abs(2 - phi - np.sqrt(phi**2 - 4 * phi))
        limit = (self._high - self._low) / 2
        v = np.clip(v, -limit, limit)
        return self.x + v, v

    def _leaders(self, n: int) -> Floats:
        """For each particle, the less crowded of two random members of the archive; while that is
        empty the personal best that breaks the constraints least.
        """
        if len(self.archive) == 0:
            return self.p[[int(self.p_violations.argmin())]]
        pairs = self._random.integers(0, len(self.archive), (n, 2))
        distances = crowding_distance(self.archive_values)[pairs]
        return self.archive[pairs[np.arange(n), distances.argmax(axis=1)]]

    def _mutate(self) -> None:
        """Polynomial mutation (Deb & Agrawal 1995, Complex Systems 9(2)) of each coordinate with
        probability 1/D.
        """
        chosen = self._random.random((len(self.x), 1)) < MUTANTS
        chosen = chosen & (self._random.random(self.x.shape) < 1 / len(self._low))
        u = self._random.random(self.x.shape)
        power = 1 / (MUTATION_INDEX + 1)
        step = np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 - 2 * u) ** power)
        moved = np.clip(self.x + step * (self._high - self._low), self._low, self._high)
        self.x = np.where(chosen, moved, self.x)

    # ---- the best points ----

    def _remember(self, values: Floats, violations: Floats, seen: Bools) -> None:
        """Update the personal bests."""
        wins = (values <= self.p_values).all(-1) & (values < self.p_values).any(-1)
        loses = (values >= self.p_values).all(-1)
        coin = self._random.random(len(values)) < 0.5  # neither dominates: either may stay
        both_feasible = (violations == 0) & (self.p_violations == 0)
        better = seen & np.where(
            both_feasible, wins | (~loses & coin), violations < self.p_violations
        )
        self.p[better] = self.x[better]
        self.p_values[better] = values[better]
        self.p_violations[better] = violations[better]

    def take_in(self, x: Floats, outcomes: Floats) -> None:
        """Keep the best of points, (n, M), outside of a round."""
        self._keep(x, _read(outcomes)[0])

    def _keep(self, x: Floats, values: Floats) -> None:
        """Keep the non-dominated points, (n, M), of those with finite values, (n, K), in the
        archive.
        """
        valued = np.isfinite(values).all(axis=1)
        x = np.concatenate([self.archive, x[valued]])
        values = np.concatenate([self.archive_values, values[valued]])
        values, first = np.unique(values, axis=0, return_index=True)
        best = non_dominated(values)
        x = x[first[best]]
        values = values[best]
        while len(values) > ARCHIVE:
            most_crowded = int(crowding_distance(values).argmin())
            x = np.delete(x, most_crowded, axis=0)
            values = np.delete(values, most_crowded, axis=0)
        self.archive = x
        self.archive_values = values

    # ---- saving ----

    def state_dict(
        self, prefix: str = "swarm.", copied: Callable[[Any], Any] = copy
    ) -> dict[str, Any]:
        """Everything needed for resuming."""
        saved = super().state_dict(prefix, copied) | {"random": self._random.bit_generator.state}
        if self.model is None:
            return saved
        return saved | self.model.state_dict("model.")

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing.
        """
        self.restore(saved, "swarm.")
        self._random = generator_at(saved.get("random"))
        if self.model is not None:
            self.model = FrontProposals.from_state(saved, "model.", kinds=self.model.kinds)


def _read(outcomes: Floats) -> tuple[Floats, Floats, Bools]:
    """Objectives, (n, K), infinite where missing or not allowed; violations, (n,); and a mask of
    the points that are compared.
    """
    costs = outcomes[:, :-1]
    violations = outcomes[:, -1]
    valued = (violations == 0) & np.isfinite(costs).all(axis=1)
    return np.where(valued[:, None], costs, math.inf), violations, valued | (violations > 0)
