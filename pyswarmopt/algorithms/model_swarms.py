"""Model Swarms: Feng et al. 2024, arXiv 2410.11163."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from pyswarmopt.algorithms.recipe import Recipe, compose, keeps_options
from pyswarmopt.parts import boundary as boundaries
from pyswarmopt.parts import initialise, velocity
from pyswarmopt.parts.restart import RestartAtBest
from pyswarmopt.parts.schedule import Exponential
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt.parts.topology import Global
from pyswarmopt.parts.velocity import Randomness, Term

# The paper's grid, with the values in its released scripts. The paper reports the best of random
# draws.
GRID: dict[str, tuple[float, ...]] = {
    "inertia": (0.1, 0.2, 0.3),
    "cognitive": (0.1, 0.2, 0.3, 0.4, 0.5),
    "social": (0.2, 0.3, 0.4, 0.5, 0.6),
    "repel": (0.01, 0.05, 0.1),
    "step": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
}


@keeps_options
def model_swarms(
    inertia: float = 0.2,
    cognitive: float = 0.3,
    social: float = 0.4,
    repel: float = 0.05,
    step: float = 0.8,
    step_decay: float = 0.95,
    restart_patience: int = 5,
    patience: int = 10,
    max_iter: int = 50,
    randomness: Literal["uniform", "none"] = "uniform",
    compat: Literal["paper", "reference"] = "paper",
) -> Recipe:
    """Model Swarms: Feng et al. 2024, arXiv 2410.11163, Algorithm 1.

    ``v <- (1/C) [r_v phi_v v + r_p phi_p (p - x) + r_g phi_g (g - x) + r_w phi_w (x - w)]``, ``x <-
    x + lambda v``, with one r ~ U(0, 1) per particle and term and C the sum of the drawn
    coefficients, ``C = r_v phi_v + r_p phi_p + r_g phi_g + r_w phi_w``.
    `pyswarmopt.teaching.algorithm1` is the same algorithm as one loop in NumPy, to read alongside
    the paper. A particle never leaves the affine hull of its starting points. With bounds (the
    paper has none) it stops at the wall.

    Args:
        inertia: phi_v; `GRID` lists the values that the paper tries for this and the next four
            arguments.
        cognitive: phi_p.
        social: phi_g.
        repel: phi_w.
        step: lambda.
        step_decay: phi_lambda, by which lambda is multiplied after each iteration.
        restart_patience: c_r, iterations without a new personal best after which a particle goes
            back to it.
        patience: c, iterations without a new global best after which the search stops.
        max_iter: K, the maximum number of iterations.
        randomness: "none" makes every r = 1.
        compat: "paper", or "reference" for the authors' released `search.py` where it differs: an
            added starting point t x_a + (1 - t) x_b has t ~ U(0, 2), and may be interpolated itself
            later; a particle goes back after c_r - 1 evaluations without a new personal best, and
            again at every iteration until it has one; lambda is never below 0.1 from the second
            iteration on; the search stops after c - 1 iterations without a new global best, but not
            before iteration c; if several points are equally bad, the last one counts as the worst
            (the first one, among starting points); if an evaluation is dropped, the particle's old
            score counts again.

    Returns:
        The recipe.

    Raises:
        ValueError: a coefficient is negative, all of them are 0, or `randomness` or `compat` is
            unknown.

    Example:
        >>> model_swarms(repel=0.1).name
        'model_swarms'
    """
    if randomness not in ("uniform", "none") or compat not in ("paper", "reference"):
        raise ValueError(
            "randomness must be 'uniform' or 'none', and compat 'paper' or 'reference'; "
            f"got {randomness!r} and {compat!r}"
        )
    recipe = compose(
        name="model_swarms",
        populate=initialise.Interpolate(),  # step 0: t x_a + (1 - t) x_b
        launch=initialise.TowardsPartner(),  # v_i = x_j - x_i
        terms=_terms(inertia, cognitive, social, repel, randomness),  # step 1
        normalise=True,  # 1/C
        topology=Global(),  # g is the best of all
        boundary=boundaries.clip,
        schedule=Exponential(step, step_decay),  # lambda, phi_lambda
        restart=RestartAtBest(restart_patience),  # in step 2: c_r
        stop=(Patience(patience), MaxIter(max_iter)),  # step 3: c, K
        population=20,
    )
    if compat == "paper":
        return recipe
    # deviations of the authors' `search.py` (BunsenFeng/model_swarm on GitHub, 63e6404)
    return replace(
        recipe,
        populate=initialise.Interpolate(upper=2.0, from_added=True),
        schedule=Exponential(step, step_decay, floor=0.1, floor_start=False),
        restart=(RestartAtBest(restart_patience, once=False, count_best=True),),
        # It compares the last c values of g, once it has more than c of them, the start's included.
        stop=(Patience(patience - 1, earliest=patience), MaxIter(max_iter)),
        repeat_dropped=True,
        last_worst_wins=True,
    )


def _terms(
    inertia: float, cognitive: float, social: float, repel: float, randomness: str
) -> tuple[Term, ...]:
    """The sum in step 1."""
    weights = (inertia, cognitive, social, repel)
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise ValueError(
            "inertia, cognitive, social and repel must be finite and at least 0, and not all 0; "
            f"got {weights}"
        )
    random: Randomness = "none"
    if randomness == "uniform":
        random = "scalar"
    return (
        velocity.inertia(inertia, random),  # r_v phi_v v
        velocity.cognitive(cognitive, random),  # r_p phi_p (p - x)
        velocity.social(social, random),  # r_g phi_g (g - x)
        velocity.repel(repel, random),  # r_w phi_w (x - w)
    )
