"""Strategies of a group on members whose answers are known, against rules written out here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from member_helpers import Scripted, context_of, quiz

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.voting import reranking, selection, votes
from pyswarmopt_llm.scores.tasks import Item

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


# Selection and routing


SIZES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.just(3))


@given(arrays(np.float64, SIZES, elements=st.floats(0.01, 1)), st.floats(0.3, 1))
def test_a_cascade_asks_until_it_is_sure(p: np.ndarray, threshold: float) -> None:
    """Member by member, with plain products."""
    p /= p.sum(axis=2, keepdims=True)
    open_ones: list[list[int]] = []

    def ask(k: int, left: Sequence[int]) -> np.ndarray:
        open_ones.append(list(left))
        return np.asarray(p[k, left])

    beliefs, asked = selection.run_cascade(*p.shape[:2], threshold, ask)
    for i in range(p.shape[1]):
        belief = [1.0, 1.0, 1.0]
        for k in range(p.shape[0]):
            assert i in open_ones[k]
            belief = [b * q for b, q in zip(belief, p[k, i], strict=True)]
            share = max(belief) / sum(belief)
            if abs(share - threshold) < 1e-9:
                return
            if (threshold < 1 and share >= threshold) or k == p.shape[0] - 1:
                assert asked[i] == k + 1 and beliefs[i].max() == pytest.approx(share)
                assert all(i not in left for left in open_ones[k + 1 :])
                break


def test_the_threshold_is_the_best_on_dev_and_then_the_cheapest(context: GroupContext) -> None:
    dev = context.probabilities(context.dev)[context.order]
    table = {}
    for threshold in selection.THRESHOLDS:
        beliefs, asked = selection.run_cascade(3, 6, threshold, lambda k, left: dev[k, left])
        right = ["ABC"[b.argmax()] == a for b, a in zip(beliefs, RIGHT, strict=False)]
        table[threshold] = (np.mean(right), -sum(asked))
    verdicts = load_strategy("cascade").decide(context, context.task.test)
    used = verdicts[0].notes["threshold"]
    assert used == min(t for t in table if table[t] == max(table.values()))
    for verdict in verdicts:
        assert sum(b is not None for b in verdict.ballots) == verdict.notes["asked"]
        assert verdict.tokens == 10 * verdict.notes["asked"]  # ten tokens an answer


def with_hood(strategy, context: GroupContext, right, monkeypatch) -> list[Verdict]:
    """What the strategy decides with neighbours that were counted elsewhere."""

    def rate(context: GroupContext, items: Sequence[Item], _: int) -> tuple[np.ndarray, list[int]]:
        return np.array(right), [3] * len(items)

    monkeypatch.setattr(selection, "right_nearby", rate)
    return strategy(context, context.task.test, 15)


def test_knora_u_gives_votes_for_right_neighbours(
    context: GroupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nobody is right near the second item: all vote alike
    right = [[3, 0, 0, 2], [1, 0, 4, 2], [1, 0, 3, 0]]
    decided = with_hood(selection.nearest, context, right, monkeypatch)
    assert [v.answer for v in decided] == ["A", "A", "C", "B"]
    third = decided[2]
    assert (third.ballots, third.tokens, third.agreement) == ((None, "C", "A"), 23, 0.5)


def test_a_router_asks_the_best_nearby_alone(
    context: GroupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = [[1, 2, 0, 1], [1, 3, 0, 0], [2, 0, 1, 1]]
    decided = with_hood(selection.by_neighbours, context, right, monkeypatch)
    assert [v.notes["member"] for v in decided] == ["cid", "bob", "cid", "ann"]
    assert [v.answer for v in decided] == ["B", "B", "A", "B"]
    assert {v.tokens for v in decided} == {13}
    # ann and cid are level on the fourth: she is better on dev, wherever she is listed
    backwards = context_of({name: P[name] for name in reversed(P)}, RIGHT, dev=6)
    again = with_hood(selection.by_neighbours, backwards, right[::-1], monkeypatch)
    assert [v.notes["member"] for v in again] == ["cid", "bob", "cid", "ann"]


def test_familiarity_routes_where_it_tells_who_is_right() -> None:
    """Ann is right on questions that she finds likelier than bob does, and the other way round."""
    familiar = {"ann": [-1.0, -9.0] * 5, "bob": [-9.0, -1.0] * 5}
    right = "AB" * 5
    p = {"ann": [[0.9, 0.1]] * 10, "bob": [[0.1, 0.9]] * 10}
    context = context_of(p, right, dev=6, question_logprobs=familiar)
    decided = selection.by_likelihood(context, context.task.test)
    assert [v.notes["member"] for v in decided] == ["ann", "bob", "ann", "bob"]
    assert [v.answer for v in decided] == list("ABAB") and decided[0].tokens == 10 + 2 * 5
    values, _ = selection.familiarity(context, context.task.test)
    size = len(context.task.test[0].question)
    assert values[:, 0].tolist() == pytest.approx([4 / size, -4 / size])


# After the answers

SPLIT = {"ann": [[0.9, 0.1]] * 2, "bob": [[0.1, 0.9]] * 2}


def test_pairs_are_compared_in_both_orders_and_a_liking_for_the_first_is_no_help() -> None:
    items = quiz("AB", 1)

    def prefers(a: str, b: str) -> float:
        return 5.0 + (1.0 if b == "blue" else 0.0) - (1.0 if a == "blue" else 0.0)

    judge = Scripted("judge", prefers=prefers, writes=lambda prompt: "I cannot say.", answers="??")
    context = context_of(SPLIT, "AB", dev=1, items=items, judge=judge)
    (verdict,) = reranking.fuse(context, context.task.test, "judge")
    texts = context.task.test[0].choices
    disliked = next(letter for letter, text in texts.items() if text == "blue")
    assert {verdict.answer, disliked} == {"A", "B"}
    assert len(judge.asked) == 4  # two orders, two letters each
    both = sorted((p.index("red") < p.index("blue")) for p, _ in judge.asked)
    assert both == [False, False, True, True]


def test_fusing_reads_the_judge_and_falls_back_to_the_preferred() -> None:
    items = quiz("AB", 1)
    for words, expected in (("The answer is B.", "B"), ("I cannot say.", "A")):
        likes_red = {"prefers": lambda a, b: 1.0 if a == "red" else -1.0}
        judge = Scripted("judge", writes=lambda prompt, w=words: w, answers="??", **likes_red)
        context = context_of(SPLIT, "AB", dev=1, items=items, judge=judge)
        (verdict,) = reranking.fuse(context, context.task.test, "judge")
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
    from pyswarmopt_llm.published import classifiers

    class Model:
        def scores(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
            return [float(text == "blue") for text in texts]

    monkeypatch.setattr(classifiers, "load_reward", lambda spec, device: Model())
    p = {"ann": [[0.9, 0.1]] * 2, "bob": [[0.9, 0.1]] * 2, "cid": [[0.1, 0.9]] * 2}
    context = context_of(p, "AB", dev=1, items=quiz("AB", 1))
    (verdict,) = reranking.reward(context, context.task.test, "R")
    assert verdict.answer == "B" and verdict.agreement == pytest.approx(1 / 3)
