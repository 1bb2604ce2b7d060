"""PSO with a linearly decreasing inertia weight: Shi & Eberhart 1998."""

from __future__ import annotations

from pyswarmopt.algorithms.recipe import Recipe, compose, keeps_options
from pyswarmopt.parts.schedule import Linear
from pyswarmopt.parts.topology import named
from pyswarmopt.parts.velocity import cognitive, inertia, social


@keeps_options
def inertia_weight(
    start: float = 0.9,
    end: float = 0.4,
    horizon: int | None = None,
    c1: float = 2.0,
    c2: float = 2.0,
    topology: str = "global",
    max_velocity: float | None = None,
    population: int = 40,
) -> Recipe:
    """PSO with an inertia weight: Shi & Eberhart 1998, IEEE CEC, "A modified particle swarm
    optimizer".

    ``v <- w v + c1 r1 (p - x) + c2 r2 (g - x)``, ``x <- x + v``, with r1, r2 ~ U(0, 1) per
    coordinate. The inertia w falls linearly, so the swarm explores first and converges later. While
    w is large, the swarm is not stable (see `pyswarmopt.diagnose`): only the walls or
    `max_velocity` keep it together.

    Args:
        start: w in the first iteration.
        end: w from iteration `horizon` on.
        horizon: iterations over which w falls; default: the whole run if its length is known, as in
            `minimize`, else 1,000.
        c1: pull of the personal best.
        c2: pull of the neighbourhood's best.
        topology: "global" (the paper's), "ring", "von_neumann" or "random".
        max_velocity: the paper's V_max, in the units of x; default: none.
        population: default number of particles.

    Returns:
        The recipe.

    Raises:
        ValueError: an unknown topology, a horizon below 1 or a max_velocity that is not positive.

    Example:
        >>> inertia_weight(horizon=200).velocity.terms[0].weight(100)
        0.65
    """
    w = Linear(start, end, horizon)
    terms = (inertia(w), cognitive(c1), social(c2))
    return compose(
        name="inertia_weight",
        terms=terms,
        max_velocity=max_velocity,
        topology=named(topology),
        population=population,
    )
