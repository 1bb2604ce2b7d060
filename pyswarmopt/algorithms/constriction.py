"""PSO with the constriction coefficient: Clerc & Kennedy 2002."""

from __future__ import annotations

import math

from pyswarmopt.algorithms.recipe import Recipe, compose, keeps_options
from pyswarmopt.parts.topology import named
from pyswarmopt.parts.velocity import cognitive, inertia, social


@keeps_options
def constriction(
    phi1: float = 2.05, phi2: float = 2.05, topology: str = "ring", population: int = 40
) -> Recipe:
    """PSO with the constriction coefficient: Clerc & Kennedy 2002, IEEE TEC 6(1), equations 3 and 4
    with kappa = 1.

    ``v <- chi [v + phi1 r1 (p - x) + phi2 r2 (g - x)]``, ``x <- x + v``, with r1, r2 ~ U(0, 1) per
    coordinate and ``chi = 2 / |2 - phi - sqrt(phi^2 - 4 phi)|``, ``phi = phi1 + phi2``: velocities
    stay bounded without a clamp.

    The default is the ring of the standard PSO (Bratton & Kennedy 2007): information spreads
    slowly, so the swarm explores several basins before it converges to one. "global" is faster if
    there is only one basin.

    Args:
        phi1: pull of the personal best.
        phi2: pull of the neighbourhood's best.
        topology: "ring" (a neighbour on either side), "global", "von_neumann" or "random".
        population: default number of particles.

    Returns:
        The recipe.

    Raises:
        ValueError: phi1 + phi2 <= 4, where equation 4 does not hold, or an unknown topology.

    Example:
        >>> constriction().velocity.terms[0].weight  # chi
        0.7298437881283576
    """
    phi = phi1 + phi2
    if not phi > 4 or phi1 < 0 or phi2 < 0:
        raise ValueError(
            f"phi1={phi1}, phi2={phi2}: constriction requires both >= 0 and phi1 + phi2 > 4"
        )
    chi = 2 / abs(2 - phi - math.sqrt(phi**2 - 4 * phi))
    return compose(
        name="constriction",
        terms=(inertia(chi), cognitive(chi * phi1), social(chi * phi2)),
        topology=named(topology),
        population=population,
    )
