"""Votes with a ranking per member, best first: Borda, and Condorcet completed by Schulze.

Rankings may be incomplete: missing candidates are tied last. An empty ranking abstains. Candidates
are compared as plain text; apply `cluster` first to free wording.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from pyswarmopt_groups.voting.ballots import ElectionOutcome, settle

Ranking = tuple[str, ...]
Rankings = Sequence[Sequence[str]]
Duel = tuple[str, str]


def borda(rankings: Rankings) -> ElectionOutcome:
    """The candidate with the most wins over others, summed over all members.

    Source: de Borda 1784; for incomplete rankings Dummett 1997, averaged.

    Of m candidates the first of a ranking gets m - 1 points, the second m - 2, and so on; missing
    ones share the remaining points equally. A tie goes to the candidate named first (in the first
    member's ranking, then in the second's, and so on, each from best to worst). `scores` are
    points.

    Raises:
        ValueError: there are no members, or a ranking is a single string, contains a candidate
            twice, or contains a blank one.

    Example:
        >>> outcome = borda([["A", "B", "C"], ["A", "B", "C"], ["B", "C", "A"]])
        >>> outcome.answer, dict(outcome.scores)
        ('A', {'A': 4.0, 'B': 4.0, 'C': 1.0})
        >>> outcome.tied
        ('A', 'B')
    """
    ballots = _checked(rankings)
    candidates = _candidates(ballots)
    m = len(candidates)
    scores = dict.fromkeys(candidates, 0.0)
    for ballot in filter(None, ballots):
        shared = (m - len(ballot) - 1) / 2
        points = {candidate: m - 1 - rank for rank, candidate in enumerate(ballot)}
        for candidate in candidates:
            scores[candidate] += points.get(candidate, shared)
    return settle(_first(ballots), scores, max(scores.values(), default=0.0))


def condorcet(rankings: Rankings) -> ElectionOutcome:
    """The candidate that wins every duel; if there is none, the winner by Schulze's method.

    Source: Schulze 2011, "A new monotonic, clone-independent, reversal symmetric, and
    Condorcet-consistent single-winner election method", section 2; the strength of a duel is its
    winning votes.

    X beats Y if the strongest path from X to Y is stronger than the reverse path. `scores` count
    the rivals that do not beat a candidate: m - 1 for a winner. Ties as in `borda`.

    Raises:
        ValueError: as in `borda`.

    Example:
        >>> condorcet([["A", "B", "C"]] * 3 + [["B", "C", "A"]] * 2).answer
        'A'
    """
    ballots = _checked(rankings)
    paths = strongest_paths(duels(ballots))
    scores = dict.fromkeys(_candidates(ballots), 0.0)
    for a, b in paths:
        scores[a] += paths[a, b] >= paths[b, a]
    return settle(_first(ballots), scores, 1.0)


def duels(rankings: Rankings) -> dict[Duel, int]:
    """Number of members that rank x above y, for every ordered pair of candidates.

    Raises:
        ValueError: as in `borda`.

    Example:
        >>> duels([["A", "B"], ["A", "B"], ["B", "A"]])
        {('A', 'B'): 2, ('B', 'A'): 1}
    """
    ballots = _checked(rankings)
    counts = dict.fromkeys(itertools.permutations(_candidates(ballots), 2), 0)
    for ballot in ballots:
        ranks = {candidate: rank for rank, candidate in enumerate(ballot)}
        for a, b in counts:
            if a in ranks and ranks[a] < ranks.get(b, len(ballot)):
                counts[a, b] += 1
    return counts


def strongest_paths(won: Mapping[Duel, int]) -> dict[Duel, int]:
    """The strength of the strongest path of won duels between every two candidates; 0 without a
    path.

    A path is as strong as its weakest duel, a duel as its winner's votes. Widest paths by Floyd and
    Warshall (Schulze 2011, section 2.3.1).

    Example:
        >>> strongest_paths({("A", "B"): 2, ("B", "A"): 1})
        {('A', 'B'): 2, ('B', 'A'): 0}
    """
    strength = {(a, b): votes * (votes > won[b, a]) for (a, b), votes in won.items()}
    candidates = list(dict.fromkeys(a for a, _ in won))
    for via in candidates:
        for a, b in itertools.permutations([c for c in candidates if c != via], 2):
            strength[a, b] = max(strength[a, b], min(strength[a, via], strength[via, b]))
    return strength


def _checked(rankings: Rankings) -> list[Ranking]:
    if len(rankings) == 0:
        raise ValueError("a vote needs at least one ranking, which may be empty")
    for i, ranking in enumerate(rankings):
        if isinstance(ranking, str):
            raise ValueError(
                f"rankings[{i}] must be a list of candidates, best first, not the string {ranking!r}"
            )
        for rank, candidate in enumerate(ranking):
            if not isinstance(candidate, str) or not candidate.strip():
                raise ValueError(
                    f"rankings[{i}][{rank}] must be a string that is not blank, got {candidate!r}"
                )
            if candidate in ranking[:rank]:
                raise ValueError(
                    f"rankings[{i}] contains {candidate!r} twice; rank each candidate once"
                )
    return [tuple(ranking) for ranking in rankings]


def _candidates(ballots: Sequence[Ranking]) -> list[str]:
    """All candidates in the order of first mention (the tie rule)."""
    return list(dict.fromkeys(candidate for ballot in ballots for candidate in ballot))


def _first(ballots: Sequence[Ranking]) -> list[str | None]:
    """Each member's first place; None for an abstention."""
    return [next(iter(ballot), None) for ballot in ballots]
