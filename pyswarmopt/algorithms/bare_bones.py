"""The bare bones particle swarm: Kennedy 2003."""

from __future__ import annotations

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe, compose, keeps_options
from pyswarmopt.base.arrays import Array
from pyswarmopt.base.random import normal
from pyswarmopt.parts.initialise import at_rest
from pyswarmopt.parts.topology import named
from pyswarmopt.parts.velocity import Snapshot


def gaussian_between(snapshot: Snapshot, move: int, generator: np.random.Generator) -> Array:
    """The displacement from x to a point drawn, in each coordinate, from the normal distribution
    with mean ``(p + g) / 2`` and standard deviation ``|p - g|`` (Kennedy 2003).

    It replaces the velocity, which this algorithm does not have.
    """
    x = snapshot.x
    p = snapshot.p
    g = snapshot.g
    return (p + g) / 2 + abs(p - g) * normal(generator, x) - x


@keeps_options
def bare_bones(topology: str = "ring", population: int = 40) -> Recipe:
    """Bare bones PSO: Kennedy 2003, IEEE Swarm Intelligence Symposium, without velocities or
    coefficients.

    ``x <- N((p + g) / 2, |p - g|)`` per coordinate: a normally distributed point between its best p
    and its neighbourhood's best g (see `gaussian_between`). A particle that is the best of its
    neighbourhood has p = g and stays there.

    Args:
        topology: "ring", "global", "von_neumann" or "random".
        population: default number of particles.

    Returns:
        The recipe.

    Raises:
        ValueError: an unknown topology.

    Example:
        >>> bare_bones(topology="global").name
        'bare_bones'
    """
    return compose(
        name="bare_bones",
        velocity=gaussian_between,
        topology=named(topology),
        launch=at_rest,
        population=population,
    )
