"""Diagnostics: stability against the published closed form and against simulated particles; the
words.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.inspect.diagnostics import stability


def canonical(w: float, c1: float, c2: float) -> pso.Recipe:
    return pso.compose([pso.inertia(w), pso.cognitive(c1, "element"), pso.social(c2, "element")])


@given(w=st.floats(-0.95, 0.95), share=st.floats(0.05, 2.0))
def test_order_2_is_the_published_region(w, share):
    """Stable exactly where c1 + c2 < 24 (1 - w^2) / (7 - 5 w) (Poli 2009; Jiang et al. 2007)."""
    limit = 24 * (1 - w**2) / (7 - 5 * w)
    if abs(share - 1) > 1e-6:
        found = stability(canonical(w, share * limit / 2, share * limit / 2))
        assert (found.order2 < 1) == (share < 1)


@given(w=st.floats(0, 1.2), c=st.floats(0.01, 3.0))
def test_order_1_is_the_published_region(w, c):
    """The mean settles where |w| < 1 and 0 < c1 + c2 < 4 (1 + w), since E[c1 r1 + c2 r2] = (c1 +
    c2) / 2.
    """
    bound = 4 * (1 + w)
    if min(abs(w - 1), abs(2 * c - bound)) > 1e-6:
        assert (stability(canonical(w, c, c)).order1 < 1) == (w < 1 and 2 * c < bound)


def simulated_growth(recipe: pso.Recipe, moves: int) -> float:
    """Factor of the mean square of (x, v) per move, of 400,000 lone coordinates with all attractors
    at 0.
    """
    rng = np.random.default_rng(0)
    n = 400_000
    x, v = np.ones(n), np.zeros(n)
    sizes = []
    rule = recipe.velocity
    for _ in range(moves):
        r = [rng.random(n) if term.random != "none" else np.ones(n) for term in rule.terms]
        c = [factor * term.weight for factor, term in zip(r, rule.terms, strict=True)]
        total = sum(c) if rule.normalise else 1.0
        zero = np.zeros(n)
        s = pso.Snapshot(x=x, v=v, p=zero, g=zero, w=zero)
        v = sum(part * term.direction(s) for part, term in zip(c, rule.terms, strict=True)) / total
        x = x + recipe.schedule(0) * v
        sizes.append((x**2 + v**2).mean())
    return (sizes[-1] / sizes[-6]) ** (1 / 5)


@pytest.mark.parametrize(
    "recipe",
    [
        pso.recipes.model_swarms(),
        pso.recipes.model_swarms(inertia=0.3, cognitive=0.1, social=0.2, repel=0.1, step=1.0),
        pso.recipes.model_swarms(repel=0.8, step=1.0),
        canonical(0.6, 1.0, 2.0),
        pso.compose([pso.inertia(0.5, "scalar"), pso.cognitive(1.5), pso.social(0.5)]),
    ],
)
def test_order_2_is_how_fast_simulated_particles_shrink_or_grow(recipe):
    assert stability(recipe).order2 == pytest.approx(simulated_growth(recipe, moves=12), rel=0.05)


def test_what_is_not_a_sum_of_linear_terms_is_not_judged():
    centre = pso.Term("centre", 0.1, lambda s: s.p.mean(0) - s.x)
    assert stability(pso.compose([pso.inertia(0.5), centre])) is None
    unhashable = pso.Term("mine", 0.1, type("D", (), {"__call__": len, "__eq__": object.__eq__})())
    assert stability(pso.compose([pso.inertia(0.5), unhashable])) is None
    for name in ("spso2011", "bare_bones"):
        assert stability(pso.recipes.get(name)) is None
        assert "unknown" in pso.diagnose(pso.recipes.get(name))


def test_beside_a_term_of_ones_own_the_known_ones_are_judged():
    centre = pso.Term("centre", 0.1, lambda s: s.p.mean(0) - s.x)
    known = [pso.inertia(0.9), pso.cognitive(2.0), pso.social(2.0)]
    alone = pso.diagnose(pso.compose(known))
    beside = pso.diagnose(pso.compose([*known, centre]))
    assert "'centre'" in beside and "(1.29 per iteration)" in beside
    assert beside.replace(" without 'centre', whose effect is unknown,", "") == alone
    assert "unknown" in pso.diagnose(pso.compose([centre]))
    # in a normalised sum it takes its share: v' = v / 4 + (g - x) / 4, whose eigenvalues are 1 / 2
    force = pso.Term("force", 1.0, lambda s: 0.0 * s.x, random="none")
    known = [pso.inertia(0.5, "none"), pso.social(0.5, "none")]
    shared = pso.diagnose(pso.compose([*known, force], normalise=True))
    assert "(0.5 per iteration)" in shared and "(0.25 per iteration)" in shared
