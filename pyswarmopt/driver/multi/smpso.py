"""The swarm behind `minimize_multi`.

MOPSO (Coello Coello, Pulido & Lechuga 2004, IEEE TEC 8(3)) with an archive kept by crowding
distance (Raquel & Naval 2005, GECCO), in the form of SMPSO (Nebro, Durillo, Garcia-Nieto, Coello
Coello, Luna & Alba 2009, IEEE MCDM): each particle follows its own best and a leader from the
archive, its speed is constricted, and some particles mutate. With the weights of the first two
papers, and their mutation that dies out, swarms often collapse into a corner of the front (ZDT2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Bools, Floats
from pyswarmopt.base.in_flight import Ticket
from pyswarmopt.base.record import NONE, check
from pyswarmopt.base.storage import too_large
from pyswarmopt.driver.judge import Evaluated
from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated

# Nebro et al. 2009, section III: w, and the range of both c1 and c2
INERTIA = 0.1
ACCELERATION = 1.5, 2.5
ARCHIVE = 100  # points to follow; the most crowded ones go first
MUTANTS = 0.15  # share of particles that mutate
MUTATION_INDEX = 20.0  # eta of the polynomial mutation: larger means smaller steps
# the swarm's arrays, with a letter for each axis
SAVED = {
    "x": "PM", "v": "PM", "p": "PM", "p_values": "QK", "p_violations": "Q", "archive": "AM",
    "archive_values": "AK",
}  # fmt: skip


class MultiSwarm:
    """Positions, personal bests and the archive, in the coordinates of the swarm, (.., M).

    Args:
        bounds: low and high, (M,) each.
        population: particles.
        objectives: K.
        seed: seed of the swarm's own generator.
        start: positions of the first particles, (n, M).

    Attributes:
        archive: non-dominated points, (A, M); before any feasible point, the one with least
            violation.
        archive_values: their objectives, (A, K), infinite without a feasible point.
        violation: violation of the points in the archive.
        iteration: moves.
    """

    def __init__(
        self,
        bounds: tuple[Floats, Floats],
        population: int,
        objectives: int,
        seed: int | np.random.Generator | None,
        start: Floats,
    ) -> None:
        self._random = np.random.default_rng(seed)
        self._low, self._high = bounds
        self._objectives = objectives
        shape = population, len(self._low)
        try:
            self.x = self._random.uniform(self._low, self._high, shape)
        # the latest ones: they may be too many for NumPy to count
        except (MemoryError, OverflowError, ValueError) as error:
            raise too_large(shape) from error
        if len(start) > population:
            raise ValueError(f"x0 has {len(start)} points, more than the {population} particles")
        self.x[: len(start)] = start
        self.v = np.zeros_like(self.x)
        self.p = self.x.copy()
        self.p_violations = np.empty(0)
        self.p_values = np.empty((0, objectives))
        self.archive = self.x[:0]
        self.archive_values = self.p_values
        self.violation = math.inf
        self.iteration = 0
        self.rounds = 0
        self._handed_out = 0  # tickets so far
        self._asked: Floats = NONE  # a round's positions while they are told one by one
        self._told: dict[int, Evaluated] = {}
        self._before: dict[str, Any] = {}  # the state before that round

    @property
    def is_open(self) -> bool:
        """Whether a round is being told one by one."""
        return len(self._asked) > 0

    def stop(self) -> dict[str, float]:
        """No reasons of its own to stop."""
        return {}

    def ask_one(self) -> Ticket | None:
        """The next position of the round; None while the others' values are missing."""
        if not self.is_open:
            self._before = self.state_dict()
            self._asked = self.ask().copy()
            self._row = 0
            self._told = {}
        if self._row == len(self._asked):
            return None
        ticket = Ticket(self._asked[self._row].copy(), self._row, self._handed_out)
        self._row += 1
        self._handed_out += 1
        return ticket

    def tell_one(self, ticket: Ticket, judged: Evaluated) -> None:
        """Take in a position's outcome; the last one completes the round."""
        self._told[ticket.particle] = judged
        if len(self._told) == len(self._asked):
            judged_in_order = [self._told[row] for row in range(len(self._asked))]
            self._asked = NONE
            self.tell(judged_in_order)

    def tickets(self) -> list[Ticket]:
        """None: a restored swarm hands out its round once more."""
        return []

    def ask(self) -> Floats:
        """Positions to evaluate, (N, M): first the starting ones, then moved ones, with walls and
        mutation.
        """
        if not len(self.p_values):
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
        """For each particle, the less crowded of two random members of the archive."""
        if len(self.archive) == 0:
            return self.p
        pairs = self._random.integers(0, len(self.archive), (n, 2))
        if self.violation > 0:
            return self.archive[pairs[:, 0]]
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

    def tell(self, judged: Sequence[Evaluated]) -> None:
        """Update personal bests and archive; costs are (K,) each."""
        self.rounds += 1
        values, violations, seen = self._read(judged)
        self._remember_personal(values, violations, seen)
        self.remember_front(self.x, judged)

    def _read(self, judged: Sequence[Evaluated]) -> tuple[Floats, Floats, Bools]:
        """Objectives, (N, K), infinite if missing; violations, (N,); and a mask of the points that
        count.
        """
        violations = np.array([each.violation for each in judged])
        costs = np.array([np.broadcast_to(each.cost, self._objectives) for each in judged])
        counts = np.array([each.counts for each in judged])
        valued = counts & (violations == 0) & np.isfinite(costs).all(axis=1)
        return np.where(valued[:, None], costs, math.inf), violations, valued | (violations > 0)

    def _remember_personal(self, values: Floats, violations: Floats, seen: Bools) -> None:
        if not len(self.p_values):
            self.p_values = values
            self.p_violations = np.where(seen, violations, math.inf)
            return
        wins = (values <= self.p_values).all(-1) & (values < self.p_values).any(-1)
        loses = (values >= self.p_values).all(-1)
        coin = self._random.random(len(values)) < 0.5  # neither dominates: either may stay
        both_feasible = (violations == 0) & (self.p_violations == 0)
        better = (
            np.where(both_feasible, wins | (~loses & coin), violations < self.p_violations) & seen
        )
        self.p[better] = self.x[better]
        self.p_values[better] = values[better]
        self.p_violations[better] = violations[better]

    def remember_front(self, x: Floats, judged: Sequence[Evaluated]) -> None:
        """Keep feasible non-dominated points, (n, M); before any, the point with the smallest
        violation.
        """
        values, violations, seen = self._read(judged)
        if not seen.any():
            return
        least = float(violations[seen].min())
        if least > self.violation or (least == self.violation and least > 0):
            return
        if least < self.violation:
            self.archive = self.archive[:0]
            self.archive_values = values[:0]
        self.violation = least
        new = seen & (violations == least)
        x = np.concatenate([self.archive, x[new]])
        v = np.concatenate([self.archive_values, values[new]])
        if least > 0:
            x = x[:1]
            v = v[:1]
        _, first = np.unique(v, axis=0, return_index=True)
        x = x[first]
        v = v[first]
        keep = non_dominated(v)
        x = x[keep]
        v = v[keep]
        while len(v) > ARCHIVE:
            most_crowded = int(crowding_distance(v).argmin())
            x = np.delete(x, most_crowded, axis=0)
            v = np.delete(v, most_crowded, axis=0)
        self.archive = x
        self.archive_values = v

    def state_dict(self) -> dict[str, Any]:
        """Everything needed for resuming; while a round is told one by one, as before it."""
        if self.is_open:
            return self._before
        return {
            **{name: getattr(self, name).copy() for name in SAVED},
            "violation": self.violation,
            "iteration": self.iteration,
            "rounds": self.rounds,
            "handed_out": self._handed_out,
            "random": self._random.bit_generator.state,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing, or has another type or shape.
        """
        sizes = dict(zip("PMK", (*self.x.shape, self.p_values.shape[1]), strict=True))
        check(saved, {name: ("float64", axes) for name, axes in SAVED.items()}, sizes)
        counts = {"iteration": int, "rounds": int, "handed_out": int}
        check(saved, {"violation": float, "random": dict, **counts})
        for name in (*SAVED, "violation", "iteration", "rounds"):
            setattr(self, name, saved[name])
        self._handed_out = saved["handed_out"]
        self._asked = NONE
        self._random.bit_generator.state = saved["random"]
