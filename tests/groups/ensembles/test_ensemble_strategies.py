"""Strategies of a group on members whose answers are known, against rules written out here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from member_helpers import Scripted, context_of, quiz
from scipy.optimize import minimize

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.ensembles import reranking, selection, votes
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.scores.tasks import Item, Task

# Six dev and four test items with the right answers ABCABC and ABCA; three members that give
# probabilities.
RIGHT = "ABCABCABCA"
# An item a word; the tenths of A, B and C.
TENTHS = {
    "ann": "811 181 226 532 631 118 631 541 253 271",
    "bob": "343 253 127 253 451 622 181 181 118 631",
    "cid": "181 721 271 217 181 712 271 721 433 118",
}
P = {name: [[int(p) / 10 for p in row] for row in rows.split()] for name, rows in TENTHS.items()}


@pytest.fixture
def context() -> GroupContext:
    return context_of(P, RIGHT, dev=6)


def decide(context: GroupContext, name: str) -> list[str | None]:
    return [verdict.answer for verdict in load_strategy(name).decide(context, context.task.test)]


def test_rankings_come_from_all_the_scores(context: GroupContext) -> None:
    rankings = votes.rankings_of(context.collect(context.task.test), 1)
    assert rankings == [("A", "B", "C"), ("B", "A", "C"), ("A", "B", "C")]
    points = {"A": 0, "B": 0, "C": 0}
    for row in (P[name][6] for name in P):
        for place, k in enumerate(sorted(range(3), key=lambda k: -row[k])):
            points["ABC"[k]] += 2 - place
    best = [max(points, key=lambda c: points[c])]
    assert decide(context, "borda")[:1] == best
    assert decide(context, "condorcet")[:2] == ["B", "A"]


def test_a_member_without_scores_is_as_sure_as_it_was_right(context: GroupContext) -> None:
    mute = context_of(P, RIGHT, dev=6, without_scores=("ann",))
    p = mute.probabilities(mute.collect(mute.task.test))
    sure = (5 + 1 / 3) / 7
    assert p[0, 0].tolist() == pytest.approx([sure, (1 - sure) / 2, (1 - sure) / 2])
    assert p.sum(axis=2) == pytest.approx(np.ones((3, 4)))
    assert decide(mute, "borda")[0] is not None and mute.temperatures[0] is None


# Whole strategies, each with a literal reading of its source


def room(seed: int) -> tuple[GroupContext, np.ndarray, np.ndarray]:
    """A group of random members; its members' calibrated probabilities, and the right options."""
    rng = np.random.default_rng(seed)
    right = rng.integers(3, size=20)
    scores = rng.normal(size=(3, 20, 3)) + 1.5 * np.eye(3)[right]
    p = np.exp(scores) / np.exp(scores).sum(2, keepdims=True)
    context = context_of(
        {name: p[k].tolist() for k, name in enumerate(P)}, "".join("ABC"[i] for i in right), 12
    )
    p = p ** (1 / np.array(context.temperatures, dtype=float)[:, None, None])
    return context, np.maximum(p / p.sum(2, keepdims=True), 1e-9), right


def by_log_odds(p: np.ndarray, right: np.ndarray) -> np.ndarray:
    hits = (p[:, :12].argmax(2) == right[:12]).sum(1) + 1 / 3
    weights = np.log(2 * hits / (13 - hits))
    return np.einsum("k,kio->io", weights, np.eye(3)[p.argmax(2)])


def by_confidence(p: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.where(p == p.max(2, keepdims=True), p, 0).sum(0)


def by_stacking(p: np.ndarray, right: np.ndarray) -> np.ndarray:
    logs = np.log(p) - np.log(p).mean(2, keepdims=True)
    logs /= logs[:, :12].std(axis=(1, 2))[:, None, None]

    def loss(w: np.ndarray) -> float:
        pooled = np.tensordot(w, logs[:, :12], 1)
        chosen = pooled[range(12), right[:12]]
        return float(w @ w / 2 - (chosen - np.log(np.exp(pooled).sum(1))).sum())

    return np.tensordot(minimize(loss, np.zeros(3)).x, logs, 1)


def by_leading(p: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The leader's favourite of what the others believe at least half as much as their best."""
    leader = (p[:, :12].argmax(2) == right[:12]).sum(1).argmax()
    others = np.delete(p, leader, 0).mean(0)
    return np.where(others >= others.max(1, keepdims=True) / 2, p[leader], 0)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("weighted", by_log_odds),
        ("confidence", by_confidence),
        ("stacked", by_stacking),
        ("stackelberg", by_leading),
    ],
)
def test_the_option_with_the_greatest_score_is_chosen(name: str, rule: Any) -> None:
    for seed in range(8):
        context, p, right = room(seed)
        values = rule(p, right)[12:]
        sure = np.sort(values)[:, -1] - np.sort(values)[:, -2] > 1e-4
        found = np.array(["ABC".index(answer or "") for answer in decide(context, name)])
        assert sure.sum() > 4 and (found == values.argmax(1))[sure].all()


# Selection and routing


def test_the_threshold_is_the_best_on_dev_and_then_the_cheapest(context: GroupContext) -> None:
    dev = context.probabilities(context.dev)[context.order]
    table = {}
    for threshold in selection.THRESHOLDS:
        beliefs, asked = selection.run_cascade(3, 6, threshold, lambda k, left: dev[k, left])
        right = ["ABC"[b.argmax()] == a for b, a in zip(beliefs, RIGHT, strict=False)]
        table[threshold] = (np.mean(right), -sum(asked))
    verdicts = load_strategy("cascade").decide(context, context.task.test)
    used = selection.best_threshold(context)
    assert used == min(t for t in table if table[t] == max(table.values()))
    for verdict in verdicts:
        asked = sum(ballot is not None for ballot in verdict.ballots)
        assert verdict.tokens == 10 * asked  # ten tokens an answer


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["nearest:4", "route-neighbours:4"])
def test_neighbours_are_those_with_the_greatest_cosine(name: str, seed: int, monkeypatch) -> None:
    """A vote for each of four neighbours that a member has right, or the member with most of them."""
    context, p, right = room(seed)
    points = np.random.default_rng(1).normal(size=(20, 4))
    points /= np.linalg.norm(points, axis=1, keepdims=True)

    def embed(_: object, items: Sequence[Item]) -> tuple[np.ndarray, list[int]]:
        return points[[int(item.id) for item in items]], [2] * len(items)

    monkeypatch.setattr(selection, "question_embeddings", embed)
    said, better = p.argmax(2), (p.argmax(2) == right)[:, :12].sum(1)
    for i, verdict in enumerate(load_strategy(name).decide(context, context.task.test), start=12):
        near = sorted(range(12), key=lambda j: -points[i] @ points[j])[:4]
        votes = (said == right)[:, near].sum(1)
        if name == "nearest:4":
            votes = np.where(votes.any(), votes, 1)
        else:
            best = max(range(3), key=lambda k: (votes[k], better[k], -k))
            votes = np.eye(3)[best]
        values = np.bincount(said[:, i], votes, 3)
        assert values["ABC".index(verdict.answer or "")] == values.max()
        assert verdict.tokens == 2 + 10 * (votes > 0).sum()


# After the answers


SPLIT = {"ann": [[0.9, 0.1]] * 2, "bob": [[0.1, 0.9]] * 2}


@pytest.mark.parametrize("seed", range(5))
def test_the_three_that_win_most_pairs_are_fused(seed: int) -> None:
    """Of five answers, by all ordered pairs: sum over j of M_ij - M_ji."""
    words = "one two three four five".split()
    liking = np.random.default_rng(seed).normal(size=(5, 5))
    judge = Scripted(
        "judge",
        answers=["one"],
        prefers=lambda a, b: liking[words.index(a), words.index(b)],
        writes=lambda prompt: "",
    )
    members = [Scripted(word, answers=[word]) for word in words]
    item = Item("0", "Which?", None, "one")
    context = GroupContext([judge, *members], Task("t", (), (item,)), "generate")
    (verdict,) = reranking.fuse(context, [item])
    scores = [sum(liking[i, j] - liking[j, i] for j in range(5)) for i in range(5)]
    best = [words[i] for i in np.argsort(scores)[:1:-1]]
    assert re.findall(r"Proposal \d: (\w+)", judge.prompts[0]) == best
    assert verdict.answer == best[0]


def test_fusing_reads_the_judge_and_falls_back_to_the_preferred() -> None:
    items = quiz("AB", 1)
    for words, expected in (("The answer is B.", "B"), ("I cannot say.", "A")):
        likes_red = {"prefers": lambda a, b: 1.0 if a == "red" else -1.0}
        judge = Scripted("judge", writes=lambda prompt, w=words: w, answers="??", **likes_red)
        context = context_of(SPLIT, "AB", dev=0, items=items, judge=judge)
        (verdict,) = reranking.fuse(context, items[1:])
        assert verdict.answer == expected and verdict.agreement == pytest.approx(1 / 3)
        # three answers, a context and two letters in either order, and a text
        assert verdict.tokens == 3 * 10 + 2 * (4 + 2) + 7
    (prompt,) = judge.prompts
    assert "Proposal 1: red\nProposal 2: blue" in prompt


def test_self_consistency_counts_every_sample() -> None:
    samples = {"ann": ["A", "B", "B"], "bob": ["A", "A", "mist"]}
    members = [Scripted(name, samples=rows) for name, rows in samples.items()]
    task = context_of({}, "AB", dev=1, items=quiz("AB", 1)).task
    context = GroupContext(members, task, "generate")
    (verdict,) = load_strategy("self-consistency:3").decide(context, task.test)
    assert verdict.answer == "A" and verdict.ballots == ("B", "A")
    assert verdict.agreement == pytest.approx(3 / 6)


def test_rewards_choose_among_the_different_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyswarmopt_llm.external import classifiers

    class Model:
        def scores(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
            return [float(text == "blue") for text in texts]

    monkeypatch.setattr(classifiers, "RewardModel", lambda spec, device: Model())
    p = {"ann": [[0.9, 0.1]] * 2, "bob": [[0.9, 0.1]] * 2, "cid": [[0.1, 0.9]] * 2}
    context = context_of(p, "AB", dev=1, items=quiz("AB", 1))
    (verdict,) = reranking.reward(context, context.task.test, "R")
    assert verdict.answer == "B" and verdict.agreement == pytest.approx(1 / 3)
