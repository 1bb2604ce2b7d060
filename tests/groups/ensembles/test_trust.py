"""Weights that follow what members do: `trust`."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from member_helpers import Scripted

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.scores.tasks import Item, Task

LETTERS = "ABCD"
MEMORY = 50  # items, as docs/how-to/collective.md says


def task(dev: int, test: int, rng: random.Random) -> Task:
    choices = dict(zip(LETTERS, "wxyz", strict=True))
    n = range(dev + test)
    items = [Item(str(i), f"Question {i}?", choices, rng.choice(LETTERS)) for i in n]
    return Task("quiz", tuple(items[:dev]), tuple(items[dev:]))


def group(accuracies: Sequence[float], known: Task, rng: random.Random) -> list[Scripted]:
    def answer(right: str, p: float) -> str:
        return right if rng.random() < p else rng.choice(LETTERS.replace(right, ""))

    right = [item.answer for item in (*known.dev, *known.test)]
    answers = [[answer(letter, p) for letter in right] for p in accuracies]
    return [Scripted(f"m{k}", answers=own) for k, own in enumerate(answers)]


def by_hand(
    dev: Sequence[float], ballots: Sequence[Sequence[str]]
) -> tuple[list[str], list[float]]:
    """Answers and final accuracies by Bayes' rule over all four options, with a product of
    likelihoods.
    """
    p, answers = list(dev), []
    for row in ballots:
        smooth = [(q * MEMORY + 0.25) / (MEMORY + 1) for q in p]
        votes = list(zip(smooth, row, strict=True))
        likelihood = {o: math.prod(s if v == o else (1 - s) / 3 for s, v in votes) for o in LETTERS}
        total = sum(likelihood.values())
        best = max(likelihood[o] for o in row)
        answers.append(next(o for o in row if math.isclose(likelihood[o], best, rel_tol=1e-9)))
        p = [
            (1 - 1 / MEMORY) * q + likelihood[vote] / total / MEMORY
            for q, vote in zip(p, row, strict=True)
        ]
    return answers, p


@pytest.mark.parametrize("seed", range(5))
def test_answers_and_trust_are_bayes_rule_item_by_item(seed: int) -> None:
    rng = random.Random(seed)
    known = task(40, 80, rng)
    members = group([0.7, 0.6, 0.5, 0.4], known, rng)
    context = GroupContext(members, known, "letter")
    verdicts = load_strategy("trust").decide(context, known.test)
    ballots = [[m.answer([item], "letter")[0].text for m in members] for item in known.test]
    start = context.accuracies.tolist()
    answers, _ = by_hand(start, ballots)
    assert [verdict.answer for verdict in verdicts] == answers
    for items, verdict in ((0, verdicts[0]), (79, verdicts[-1])):
        assert verdict.notes["trust"] == pytest.approx(by_hand(start, ballots[:items])[1], abs=1e-4)
