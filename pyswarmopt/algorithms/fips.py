"""The fully informed particle swarm: Mendes, Kennedy & Neves 2004."""

from __future__ import annotations

import functools
from typing import Any

from pyswarmopt.algorithms.recipe import Recipe, compose, keeps_options
from pyswarmopt.parts.topology import Global, Lattice, Ring, VonNeumann
from pyswarmopt.parts.velocity import Snapshot, Term, inertia

LATTICES: dict[str, Lattice] = {"ring": Ring(), "von_neumann": VonNeumann()}


def _towards(lattice: Lattice, column: int, s: Snapshot) -> Any:
    return s.p[lattice.neighbours(len(s.p))[:, column]] - s.x


@keeps_options
def fips(
    chi: float = 0.7298, phi: float = 4.1, topology: str = "von_neumann", population: int = 40
) -> Recipe:
    """FIPS: Mendes, Kennedy & Neves 2004, IEEE TEC 8(3), with all weights W = 1.

    ``v <- chi [v + sum over neighbours k of U(0, phi/|N|) (p_k - x)]``, ``x <- x + v``: a particle
    is attracted by all of its neighbours, not only by the best one. Its own best is not included
    (the paper's "U" topologies).

    Args:
        chi: constriction coefficient.
        phi: acceleration, shared by the neighbours.
        topology: "von_neumann" (the paper's square) or "ring".
        population: default number of particles.

    Returns:
        The recipe.

    Raises:
        ValueError: an unknown topology.

    Example:
        >>> [term.name for term in fips(topology="ring").velocity.terms]
        ['inertia', 'informant 1', 'informant 2']
    """
    if topology not in LATTICES:
        raise ValueError(f"topology={topology!r}: use {' or '.join(map(repr, LATTICES))}")
    lattice = LATTICES[topology]
    # r_k weight (p_k - x) for each neighbour k; one listed twice, as in a small swarm, pulls twice
    weight = chi * phi / lattice.size
    towards = (functools.partial(_towards, lattice, k) for k in range(lattice.size))
    pulls = (
        Term(f"informant {k}", weight, direction, "element", "column")
        for k, direction in enumerate(towards, 1)
    )
    return compose(
        name="fips",
        terms=(inertia(chi), *pulls),
        topology=Global(),  # unused: the terms look up the neighbours themselves
        population=population,
    )
