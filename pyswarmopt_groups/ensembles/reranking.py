"""Reranking of the members' answers: compared in pairs, scored by a reward model, or fused into a
new one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from pyswarmopt_groups.context import GroupContext, GroupVerdict, verdict_for, verdict_of
from pyswarmopt_groups.members.protocol import Member, Sampling, Texts, shared_cost
from pyswarmopt_groups.reading import read_ballot
from pyswarmopt_groups.responses import Responses
from pyswarmopt_groups.voting.ballots import ElectionOutcome, cluster, settle
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.scores.tasks.types import Item, with_options
from pyswarmopt_llm.scores.tasks.verdicts import preferred

TOP = 3  # candidates to fuse (LLM-Blender's K)
_SIDES = {"A": 1.0, "B": -1.0}


def reward(context: GroupContext, items: Sequence[Item], model: str) -> list[GroupVerdict]:
    """The candidate with the highest reward from `model`; the tokens are the first member's."""
    from pyswarmopt_llm.external.classifiers import RewardModel

    judge = RewardModel(model, str(pick_device(context.device)))
    count = context.members[0].count
    responses = context.collect(items)
    verdicts = []
    for i, item in enumerate(items):
        texts = candidates(responses, i)
        scores = {}
        cost = responses.costs[i]
        if texts:
            values = judge.scores([item] * len(texts), list(texts.values()))
            scores = dict(zip(texts, values, strict=True))
            cost += sum(count(item.question) + count(text) for text in texts.values())
        verdicts.append(verdict_of(_settled(responses, i, scores), cost))
    return verdicts


def fuse(context: GroupContext, items: Sequence[Item]) -> list[GroupVerdict]:
    """The best member on dev reads its `TOP` preferred candidates and writes its own answer.

    If that is unreadable, the preferred candidate wins. Unanimous answers are not fused.
    """
    writer = context.members[context.order[0]]
    responses = context.collect(items)
    ranked = compare_all(writer, responses)
    prompts = {}
    for i, (outcome, _) in enumerate(ranked):
        wordings = candidates(responses, i)
        # stable: ties as settled
        best = sorted(outcome.scores, key=lambda c: -outcome.scores[c])[:TOP]
        if len(best) > 1:
            prompts[i] = fusion_prompt(items[i], [wordings[candidate] for candidate in best])
    written = dict(zip(prompts, writer.generate(list(prompts.values())), strict=True))
    verdicts = []
    for i, (outcome, cost) in enumerate(ranked):
        verdict = verdict_of(outcome, responses.costs[i] + cost)
        if i in written:
            verdict = _with_text(items[i], verdict, written[i])
        verdicts.append(verdict)
    return verdicts


def _with_text(item: Item, verdict: GroupVerdict, written: Texts) -> GroupVerdict:
    """The ballots with the answer stated in a text, if readable."""
    tokens = verdict.tokens + written.tokens
    fused = read_ballot(item, written.text)
    if fused is None:
        return replace(verdict, tokens=tokens)
    answer = cluster([*verdict.ballots, fused])[-1]
    return verdict_for(answer, verdict.ballots, tokens)


def candidates(responses: Responses, i: int) -> dict[str, str]:
    """The distinct answers to item i, in the order given -> the wording of each."""
    item = responses.items[i]
    return {b: item.in_words(b) for b in cluster(responses.ballots[i]) if b is not None}


def max_logits(preferences: ArrayLike) -> list[float]:
    """LLM-Blender's score from all ordered pairs: s_i = sum over j of (M_ij - M_ji).

    Source: Jiang, Ren and Lin 2023, arXiv 2306.02561, PairRanker's MaxLogits. M_ij, (m, m), is how
    much i, shown first, is preferred to j.

    Example:
        >>> max_logits([[0, 3], [1, 0]])  # the second is also preferred when shown first, but by less
        [2.0, -2.0]
    """
    m = np.asarray(preferences, dtype=np.float64)
    return list((m.sum(axis=1) - m.sum(axis=0)).tolist())


def compare_all(judge: Member, responses: Responses) -> list[tuple[ElectionOutcome, int]]:
    """For each item the outcome by `max_logits` of the judge's preferences, and the tokens of the
    comparisons.
    """
    named = [candidates(responses, i) for i in range(len(responses.items))]
    prompts = []
    for item, texts in zip(responses.items, named, strict=True):
        pairs = itertools.permutations(texts.values(), 2)
        prompts += [comparison_prompt(item, a, b) for a, b in pairs]
    answers = iter(preferences(judge, prompts))
    outcomes = []
    for i, texts in enumerate(named):
        matrix = np.zeros((len(texts), len(texts)))
        cost = 0
        for pair in itertools.permutations(range(len(texts)), 2):
            matrix[pair], tokens = next(answers)
            cost += tokens
        scores = dict(zip(texts, max_logits(matrix), strict=True))
        outcomes.append((_settled(responses, i, scores), cost))
    return outcomes


def preferences(judge: Member, prompts: Sequence[str]) -> list[tuple[float, int]]:
    """For each prompt the judge's log P("A") - log P("B"), or 1, -1 or 0 without likelihoods; and
    the tokens.
    """
    if judge.gives_likelihoods:
        both = judge.likelihoods([(prompt, letter) for prompt in prompts for letter in "AB"])
        pairs = zip(both[::2], both[1::2], strict=True)
        return [(a.logprob - b.logprob, shared_cost((a, b))) for a, b in pairs]
    replies = judge.generate(prompts, Sampling(max_new_tokens=8))
    return [(_SIDES.get(preferred(reply.text) or "", 0.0), reply.tokens) for reply in replies]


def _settled(responses: Responses, i: int, scores: dict[str, float]) -> ElectionOutcome:
    ballots = cluster(responses.ballots[i])
    return settle(ballots, scores, scale=max(map(abs, scores.values()), default=0.0))


def comparison_prompt(item: Item, a: str, b: str) -> str:
    """Request the letter of the better of two answers."""
    return (
        f"Which of two answers to a question is better?\nQuestion: {item.question}\n"
        f"Answer A: {a}\nAnswer B: {b}\nReply with the letter A or B alone."
    )


def fusion_prompt(item: Item, texts: Sequence[str]) -> str:
    """Request an answer after reading candidates."""
    proposed = "\n".join(f"Proposal {number}: {text}" for number, text in enumerate(texts, start=1))
    ending = "Reply with the right answer alone."
    if item.choices:
        ending = "Reply with the letter of the right option."
    return (
        f"{with_options(item)}\nOthers have proposed these answers, the most "
        "convincing one first.\n"
        f"{proposed}\nJudge them, and answer the question. {ending}"
    )
