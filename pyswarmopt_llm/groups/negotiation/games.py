"""Members as players: proposer and evaluator of the consensus game, leader and follower of Stackelberg's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyswarmopt_llm.groups.context import Decide, GroupContext, Verdict
from pyswarmopt_llm.groups.members.protocol import Member, Pair, shared_cost
from pyswarmopt_llm.groups.negotiation.consensus_game import equilibrium_ranking
from pyswarmopt_llm.groups.negotiation.theory_games import Commitment, stackelberg
from pyswarmopt_llm.groups.negotiation.turns import question_of
from pyswarmopt_llm.groups.responses import Responses
from pyswarmopt_llm.groups.voting.reranking import candidates
from pyswarmopt_llm.tasks import Item

Array = NDArray[np.float64]
Table = tuple[Array, int]  # log-likelihoods, and their cost in tokens

DISAGREEMENT = 0.5  # share of a player's belief in the delivered answer that is left if another was announced


def consensus_game(context: GroupContext) -> Decide:
    """Equilibrium ranking: the best member on dev proposes, the next best evaluates; a single member plays both parts.

    Candidates are the options, of an open question the members' different answers. A single candidate is the answer.
    """
    order = context.order
    proposer, evaluator = context.members[order[0]], context.members[order[min(1, context.n - 1)]]

    def decide(items: Sequence[Item]) -> list[Verdict]:
        responses = context.collect(items)
        named = [dict(item.choices) if item.choices else candidates(responses, i) for i, item in enumerate(items)]
        questions = [question_of(item, context.template) for item in items]
        proposed, judged = _proposals(proposer, questions, named), _judgements(evaluator, questions, named)
        verdicts = []
        for i, (texts, (proposal, cost), (judgement, more)) in enumerate(zip(named, proposed, judged, strict=True)):
            answer = next(iter(texts), None)
            if len(texts) > 1:
                answer = equilibrium_ranking(
                    list(texts), initial_policy(proposal, 0), initial_policy(judgement, 1)
                ).answer
            verdicts.append(_verdict(responses, i, answer, cost + more))
        return verdicts

    return decide


def initial_policy(logprobs: ArrayLike, axis: int) -> Array:
    """A player's first policy: a model's probabilities, normalised over both signals and candidates.

    As in Jacob et al. 2023: the proposer's P(y | v) is first divided by its sum over v (axis 0), so that a candidate is
    not preferred for being short or common, the evaluator's P(v | y) by its sum over y (axis 1). The last
    normalisation is done by `equilibrium_ranking`.

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


def leader_and_follower(context: GroupContext) -> Decide:
    """The best member on dev leads, the mean of the others follows: see `bargain`."""
    leader = context.order[0]
    others = [k for k in range(context.n) if k != leader] or [leader]

    def decide(items: Sequence[Item]) -> list[Verdict]:
        responses = context.collect(items)
        p = context.probabilities(responses)
        verdicts = []
        for i, item in enumerate(items):
            letters = list(item.choices or {})
            plan = bargain(p[leader, i, : len(letters)], p[others, i, : len(letters)].mean(axis=0))
            verdicts.append(_verdict(responses, i, letters[plan.response]))
        return verdicts

    return decide


def bargain(leader: ArrayLike, follower: ArrayLike) -> Commitment:
    """The leader announces an answer (or a lottery over answers), the follower delivers one.

    Both get their own belief in the answer delivered, and only half of it (`DISAGREEMENT`) if another was announced. So
    the leader prevails with an answer in which the follower believes at least half as much as in its own best;
    otherwise the follower's best is delivered. The payoffs are ours; solved by `stackelberg`.

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


def _proposals(member: Member, questions: Sequence[str], named: Sequence[Mapping[str, str]]) -> list[Table]:
    """Per item log P(candidate | signal), (2, K)."""
    pairs: list[Pair] = [
        (f"{question}\nGive {signal} answer.", text)
        for question, texts in zip(questions, named, strict=True)
        for signal in ("a correct", "an incorrect")
        for text in texts.values()
    ]
    return _tables(member, pairs, [(2, len(texts)) for texts in named])


def _judgements(member: Member, questions: Sequence[str], named: Sequence[Mapping[str, str]]) -> list[Table]:
    """Per item log P(signal | candidate), (2, K)."""
    pairs: list[Pair] = [
        (f"{question}\nProposed answer: {text}\nIs this answer correct or incorrect? Reply with one word.", signal)
        for question, texts in zip(questions, named, strict=True)
        for text in texts.values()
        for signal in ("correct", "incorrect")
    ]
    return [(table.T, cost) for table, cost in _tables(member, pairs, [(len(texts), 2) for texts in named])]


def _tables(member: Member, pairs: Sequence[Pair], shapes: Sequence[tuple[int, int]]) -> list[Table]:
    """The likelihoods in tables of these shapes; a row shares one context."""
    found = iter(member.likelihoods(pairs))
    tables = []
    for rows, columns in shapes:
        own = [[next(found) for _ in range(columns)] for _ in range(rows)]
        values = np.array([[one.logprob for one in row] for row in own]).reshape(rows, columns)
        tables.append((values, sum(map(shared_cost, own))))
    return tables


def _verdict(responses: Responses, i: int, answer: str | None, cost: int = 0) -> Verdict:
    return Verdict(answer, tuple(responses.ballots[i]), responses.support(i, answer), responses.cost(i) + cost)


__all__ = ["DISAGREEMENT", "bargain", "consensus_game", "initial_policy", "leader_and_follower"]
