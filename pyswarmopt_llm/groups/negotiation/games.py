"""Members as players: proposer and evaluator of the consensus game, leader and follower of Stackelberg's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.members.protocol import Member, Pair, shared_cost
from pyswarmopt_llm.groups.negotiation.consensus_game import equilibrium_ranking
from pyswarmopt_llm.groups.negotiation.theory_games import Commitment, stackelberg
from pyswarmopt_llm.groups.negotiation.turns import question_of
from pyswarmopt_llm.groups.responses import Sheet
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.reranking import candidates
from pyswarmopt_llm.tasks import Item

Array = NDArray[np.float64]

DISAGREEMENT = 0.5  # share of a player's belief in the delivered answer that is left if it proposed another


def consensus_game(room: Room) -> Decide:
    """Equilibrium ranking: the best member on dev proposes, the next best evaluates; one member alone plays both parts.

    Candidates are the options, of an open question the members' different answers. Where there is only one, it counts.
    """
    order = room.order
    proposer, evaluator = room.members[order[0]], room.members[order[min(1, room.n - 1)]]

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        named = [dict(item.choices) if item.choices else candidates(sheet, i) for i, item in enumerate(items)]
        proposing, asked = _ask(proposer, [_proposing(item, room.template) for item in items], named)
        evaluating, judged = _judge(evaluator, [question_of(item, room.template) for item in items], named)
        verdicts = []
        for i, texts in enumerate(named):
            cost = int(sheet.tokens[:, i].sum()) + asked[i] + judged[i]
            answer = next(iter(texts), None)
            if len(texts) > 1:
                answer = equilibrium_ranking(
                    list(texts), initial_policy(proposing[i], 0), initial_policy(evaluating[i], 1)
                ).answer
            verdicts.append(_verdict(sheet, i, answer, cost))
        return verdicts

    return decide


def initial_policy(logprobs: ArrayLike, axis: int) -> Array:
    """What a player begins with: a model's probabilities, normalised over both signals and candidates.

    As in Jacob et al. 2023: the proposer's P(y | v) is first divided by its sum over v (axis 0), so that a candidate is
    not preferred for being short or common, the evaluator's P(v | y) by its sum over y (axis 1). The last
    normalisation is left to `equilibrium_ranking`.

    Args:
        logprobs: (2, K), rows correct and incorrect.
        axis: over which to normalise first.

    Example:
        >>> initial_policy(np.log([[0.2, 0.01], [0.2, 0.03]]), 0).round(2).tolist()
        [[0.5, 0.25], [0.5, 0.75]]
    """
    z = np.asarray(logprobs, dtype=np.float64)
    weights = np.exp(z - z.max(axis=axis, keepdims=True))
    shares = weights / weights.sum(axis=axis, keepdims=True)
    return np.maximum(shares, 1e-12)  # the game needs positive policies


def leader_and_follower(room: Room) -> Decide:
    """The best member on dev leads, the others together follow: see `bargain`."""
    leader = room.order[0]
    others = [k for k in range(room.n) if k != leader] or [leader]

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        p = room.probabilities(sheet)
        verdicts = []
        for i, item in enumerate(items):
            letters = list(item.choices or {})
            plan = bargain(p[leader, i, : len(letters)], p[others, i, : len(letters)].mean(axis=0))
            verdicts.append(_verdict(sheet, i, letters[plan.response], int(sheet.tokens[:, i].sum())))
        return verdicts

    return decide


def bargain(leader: ArrayLike, follower: ArrayLike) -> Commitment:
    """The leader announces an answer (or a lottery over answers), the follower delivers one.

    Both get their own belief in what is delivered, and only half of it (`DISAGREEMENT`) if that is not what was
    announced. So the leader prevails with an answer in which the follower believes at least half as much as in its own
    best, and else the follower's best is delivered. The payoffs are ours; solved by `stackelberg`.

    Args:
        leader: (K,) beliefs.
        follower: (K,) beliefs.

    Example:
        >>> bargain([0.7, 0.2, 0.1], [0.3, 0.5, 0.2]).response, bargain([0.7, 0.2, 0.1], [0.1, 0.8, 0.1]).response
        (0, 1)
    """
    mine, theirs = (np.asarray(p, dtype=np.float64) for p in (leader, follower))
    share = np.where(np.eye(len(mine), dtype=bool), 1.0, DISAGREEMENT)
    return stackelberg(share * mine[None, :], share * theirs[None, :])


Tables = tuple[list[Array], list[int]]


def _ask(member: Member, turns: Sequence[tuple[str, str]], named: Sequence[Mapping[str, str]]) -> Tables:
    """Per item log P(candidate | signal), (2, K), and what it cost."""
    pairs: list[Pair] = [
        (turn, text) for both, texts in zip(turns, named, strict=True) for turn in both for text in texts.values()
    ]
    return _tables(member, pairs, [(2, len(texts)) for texts in named])


def _judge(member: Member, questions: Sequence[str], named: Sequence[Mapping[str, str]]) -> Tables:
    """Per item log P(signal | candidate), (2, K), and what it cost."""
    pairs: list[Pair] = [
        (f"{question}\nProposed answer: {text}\nIs this answer correct or incorrect? Reply with one word.", signal)
        for question, texts in zip(questions, named, strict=True)
        for text in texts.values()
        for signal in ("correct", "incorrect")
    ]
    tables, costs = _tables(member, pairs, [(len(texts), 2) for texts in named])
    return [table.T for table in tables], costs


def _tables(member: Member, pairs: Sequence[Pair], shapes: Sequence[tuple[int, int]]) -> Tables:
    """The likelihoods in tables; a row has one context."""
    said = iter(member.likelihoods(pairs))
    tables, costs = [], []
    for rows, columns in shapes:
        own = [[next(said) for _ in range(columns)] for _ in range(rows)]
        tables.append(np.array([[one.logprob for one in row] for row in own]).reshape(rows, columns))
        costs.append(sum(shared_cost(row) for row in own))
    return tables, costs


def _proposing(item: Item, template: str | None) -> tuple[str, str]:
    """The turns that ask for a correct and for an incorrect answer."""
    question = question_of(item, template)
    return f"{question}\nGive a correct answer.", f"{question}\nGive an incorrect answer."


def _verdict(sheet: Sheet, i: int, answer: str | None, cost: int) -> Verdict:
    ballots = tuple(sheet.ballots[i])
    agreement = sum(ballot == answer and ballot is not None for ballot in ballots) / len(ballots)
    return Verdict(answer, ballots, agreement, cost)


__all__ = ["DISAGREEMENT", "bargain", "consensus_game", "initial_policy", "leader_and_follower"]
