"""Diagnosis of a recipe: whether its coefficients are stable.

Stability is analysed under stagnation (Poli 2009, IEEE TEC 13(4); Jiang, Luo & Yang 2007,
Information Processing Letters 102): attractors are fixed and only random factors vary. Then a
coordinate obeys ``z' = M z + c`` with ``z = (x, v)`` and a random 2 x 2 matrix M, drawn anew at
each move. The mean of x converges if the spectral radius of E[M] is below 1 (order 1), and its
variance converges if that of E[M (x) M] is also below 1 (order 2).
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from pyswarmopt.algorithms.recipe import Recipe
from pyswarmopt.algorithms.registry import as_recipe
from pyswarmopt.base.arrays import Floats
from pyswarmopt.parts.schedule import as_schedule
from pyswarmopt.parts.velocity import (
    SumOfTerms,
    Term,
    along,
    from_worst,
    to_known_best,
    to_own_best,
)

NODES = 100_000  # most quadrature nodes
# how a direction changes with the particle's own x and v
RESPONSES: dict[Any, tuple[float, float]] = {
    along: (0.0, 1.0), to_own_best: (-1.0, 0.0), to_known_best: (-1.0, 0.0), from_worst: (1.0, 0.0),
}  # fmt: skip


class Stability(NamedTuple):
    """Spectral radii under stagnation; below 1 is stable.

    Attributes:
        order1: spectral radius of E[M]: whether the mean of a particle's position converges.
        order2: spectral radius of E[M (x) M]: whether its variance converges.

    Example:
        >>> Stability(order1=0.8, order2=0.9).order2 < 1
        True
    """

    order1: float
    order2: float


def diagnose(recipe: Recipe | str, move: int = 0) -> str:
    """Diagnose the stability of a recipe's coefficients.

    Args:
        recipe: recipe or its name.
        move: iteration, from 0, whose coefficients are analysed.

    Returns:
        The findings in words, without terms of your own, whose effect is unknown.

    Example:
        >>> import pyswarmopt as pso
        >>> wild = pso.compose([pso.inertia(0.9), pso.cognitive(2.0), pso.social(2.0)])
        >>> print(pso.diagnose(wild))
        In iteration 0, the coefficients are not stable: under stagnation, the mean of a particle's position converges
        (0.949 per iteration) and its variance grows without bound (1.29 per iteration).
    """
    recipe = as_recipe(recipe)
    rule = recipe.velocity
    if not isinstance(rule, SumOfTerms) or len(_unknown(rule)) == len(rule.terms):
        return (
            f"The velocity of {recipe.name!r} is not a sum of the four built-in terms, so its "
            "stability is unknown."
        )
    radii = _radii(rule, recipe.schedule(move), move)
    mean = f"the mean of a particle's position {_trend(radii.order1)}"
    variance = f"its variance {_trend(radii.order2)}"
    stable = "stable" if max(radii) < 1 else "not stable"
    without = ""
    if unknown := _unknown(rule):
        names = ", ".join(map(repr, unknown))
        without = f" without {names}, whose effect is unknown,"
    return f"In iteration {move},{without} the coefficients are {stable}: under stagnation, {mean} and {variance}."


def stability(recipe: Recipe, move: int = 0) -> Stability | None:
    """Stability of a recipe's coefficients in one iteration, as if they were constant.

    For ``v <- w v + c1 r1 (p - x) + c2 r2 (g - x)`` order 2 is stable exactly if ``c1 + c2 < 24 (1
    - w^2) / (7 - 5 w)`` and ``|w| < 1``, c1 = c2 (Poli 2009; Jiang et al. 2007). The underlying
    criterion, E[M (x) M], holds for any sum of terms linear in the particle's own x and v, so it is
    also evaluated for unequal, missing, random and normalised coefficients, including
    `model_swarms`: the expectation is an integral over the random factors, by Gauss quadrature.
    Clamps are ignored.

    Not covered: the behaviour while p, g and w still move; whether the swarm converges to an
    optimum; and rules other than such sums (`spso2011`, `bare_bones`).

    Args:
        recipe: the recipe.
        move: iteration, from 0, whose weights and step length are used.

    Returns:
        The two spectral radii, or None if unknown.

    Example:
        >>> from pyswarmopt import recipes
        >>> [round(radius, 3) for radius in stability(recipes.constriction())]
        [0.854, 0.944]
    """
    rule = recipe.velocity
    if not isinstance(rule, SumOfTerms) or _unknown(rule):
        return None
    return _radii(rule, recipe.schedule(move), move)


def _unknown(rule: SumOfTerms) -> list[str]:
    """The names of terms of one's own."""
    return [term.name for term in rule.terms if term.direction not in list(RESPONSES)]


def _radii(rule: SumOfTerms, step: float, move: int) -> Stability:
    """Stability for a step length, without terms of one's own, which still count in C."""
    known = list(RESPONSES)
    responses = np.zeros((len(rule.terms), 2))
    for response, term in zip(responses, rule.terms, strict=True):
        if term.direction in known:
            response[:] = RESPONSES[term.direction]
    on_x, on_v = responses.T
    factors, probability = _factors(rule.terms)
    coefficients = factors * [as_schedule(term.weight)(move) for term in rule.terms]
    if rule.normalise:
        coefficients = coefficients / coefficients.sum(axis=1, keepdims=True)
    a = coefficients @ on_v
    b = coefficients @ on_x
    # (nodes, 2, 2)
    matrices = np.stack([np.stack([1 + step * b, step * a], -1), np.stack([b, a], -1)], axis=1)
    mean = np.einsum("n,nij->ij", probability, matrices)
    second = np.einsum("n,nij,nkl->ikjl", probability, matrices, matrices).reshape(4, 4)
    return Stability(*(float(np.abs(np.linalg.eigvals(m)).max()) for m in (mean, second)))


def _factors(terms: tuple[Term, ...]) -> tuple[Floats, Floats]:
    """Nodes, (n, terms), and weights, (n,), for integrating over the terms' random factors."""
    count = sum(term.random != "none" for term in terms)
    # 2 nodes are exact for polynomials (without normalisation); with it, more are better.
    points = int(min(16, max(2, NODES ** (1 / max(count, 1)))))
    nodes, weights = np.polynomial.legendre.leggauss(points)
    drawn = list(zip((nodes + 1) / 2, weights / 2, strict=True))
    axes = [drawn if term.random != "none" else [(1.0, 1.0)] for term in terms]
    grid = np.array(list(itertools.product(*axes)))
    return grid[..., 0], grid[..., 1].prod(axis=1)


def _trend(radius: float) -> str:
    return f"{'converges' if radius < 1 else 'grows without bound'} ({radius:.3g} per iteration)"


__all__ = ["Stability", "diagnose", "stability"]
