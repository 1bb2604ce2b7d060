"""The consensus game: a proposer and an evaluator of candidate answers are brought to agree
(equilibrium ranking).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from pyswarmopt.base.arrays import Floats
from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdicts_for
from pyswarmopt_groups.ensembles.reranking import candidates
from pyswarmopt_groups.members.protocol import Member, Pair, shared_cost
from pyswarmopt_groups.negotiation.debate import question_of
from pyswarmopt_llm.scores.tasks import Item

Table = tuple[Floats, int]  # log-likelihoods, and their cost in tokens


def consensus_game(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """Equilibrium ranking: the best member on dev proposes, the next best evaluates; a single
    member plays both parts.

    Candidates are the options, or for an open question the members' distinct answers. A single
    candidate is the answer.
    """
    order = context.order
    proposer = context.members[order[0]]
    evaluator = context.members[order[min(1, context.n - 1)]]
    responses = context.collect(items)
    named = []
    for i, item in enumerate(items):
        named.append(dict(item.choices or candidates(responses, i)))
    questions = [question_of(item, context.template) for item in items]
    proposed = proposals(proposer, questions, named)
    judged = judgements(evaluator, questions, named)
    answers = []
    costs = []
    for texts, (proposal, cost), (judgement, more) in zip(named, proposed, judged, strict=True):
        answer = next(iter(texts), None)
        if len(texts) > 1:
            policies = initial_policy(proposal, 0), initial_policy(judgement, 1)
            answer = equilibrium_ranking(list(texts), *policies).answer
        answers.append(answer)
        costs.append(cost + more)
    return verdicts_for(responses, answers, costs)


def initial_policy(logprobs: ArrayLike, axis: int) -> Floats:
    """A player's first policy: a model's probabilities, normalised over both signals and
    candidates.

    As in Jacob et al. 2023, the proposer's P(y | v) is first divided by its sum over v (axis 0), so
    that short or common candidates are not preferred; the evaluator's P(v | y) by its sum over y
    (axis 1). `equilibrium_ranking` does the last normalisation.

    Args:
        logprobs: (2, K), rows correct and incorrect.
        axis: over which to normalise first.

    Example:
        >>> initial_policy(np.log([[0.2, 0.01], [0.2, 0.03]]), 0).round(2).tolist()
        [[0.5, 0.25], [0.5, 0.75]]
    """
    # policies must be positive
    return np.maximum(softmax(np.asarray(logprobs, dtype=np.float64), axis), 1e-12)


def proposals(
    member: Member, questions: Sequence[str], named: Sequence[Mapping[str, str]]
) -> list[Table]:
    """Per item log P(candidate | signal), (2, K)."""
    asked = []
    for question, texts in zip(questions, named, strict=True):
        signals = ("a correct", "an incorrect")
        prompts = [f"{question}\nGive {signal} answer." for signal in signals]
        asked.append((prompts, list(texts.values())))
    return _tables(member, asked)


def judgements(
    member: Member, questions: Sequence[str], named: Sequence[Mapping[str, str]]
) -> list[Table]:
    """Per item log P(signal | candidate), (2, K)."""
    ending = "Is this answer correct or incorrect? Reply with one word."
    asked = []
    for question, texts in zip(questions, named, strict=True):
        proposed = f"{question}\nProposed answer:"
        prompts = [f"{proposed} {text}\n{ending}" for text in texts.values()]
        asked.append((prompts, ["correct", "incorrect"]))
    return [(table.T, cost) for table, cost in _tables(member, asked)]


def _tables(member: Member, asked: Sequence[tuple[list[str], list[str]]]) -> list[Table]:
    """The likelihoods of each item's replies to each of its prompts."""
    pairs: list[Pair] = [pair for each in asked for pair in itertools.product(*each)]
    likelihoods = iter(member.likelihoods(pairs))
    tables = []
    for prompts, replies in asked:
        rows = [list(itertools.islice(likelihoods, len(replies))) for _ in prompts]
        values = np.array([[cell.logprob for cell in row] for row in rows])
        tables.append((values, sum(map(shared_cost, rows))))
    return tables


@dataclass(frozen=True)
class Ranked:
    """The players' final policies.

    Attributes:
        answer: the candidate with the highest proposer probability given "correct"; ties go to the
            first-listed.
        proposer: (2, K), P(candidate | correct) and P(candidate | incorrect), rows sum to 1.
        evaluator: (2, K), P(correct | candidate) and P(incorrect | candidate), columns sum to 1.
    """

    answer: str
    proposer: Floats
    evaluator: Floats


def equilibrium_ranking(
    candidates: Sequence[str],
    proposer: ArrayLike,
    evaluator: ArrayLike,
    *,
    anchor: float = 0.1,
    rate: float = 0.1,
    iterations: int = 5000,
) -> Ranked:
    """Regularised regret minimisation between a proposer and an evaluator of answers.

    Source: Jacob et al. 2023, "The Consensus Game", arXiv 2310.09139 (their EQUILIBRIUM-RANKING),
    with their values of `anchor` (lambda), `rate` (eta) and `iterations`. A coin v says correct or
    incorrect, the proposer sends a candidate y for it, the evaluator guesses v from y, and both get
    1 if the guess is right. Each player minimises its regret with a penalty lambda KL(policy ||
    initial policy), which ties the signals to the models' beliefs:

        Q_t(y | v) = 1 / (2 t) * sum over s <= t of evaluator_s(v | y)
        proposer_{t+1}(y | v)
            ~ exp((Q_t(y | v) + lambda log proposer_1(y | v)) / (1 / (eta t) + lambda))

    and the evaluator likewise. Ranks by the proposer (their ER-G); the evaluator's ranking (ER-D)
    is `evaluator[0]`.

    Args:
        candidates: K answers.
        proposer: (2, K) the proposer's weight of each candidate as a correct (row 0) and as an
            incorrect answer (row 1); above 0, each row is normalised.
        evaluator: (2, K) the evaluator's weight of "correct" (row 0) and "incorrect" (row 1) for
            each candidate; above 0, each column is normalised.
        anchor: weight lambda of the penalty, above 0.
        rate: learning rate eta, above 0.
        iterations: rounds of the game.

    Example:
        >>> ranked = equilibrium_ranking(["4", "5"], [[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.2], [0.1, 0.8]])
        >>> ranked.answer, bool(ranked.proposer[0, 0] > 0.9)
        ('4', True)
    """
    first_g = np.asarray(proposer, dtype=np.float64)
    first_d = np.asarray(evaluator, dtype=np.float64)
    log_g = np.log(first_g / first_g.sum(axis=1, keepdims=True))
    log_d = np.log(first_d / first_d.sum(axis=0, keepdims=True))
    g = np.exp(log_g)
    d = np.exp(log_d)
    sum_g = np.zeros_like(g)
    sum_d = np.zeros_like(d)
    for t in range(1, iterations + 1):
        sum_g += g
        sum_d += d
        heat = 1 / (rate * t) + anchor
        g = softmax((sum_d / (2 * t) + anchor * log_g) / heat, axis=1)
        d = softmax((sum_g / (2 * t) + anchor * log_d) / heat, axis=0)
    # Scores that differ only by rounding are ties, and ties go to the first-listed candidate.
    winner = int(np.argmax(g[0] >= g[0].max() * (1 - 1e-9)))
    return Ranked(candidates[winner], g, d)
