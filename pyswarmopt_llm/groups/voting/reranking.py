"""After all have answered: the answers are compared in pairs, scored by a reward model, or fused into a new one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.groups.context import Room, Verdict, verdict_of
from pyswarmopt_llm.groups.members.protocol import Member, shared_cost
from pyswarmopt_llm.groups.responses import Sheet, read_ballot
from pyswarmopt_llm.groups.strategy import Decide
from pyswarmopt_llm.groups.voting.rules.equivalence import cluster
from pyswarmopt_llm.groups.voting.rules.outcome import Outcome, settle
from pyswarmopt_llm.models.engines.hardware import pick_device
from pyswarmopt_llm.tasks import Item

Array = NDArray[np.float64]

TOP = 3  # candidates that are fused (LLM-Blender's K)
_REPLY = re.compile(r"\b([AB])\b")


def rank_pairs(room: Room) -> Decide:
    """The candidate that the judge prefers to the others, each pair shown in both orders (`max_logits`)."""

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        found = compare_all(room.judge, sheet)
        return [verdict_of(outcome, sheet.tokens[:, i].sum() + cost) for i, (outcome, cost) in enumerate(found)]

    return decide


def reward(room: Room) -> Decide:
    """The candidate with the highest reward; its tokens are counted as the first member counts them.

    Raises:
        UserError: no reward model is given, or it cannot be loaded.
    """
    from pyswarmopt_llm.metrics.classifiers.reward import load_reward

    if room.settings.reward is None:
        raise UserError("--strategy reward: needs a reward model; give one with --reward")
    model, count = load_reward(room.settings.reward, str(pick_device(room.settings.device))), room.members[0].count

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        verdicts = []
        for i, item in enumerate(items):
            texts = candidates(sheet, i)
            values = model.scores([item] * len(texts), list(texts.values())) if texts else []
            outcome = _settled(sheet, i, dict(zip(texts, values, strict=True)))
            cost = sum(count(item.question) + count(text) for text in texts.values())
            verdicts.append(verdict_of(outcome, sheet.tokens[:, i].sum() + cost))
        return verdicts

    return decide


def fuse(room: Room) -> Decide:
    """The judge reads the question and the `TOP` candidates that it prefers, and writes an answer of its own.

    If that cannot be read, the preferred candidate counts. Where all agree there is nothing to fuse.
    """

    def decide(items: Sequence[Item]) -> list[Verdict]:
        sheet = room.ask(items)
        ranked = compare_all(room.judge, sheet)
        best = [sorted(o.scores, key=lambda c: -o.scores[c])[:TOP] for o, _ in ranked]  # stable: ties as settled
        open_ones = [i for i, chosen in enumerate(best) if len(chosen) > 1]
        prompts = [_fusing(items[i], [candidates(sheet, i)[c] for c in best[i]]) for i in open_ones]
        written = dict(zip(open_ones, room.judge.generate(prompts), strict=True))
        verdicts = []
        for i, (item, (outcome, cost)) in enumerate(zip(items, ranked, strict=True)):
            said = written.get(i)
            fused = None if said is None else read_ballot(item, said.texts[0])
            answer = outcome.answer if fused is None else cluster([*sheet.ballots[i], fused])[-1]
            agreement = sum(b == answer and b is not None for b in outcome.ballots) / room.n
            tokens = int(sheet.tokens[:, i].sum()) + cost + (0 if said is None else said.tokens)
            tied = fused is None and len(outcome.tied) > 1
            verdicts.append(Verdict(answer, outcome.ballots, agreement, tokens, tied))
        return verdicts

    return decide


def candidates(sheet: Sheet, i: int) -> dict[str, str]:
    """The different answers to item i in the order in which they were first given -> the words that stand for each."""
    choices = sheet.items[i].choices or {}
    return {b: choices.get(b, b) for b in cluster(sheet.ballots[i]) if b is not None}


def max_logits(preferences: ArrayLike) -> list[float]:
    """LLM-Blender's aggregate of a comparison of all ordered pairs: s_i = sum over j of (M_ij - M_ji).

    Source: Jiang, Ren and Lin 2023, arXiv 2306.02561, PairRanker's MaxLogits.

    Args:
        preferences: (m, m); M_ij is how much i, shown first, is preferred to j; the diagonal is not looked at.

    Example:
        >>> max_logits([[0, 3], [1, 0]])  # the second is preferred too where it is shown first, but less
        [2.0, -2.0]
    """
    m = np.array(preferences, dtype=np.float64)
    np.fill_diagonal(m, 0.0)
    return [float(value) for value in m.sum(axis=1) - m.sum(axis=0)]


def compare_all(judge: Member, sheet: Sheet) -> list[tuple[Outcome[str | None], int]]:
    """Per item the candidates by `max_logits` of the judge's preferences, and what the comparisons cost."""
    asked: list[tuple[int, int, int]] = []
    prompts: list[str] = []
    named = [candidates(sheet, i) for i in range(len(sheet.items))]
    for i, item in enumerate(sheet.items):
        texts = list(named[i].values())
        for a in range(len(texts)):
            for b in range(len(texts)):
                if a != b:
                    asked.append((i, a, b))
                    prompts.append(_comparing(item, texts[a], texts[b]))
    matrices = [np.zeros((len(own), len(own))) for own in named]
    costs = [0] * len(sheet.items)
    for (i, a, b), (value, tokens) in zip(asked, preferences(judge, prompts), strict=True):
        matrices[i][a, b] = value
        costs[i] += tokens
    found = []
    for i, (own, matrix) in enumerate(zip(named, matrices, strict=True)):
        found.append((_settled(sheet, i, dict(zip(own, max_logits(matrix), strict=True))), costs[i]))
    return found


def preferences(judge: Member, prompts: Sequence[str]) -> list[tuple[float, int]]:
    """For each prompt log P("A") - log P("B") of the judge, and the tokens; of one that only writes 1, -1 or 0."""
    if judge.gives_likelihoods:
        said = judge.likelihoods([(prompt, letter) for prompt in prompts for letter in "AB"])
        return [(a.logprob - b.logprob, shared_cost((a, b))) for a, b in zip(said[::2], said[1::2], strict=True)]
    texts = judge.generate(prompts, max_new_tokens=8)
    letters = [_REPLY.search(one.texts[0]) for one in texts]
    points = {"A": 1.0, "B": -1.0}
    return [(0.0 if m is None else points[m[1]], one.tokens) for m, one in zip(letters, texts, strict=True)]


def _settled(sheet: Sheet, i: int, scores: dict[str, float]) -> Outcome[str | None]:
    ballots = cluster(sheet.ballots[i])
    return settle(ballots, ballots, scores, scale=max(map(abs, scores.values()), default=0.0))


def _comparing(item: Item, a: str, b: str) -> str:
    return (
        f"Which of two answers to a question is better?\nQuestion: {item.question}\n"
        f"Answer A: {a}\nAnswer B: {b}\nReply with the letter A or B alone."
    )


def _fusing(item: Item, texts: Sequence[str]) -> str:
    options = "".join(f"\n{letter}: {text}" for letter, text in (item.choices or {}).items())
    proposed = "\n".join(f"Proposal {number}: {text}" for number, text in enumerate(texts, start=1))
    ending = "Reply with the letter of the right option." if item.choices else "Reply with the right answer alone."
    return (
        f"Question: {item.question}{options}\nOthers have proposed these answers, the most convincing one first.\n"
        f"{proposed}\nJudge them, and answer the question. {ending}"
    )


__all__ = ["TOP", "candidates", "compare_all", "fuse", "max_logits", "preferences", "rank_pairs", "reward"]
