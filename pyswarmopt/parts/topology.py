"""Topologies: a topology decides whose personal best attracts each particle.

A topology is a function of the state that returns the attractors g, (N, D), or (1, D) if all share
one. Most are defined by one informant for each particle (`ByInformants`). A topology with random links
keeps them in `State.memory`, so they are saved with the swarm. A lattice has fixed neighbours and
can list them.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Array, Ints, as_array, beside, is_tensor
from pyswarmopt.base.spelling import missing
from pyswarmopt.base.state import State

Topology = Callable[[State, np.random.Generator], Array]


class ByInformants(ABC):
    """A topology in which each particle is attracted by the personal best of one informant.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.social(1.0, "none")], topology=pso.topology.Ring())
        >>> swarm = pso.Swarm(positions=[[0.0], [1.0], [2.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [0.0, 1.0, 2.0, 3.0])
        >>> isinstance(recipe.topology, ByInformants)
        True
    """

    @abstractmethod
    def informants(self, state: State, generator: np.random.Generator) -> Ints:
        """Index of each particle's informant, (N,)."""

    def __call__(self, state: State, generator: np.random.Generator) -> Array:
        best = state.best_positions
        informants = self.informants(state, generator)
        if is_tensor(best):
            return best[beside(informants, best)]
        return best.take(informants, axis=0)


class Lattice(ByInformants):
    """A topology with fixed neighbours, determined by the number of particles. Among equally good
    ones, the particle itself wins, then the first.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.social(1.0, "none")], topology=pso.topology.Ring())
        >>> swarm = pso.Swarm(positions=[[0.0], [1.0], [2.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [0.0, 1.0, 2.0, 3.0])
        >>> isinstance(recipe.topology, Lattice)
        True
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of neighbours of each particle, k."""

    @abstractmethod
    def neighbours(self, n: int) -> Ints:
        """Row i: the neighbours of particle i among n, (n, k). In a small swarm they repeat."""

    def informants(self, state: State, generator: np.random.Generator) -> Ints:
        around, first = _with_itself(self, len(state.best_costs))
        return around.take(state.best_costs.take(around).argmin(axis=1) + first)


@functools.lru_cache(maxsize=32)
def _with_itself(lattice: Lattice, n: int) -> tuple[Ints, Ints]:
    """Row i: particle i among n, then its neighbours, (n, 1 + k); and the start of each row, (n,)."""
    around = np.concatenate([np.arange(n)[:, None], lattice.neighbours(n)], axis=1)
    return around, np.arange(n) * around.shape[1]


@dataclass(frozen=True)
class Global:
    """The best of the whole swarm attracts every particle (gbest). It converges fastest and is
    trapped most easily.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.social(1.0, "none")], topology=pso.topology.Global())
        >>> swarm = pso.Swarm(positions=[[0.0], [1.0], [2.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [0.0, 1.0, 2.0, 3.0])
        >>> swarm.ask().flatten().tolist()
        [0.0, 0.0, 0.0, 0.0]
    """

    def __call__(self, state: State, generator: np.random.Generator) -> Array:
        return state.leader_position[None]


@dataclass(frozen=True)
class Ring(Lattice):
    """A ring: the neighbours are the next `reach` particles on either side (lbest; Kennedy &
    Mendes 2002).

    Among equally good neighbours the nearest wins, the particle itself first.

    Attributes:
        reach: neighbours on either side.

    Raises:
        ValueError: `reach` is below 1.

    Example:
        >>> Ring().neighbours(4).tolist()
        [[3, 1], [0, 2], [1, 3], [2, 0]]
    """

    reach: int = 1

    def __post_init__(self) -> None:
        if self.reach < 1:
            raise ValueError(
                f"reach, the neighbours on either side, must be at least 1, got {self.reach}"
            )

    @property
    def size(self) -> int:
        return 2 * self.reach

    def neighbours(self, n: int) -> Ints:
        return _shifted(n, tuple(sign * k for k in range(1, self.reach + 1) for sign in (-1, 1)))


@dataclass(frozen=True)
class VonNeumann(Lattice):
    """A square lattice: the neighbours are the four adjacent particles (Kennedy & Mendes 2002).

    The lattice is about as wide as high, for any number of particles: rows follow one another, so
    the last particle of a row is next to the first of the following one (helical boundary, as in
    lattice simulations).

    Example:
        >>> VonNeumann().neighbours(9)[4].tolist()  # the middle of a 3 x 3 lattice
        [3, 5, 1, 7]
    """

    @property
    def size(self) -> int:
        return 4

    def neighbours(self, n: int) -> Ints:
        width = max(round(math.sqrt(n)), 1)
        return _shifted(n, (-1, 1, -width, width))


@dataclass(frozen=True)
class RandomInformants(ByInformants):
    """Each particle informs itself and `k` random particles; all are redrawn after every iteration
    that does not improve the best (the adaptive random topology of SPSO-2006 to 2011;
    Clerc 2012).

    The k are drawn with replacement and may include the particle itself. Among equally good
    informants the lowest number wins.

    Attributes:
        k: number of particles that each one informs.

    Raises:
        ValueError: `k` is below 1.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.social(1.0, "none")], topology=pso.topology.RandomInformants(3))
        >>> swarm = pso.Swarm(positions=[[0.0], [1.0], [2.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [0.0, 1.0, 2.0, 3.0])
        >>> swarm.ask().shape
        (4, 1)
    """

    k: int = 3

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")

    def informants(self, state: State, generator: np.random.Generator) -> Ints:
        n = len(state.best_costs)
        links = state.memory.get("links")
        if links is None or state.leader_stagnation > 0:
            links = generator.integers(n, size=(n, self.k))
            state.memory["links"] = links
        order = state.best_costs.argsort(kind="stable")  # best first
        rank = order.argsort()
        best_rank = rank.copy()
        np.minimum.at(best_rank, as_array(links), rank[:, None])
        return order[best_rank]


@dataclass(frozen=True)
class BetterInformants(ByInformants):
    """In every iteration, each particle draws an informant from the best `share` of those not worse
    than itself.

    The particle of rank r (the best has 0) draws a rank from 0 to ``ceil(share (r + 1)) - 1``:
    nearly as fast as the global best, but the swarm heads for several places at once. The idea
    comes from the tournaments of evolutionary algorithms, and from learning from any better
    particle (Cheng & Jin 2015, Information Sciences 291).

    Attributes:
        share: in (0, 1]; smaller shares are closer to `Global`.

    Raises:
        ValueError: `share` is not above 0 or is above 1.

    Example:
        >>> import pyswarmopt as pso
        >>> recipe = pso.compose([pso.social(1.0, "none")], topology=pso.topology.BetterInformants(0.3))
        >>> swarm = pso.Swarm(positions=[[0.0], [1.0], [2.0], [3.0]], recipe=recipe, seed=0)
        >>> swarm.tell(swarm.ask(), [0.0, 1.0, 2.0, 3.0])
        >>> swarm.ask().flatten()[0].item()
        0.0
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")

    def informants(self, state: State, generator: np.random.Generator) -> Ints:
        order = state.best_costs.argsort(kind="stable")  # best first
        rank = order.argsort()
        u = generator.random(len(order))
        return order[(u * self.share * (rank + 1)).astype(np.int64)]


TOPOLOGIES: dict[str, Topology] = {
    "global": Global(),
    "ring": Ring(),
    "von_neumann": VonNeumann(),
    "random": RandomInformants(),
    "better": BetterInformants(),
}


def named(name: str) -> Topology:
    """The topology with this name: "global", "ring", "von_neumann", "random" or "better".

    Args:
        name: one of `TOPOLOGIES`.

    Returns:
        The topology.

    Raises:
        ValueError: there is no such topology.

    Example:
        >>> named("ring")
        Ring(reach=1)
    """
    if name not in TOPOLOGIES:
        raise ValueError(f"topology={name!r}: use one of {', '.join(map(repr, TOPOLOGIES))}")
    return TOPOLOGIES[name]


@functools.lru_cache(maxsize=32)
def _shifted(n: int, offsets: tuple[int, ...]) -> Ints:
    """Row i: ``(i + offset) % n`` for every offset; cached, so not to be edited."""
    return (np.arange(n)[:, None] + np.array(offsets)) % n


def __getattr__(name: str) -> Any:
    raise missing("topology", name)


__all__ = [
    "TOPOLOGIES",
    "BetterInformants",
    "ByInformants",
    "Global",
    "Lattice",
    "RandomInformants",
    "Ring",
    "Topology",
    "VonNeumann",
    "named",
]
