"""The standard PSO of 2011: Clerc 2012, "Standard Particle Swarm Optimisation", HAL
hal-00764996.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe, compose, keeps_options
from pyswarmopt.base.arrays import Array, like, namespace
from pyswarmopt.base.random import normal
from pyswarmopt.parts import boundary, initialise
from pyswarmopt.parts.topology import RandomInformants
from pyswarmopt.parts.velocity import Snapshot


@dataclass(frozen=True)
class Hypersphere:
    """The velocity of SPSO-2011: ``v <- w v + x' - x``, x' a random point of a ball.

    The ball is centred at G, the centre of gravity, and reaches to x. With ``p' = x + c (p - x)``
    and ``l' = x + c (l - x)``, l the best informant's best, ``G = (x + p' + l') / 3``, and ``G = (x
    + p') / 2`` for a particle whose own best is the best it knows (Clerc 2012). The ball has no
    preferred axes, so the swarm does equally well on rotated functions.

    The shares of the radius are uniform in [0, 1) as in Clerc's code: points are denser around G
    than elsewhere.
    """

    inertia: float  # w
    pull: float  # c

    def __call__(self, s: Snapshot, move: int, generator: np.random.Generator) -> Array:
        towards = normal(generator, s.x)
        share = like(generator.random((len(s.x), 1)), s.x)
        to_p = s.p - s.x
        to_l = s.g - s.x
        library = namespace(s.x)
        is_own = (s.g == s.p).all(-1)[:, None]
        to_centre = self.pull * library.where(is_own, to_p / 2, (to_p + to_l) / 3)  # G - x
        reach = library.linalg.vector_norm(to_centre, axis=-1, keepdims=True)
        length = library.linalg.vector_norm(towards, axis=-1, keepdims=True)
        direction = towards / library.where(length > 0, length, 1.0)
        return self.inertia * s.v + to_centre + share * reach * direction


@keeps_options
def spso2011(
    inertia: float = 1 / (2 * math.log(2)),
    pull: float = 0.5 + math.log(2),
    informs: int = 3,
    population: int = 40,
) -> Recipe:
    """SPSO-2011: Clerc 2012, HAL hal-00764996: hypersphere, adaptive random topology, confinement.

    ``v <- w v + x' - x``, ``x <- x + v``, x' a random point of a ball around the centre of gravity
    of the particle, its best and its best informant's best (see `Hypersphere`), so the search does
    not depend on the axes. Links are redrawn whenever the best has not improved (see
    `pyswarmopt.topology.RandomInformants`). At a wall, a particle stops, with its velocity reversed
    and halved. All particles move at once, whereas Clerc's code moves them one by one.

    Args:
        inertia: w = 1 / (2 ln 2).
        pull: c = 1/2 + ln 2.
        informs: K, how many particles each one informs.
        population: default number of particles (Clerc's recommendation is 40).

    Returns:
        The recipe.

    Raises:
        ValueError: informs below 1.

    Example:
        >>> import pyswarmopt as pso
        >>> pso.minimize(pso.functions.sphere, [(-5, 5)] * 3, recipe="spso2011", max_evals=4000, seed=0).fun < 1e-8
        True
    """
    return compose(
        name="spso2011",
        velocity=Hypersphere(inertia, pull),
        topology=RandomInformants(informs),
        boundary=boundary.confine,
        launch=initialise.towards_anywhere,
        population=population,
    )
