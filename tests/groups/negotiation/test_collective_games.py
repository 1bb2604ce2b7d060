"""Matrix games with known solutions, and linear programs as a second solver."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pyswarmopt_groups.negotiation.consensus_game import equilibrium_ranking
from pyswarmopt_groups.negotiation.stackelberg import stackelberg


@given(
    arrays(np.int64, (2, 3), elements=st.integers(-4, 4)),
    arrays(np.int64, (2, 3), elements=st.integers(-4, 4)),
)
def test_stackelberg_beats_every_other_commitment(leader: np.ndarray, follower: np.ndarray) -> None:
    plan = stackelberg(leader, follower)
    responses = plan.strategy @ follower
    assert responses[plan.response] >= responses.max() - 1e-7
    assert plan.leader_value == pytest.approx((plan.strategy @ leader)[plan.response], abs=1e-7)
    # The follower's answer changes only at crossings of its payoffs, the leader's payoff is linear
    # between them.
    crossings = {0.0, 1.0}
    for i, j in itertools.combinations(range(3), 2):
        slope = (follower[0, i] - follower[1, i]) - (follower[0, j] - follower[1, j])
        if slope:
            crossings.add((follower[1, j] - follower[1, i]) / slope)
    values = []
    for p in crossings:
        if 0 <= p <= 1:
            x = np.array([p, 1 - p])
            best = np.flatnonzero(x @ follower >= (x @ follower).max() - 1e-9)
            values.append((x @ leader)[best].max())
    assert plan.leader_value == pytest.approx(max(values), abs=1e-7)


# The consensus game.

TABLES = arrays(np.float64, (2, 3), elements=st.floats(0.05, 1.0))


def literal_consensus_game(
    proposer: list, evaluator: list, lam: float, eta: float, rounds: int
) -> tuple[dict, dict]:
    """The update rules of arXiv 2310.09139, number by number."""
    ys, vs = range(len(proposer[0])), range(2)
    g = {(v, y): proposer[v][y] / sum(proposer[v]) for v in vs for y in ys}
    d = {(v, y): evaluator[v][y] / (evaluator[0][y] + evaluator[1][y]) for v in vs for y in ys}
    g1, d1 = dict(g), dict(d)
    past_g, past_d = [], []
    for t in range(1, rounds + 1):
        past_g.append(g)
        past_d.append(d)
        q_g = {k: sum(old[k] for old in past_d) / (2 * t) for k in g}
        q_d = {k: sum(old[k] for old in past_g) / (2 * t) for k in d}
        g = {k: math.exp((q_g[k] + lam * math.log(g1[k])) / (1 / (eta * t) + lam)) for k in g}
        d = {k: math.exp((q_d[k] + lam * math.log(d1[k])) / (1 / (eta * t) + lam)) for k in d}
        g = {(v, y): g[v, y] / sum(g[v, z] for z in ys) for v, y in g}
        d = {(v, y): d[v, y] / (d[0, y] + d[1, y]) for v, y in d}
    return g, d


@settings(max_examples=15)
@given(TABLES, TABLES, st.floats(0.05, 2), st.floats(0.05, 2))
def test_equilibrium_ranking_follows_the_paper(
    g: np.ndarray, d: np.ndarray, anchor: float, rate: float
) -> None:
    ranked = equilibrium_ranking(["a", "b", "c"], g, d, anchor=anchor, rate=rate, iterations=12)
    literal_g, literal_d = literal_consensus_game(g.tolist(), d.tolist(), anchor, rate, 12)
    for v, y in itertools.product(range(2), range(3)):
        assert ranked.proposer[v, y] == pytest.approx(literal_g[v, y], rel=1e-10)
        assert ranked.evaluator[v, y] == pytest.approx(literal_d[v, y], rel=1e-10)
    best = max(literal_g[0, y] for y in range(3))
    assert literal_g[0, "abc".index(ranked.answer)] == pytest.approx(best, rel=1e-8)  # ER-G


def test_equilibrium_ranking_has_the_papers_constants() -> None:
    """Section 3 of arXiv 2310.09139: lambda and eta .1, 5,000 rounds."""
    defaults = equilibrium_ranking.__kwdefaults__
    assert defaults == {"anchor": 0.1, "rate": 0.1, "iterations": 5000}
