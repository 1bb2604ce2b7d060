"""The search behind `minimize_multi`: points proposed by models of the objectives, then SMPSO.

MOPSO (Coello Coello, Pulido & Lechuga 2004, IEEE TEC 8(3)) with an archive kept by crowding
distance (Raquel & Naval 2005, GECCO), in the form of SMPSO (Nebro, Durillo, Garcia-Nieto, Coello
Coello, Luna & Alba 2009, IEEE MCDM): each particle follows its own best and a leader from the
archive, its speed is constricted, and some particles mutate. With the weights of the first two
papers, and their mutation that dies out, swarms often collapse into a corner of the front (ZDT2).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats, empty
from pyswarmopt.base.record import StateRecord, known
from pyswarmopt.default.continuous import ModelPhase
from pyswarmopt.default.phases import Phase, PhasedSearch, Run
from pyswarmopt.driver.multi.front_model import FrontProposals
from pyswarmopt.driver.multi.pareto import crowding_distance, non_dominated

# Nebro et al. 2009, section III: w, and the range of both c1 and c2
INERTIA = 0.1
ACCELERATION = 1.5, 2.5
FASTEST = 0.5  # a coordinate's highest speed, as a share of the box
ARCHIVE = 100  # points to follow; the most crowded ones go first
MUTANTS = 0.15  # share of particles that mutate
MUTATION_INDEX = 20.0  # eta of the polynomial mutation: larger means smaller steps
PARTICLES = (10, 100)  # default population, at least and at most


class Archive(StateRecord):
    """The feasible points that no other dominates.

    Attributes:
        points: (A, M), in the unit box.
        values: their objectives, (A, K).
    """

    points: Floats
    values: Floats

    def keep(self, points: Floats, values: Floats) -> None:
        """Keep the best of these points, (n, M), with finite values, (n, K), and of those before."""
        points = np.concatenate([self.points, points])
        values = np.concatenate([self.values, values])
        values, first = np.unique(values, axis=0, return_index=True)
        best = non_dominated(values)
        points = points[first[best]]
        values = values[best]
        while len(values) > ARCHIVE:
            most_crowded = crowding_distance(values).argmin()
            points = np.delete(points, most_crowded, axis=0)
            values = np.delete(values, most_crowded, axis=0)
        self.points = points
        self.values = values


class Particles(Run):
    """The swarm, in the unit box.

    Attributes:
        x: positions, (P, M).
        v: velocities.
        p: personal bests, with their objectives and violations.
        search: has the archive.
    """

    x: Floats  # (P, M)
    v: Floats  # (P, M)
    p: Floats  # (P, M)
    p_values: Floats  # (P, K)
    p_violations: Floats  # (P,)
    search: FrontSwarm = known()

    def propose(self, random: np.random.Generator) -> Floats:
        """The particles' positions, moved unless nothing was evaluated, with walls and mutation."""
        if self.search.rounds:
            # equations 1 to 6 of Nebro et al. 2009
            n = len(self.x)
            c1, c2 = random.uniform(*ACCELERATION, (2, n, 1))
            r1, r2 = random.random((2, n, 1))
            v = INERTIA * self.v + c1 * r1 * (self.p - self.x)
            v += c2 * r2 * (self._leaders(n, random) - self.x)
            phi = np.maximum(c1 + c2, 4.0)  # the coefficient is 1 up to 4
            v *= 2 / np.abs(2 - phi - np.sqrt(phi**2 - 4 * phi))
            v = np.clip(v, -FASTEST, FASTEST)
            x = self.x + v
            # At a wall a particle stops and turns round.
            self.x = np.clip(x, 0.0, 1.0)
            self.v = np.where(self.x == x, v, -v)
            self._mutate(random)
        return self.x

    def _leaders(self, n: int, random: np.random.Generator) -> Floats:
        """For each particle, the less crowded of two random members of the archive; while that is
        empty the personal best that breaks the constraints least.
        """
        archive = self.search.archive
        if len(archive.points) == 0:
            return self.p[[self.p_violations.argmin()]]
        pairs = random.integers(0, len(archive.points), (n, 2))
        distances = crowding_distance(archive.values)[pairs]
        return archive.points[pairs[np.arange(n), distances.argmax(axis=1)]]

    def _mutate(self, random: np.random.Generator) -> None:
        """Polynomial mutation (Deb & Agrawal 1995, Complex Systems 9(2)) of each coordinate with
        probability 1/D.
        """
        chosen = random.random((len(self.x), 1)) < MUTANTS
        chosen = chosen & (random.random(self.x.shape) < 1 / self.x.shape[1])
        u = random.random(self.x.shape)
        power = 1 / (MUTATION_INDEX + 1)
        step = np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 - 2 * u) ** power)
        self.x = np.where(chosen, np.clip(self.x + step, 0.0, 1.0), self.x)

    def learn(self, costs: Floats) -> None:
        """Update the personal bests: violations, (P,), 0 where feasible, infinite where missing."""
        seen = np.isfinite(costs)
        values = np.where(costs[:, None] == 0, self.search.rows, math.inf)
        wins = (values <= self.p_values).all(-1) & (values < self.p_values).any(-1)
        loses = (values >= self.p_values).all(-1)
        # neither dominates: either may stay
        coin = self.search.random.random(len(values)) < 0.5
        both_feasible = (costs == 0) & (self.p_violations == 0)
        better = seen & np.where(both_feasible, wins | (~loses & coin), costs < self.p_violations)
        self.p[better] = self.x[better]
        self.p_values[better] = values[better]
        self.p_violations[better] = costs[better]


class FrontModel(ModelPhase["FrontSwarm"]):
    """Points proposed by models of the objectives."""

    runs = FrontProposals
    most = 200
    at_once = 5
    designed = 2

    def keep(self, points: Floats, costs: Floats) -> None:
        rows = self.search.rows
        before = self.run.values.reshape(-1, rows.shape[1])
        self.run.values = np.concatenate([before, rows])
        super().keep(points, costs)


class FrontParticles(Phase["FrontSwarm"]):
    """SMPSO; its particles begin at the best points, if there are any."""

    name = "swarm"

    def due(self) -> bool:
        return True

    def begin(self) -> Particles:
        s = self.search
        n = s.particles
        x = s.random.random((n, s.box.dim))
        best = len(s.archive.points[:n])
        p_values = np.full((n, s.objectives), math.inf)
        p_violations = np.full(n, math.inf)
        x[:best] = s.archive.points[:best]
        p_values[:best] = s.archive.values[:best]
        p_violations[:best] = 0.0
        return Particles(x, np.zeros_like(x), x.copy(), p_values, p_violations, s)

    def beside(self) -> Floats | None:
        """A mutation of a point of the archive."""
        s = self.search
        if not len(s.archive.points):
            return None
        parent = s.kinds.snap(s.random.choice(s.archive.points, 1))[0]
        return s.kinds.mutants(parent, s.random, 1)[0]


class FrontSwarm(PhasedSearch):
    """A search for a front: the values are violations, and the rows objectives.

    Args:
        bounds: the box.
        share: evaluations per particle, if no population is given.
        objectives: K.
        more: arguments of `PhasedSearch`; `population` is the number of particles, and of points
            that the models propose at a time.
    """

    PHASES: ClassVar = (FrontModel, FrontParticles)
    model: FrontModel
    archive: Archive

    def __init__(self, bounds: Any, share: int, objectives: int, **more: Any) -> None:
        super().__init__(bounds, **more)
        usual = int(np.clip((self.max_evals or 0) // share, *PARTICLES))
        self.particles = self.progress.population or usual
        self.objectives = objectives
        dim = self.box.dim
        empty((self.particles, dim), np.dtype(np.float64))  # refused before the first evaluation
        archive = Archive(np.empty((0, dim)), np.empty((0, objectives)))
        self._take(self._records | {"archive": archive})

    def _see(self, x: Floats, costs: Floats, rows: Floats | None, by: str) -> None:
        super()._see(x, costs, rows, by)
        met = costs == 0
        self.archive.keep(self.box.encode(x[met]), self.rows[met])
