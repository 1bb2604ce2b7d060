"""Rank aggregation: elections from the literature, and brute force over small ones."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_groups import voting

RULES = [voting.borda, voting.condorcet]


# Schulze 2011, the example of 45 voters: ACBED 5, ADECB 5, BEDAC 8, CABED 3, CAEBD 7, CBADE 2,
# DCEBA 7, EBADC 8.
ORDERS = "ACBED ADECB BEDAC CABED CAEBD CBADE DCEBA EBADC".split()
SCHULZE = [list(o) for o, n in zip(ORDERS, (5, 5, 8, 3, 7, 2, 7, 8), strict=True) for _ in range(n)]

RANKINGS = st.lists(
    st.permutations("ABCD").flatmap(lambda order: st.integers(0, 4).map(lambda n: order[:n])),
    min_size=1,
    max_size=6,
)


def test_schulze_45_voters() -> None:
    duels = voting.duels(SCHULZE)
    assert [duels["A", x] for x in "BCDE"] == [20, 26, 30, 22]
    assert [duels["E", x] for x in "ABCD"] == [23, 27, 21, 31]
    paths = voting.strongest_paths(duels)
    found = [[paths[x, y] for y in "ABCDE" if y != x] for x in "ABCDE"]
    assert found[:2] == [[28, 28, 30, 24], [25, 28, 33, 24]]
    assert found[2:] == [[25, 29, 29, 24], [25, 28, 28, 24], [25, 28, 28, 31]]
    outcome = voting.condorcet(SCHULZE)
    assert outcome.answer == "E"
    assert sorted("ABCDE", key=lambda x: -outcome.scores[x]) == ["E", "A", "C", "B", "D"]


@given(RANKINGS)
def test_borda_counts_the_rivals_that_are_beaten(rankings: list[list[str]]) -> None:
    """One point per rival ranked lower, half a point per rival that is left out as well."""
    candidates = {c for ranking in rankings for c in ranking}
    points = dict.fromkeys(candidates, Fraction(0))
    for ranking in filter(None, rankings):
        for a, b in itertools.permutations(candidates, 2):
            if a in ranking and (b not in ranking or ranking.index(a) < ranking.index(b)):
                points[a] += 1
            elif a not in ranking and b not in ranking:
                points[a] += Fraction(1, 2)
    assert dict(voting.borda(rankings).scores) == points


@given(st.sampled_from([4, 9]), st.lists(st.floats(0, 1), min_size=10, max_size=10))
def test_strongest_paths_by_enumeration(members: int, shares: list[float]) -> None:
    """Four members may tie: a duel that nobody wins is no step of a path."""
    duels = {}
    for (a, b), share in zip(itertools.combinations("ABCDE", 2), shares, strict=True):
        duels[a, b] = round(share * members)
        duels[b, a] = members - duels[a, b]
    paths = voting.strongest_paths(duels)
    for a, b in duels:
        others, strengths = set("ABCDE") - {a, b}, [0]
        for middle in (m for n in range(4) for m in itertools.permutations(others, n)):
            steps = list(itertools.pairwise([a, *middle, b]))
            if all(duels[step] > duels[step[::-1]] for step in steps):
                strengths.append(min(duels[step] for step in steps))
        assert paths[a, b] == max(strengths)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ([], "at least one ranking"),
        (["ABC"], r"rankings\[0\] must be a list"),
        ([["A"], ["B", "A", "B"]], r"rankings\[1\] contains 'B' twice"),
        ([["A", " "]], r"rankings\[0\]\[1\] must be .*' '"),
        ([["A", 2]], r"rankings\[0\]\[1\] must be .*2"),
    ],
)
def test_bad_rankings(rule, rankings: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule(rankings)
