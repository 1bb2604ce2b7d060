"""`research/benchmarks/groups/stress.py`, `reinforced.py` and `game.py`: changed questions keep their answers,
liars say what they are said to say, a policy learns from its own rewards alone.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from laboratory import script
from member_helpers import context_of, quiz
from scipy import stats

from pyswarmopt_groups.context import Verdict
from pyswarmopt_groups.members.protocol import Answer
from pyswarmopt_llm.scores.tasks import Item, Task

game = script("game")
lab_skills = script("lab_skills")
reinforced = script("reinforced")
stress = script("stress")


def test_other_words_have_the_same_answer() -> None:

    rng = random.Random(0)
    for skills in stress.OTHER_WORDS:
        for _ in range(50):
            word = tuple(rng.choices(lab_skills.LETTERS, k=4))
            item = Item("", f"{skills} {' '.join(word)}", None, "")
            changed = stress.in_other_words(item).question.split()
            assert changed[-4:] == list(word) and changed[:-4] != skills.split()
            assert lab_skills.answer(changed[:-4], word) == lab_skills.answer(skills.split(), word)
    assert stress.in_other_words(Item("", "next a b c d", None, "")) is None


def test_foreign_words_leave_the_others_in_place() -> None:
    item = Item("", "sort reverse a b c d", {"A": "d c b a"}, "A")
    changed = stress.foreign_words(2)(item)
    words = changed.question.split()
    assert words.count(stress.FOREIGN) == 2 and changed.choices == item.choices
    assert [word for word in words if word != stress.FOREIGN] == item.question.split()


class Fixed:
    """Answers every item with these scores."""

    name, fingerprint, gives_likelihoods = "ann", "ann", True

    def __init__(self, **scores: float) -> None:
        self.scores = scores

    def answer(self, items: Any, scoring: Any, template: Any = None) -> list[Answer]:
        best = max(self.scores, key=lambda letter: self.scores[letter])
        return [Answer(best, 5, self.scores) for _ in items]


def test_liars_are_truthful_on_dev_and_lie_as_their_names_say() -> None:
    options = {letter: letter.lower() for letter in "ABCD"}
    dev, test = (Item(name, name, options, "A") for name in ("dev", "test"))
    said = {}
    for lie in (stress.together, stress.alone, stress.unknowing):
        liar = stress.Liar(Fixed(A=0.5, B=0.1, C=0.3, D=-1.0), lie, [dev])
        truth, answer = liar.answer([dev, test], "likelihood")
        assert truth.text == "A" and truth.scores and not answer.scores
        said[lie.__name__] = answer.text
    assert said == {"together": "B", "alone": "C", "unknowing": "D"}


def test_auc_is_the_statistic_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(0)
    values, right = rng.integers(0, 5, 60) / 5, rng.random(60) < 0.6
    u = stats.mannwhitneyu(values[right], values[~right]).statistic
    assert stress.auc(values.tolist(), right.tolist()) == pytest.approx(
        u / (right.sum() * (~right).sum())
    )
    judged = np.log(np.array([[0.6, 0.5, 0.7], [0.4, 0.5, 0.3]]))
    assert [game.auc(judged, place) for place in range(3)] == [0.5, 0.0, 1.0]


def said(answers: str, *agreement: float) -> list[Verdict]:
    return [
        Verdict(letter, (letter,), share, 1)
        for letter, share in zip(answers, agreement or (1.0,) * len(answers), strict=True)
    ]


def test_the_surer_half_is_the_one_with_most_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right are the first and the fourth, with agreements of 0.9 and 0.5 of 0.9, 0.6, 0.3 and 0.5."""
    task = Task("quiz", (), quiz("ABAB", 0))
    verdicts = said("AABB", 0.9, 0.6, 0.3, 0.5)
    monkeypatch.setattr(stress, "decided", lambda context, name, items: verdicts)
    (row, *_) = stress.agreement(None, task)
    assert (row["accuracy"], row["upper_half"], row["auc"]) == (0.5, 0.5, 0.75)
    verdicts = said("AABB", 0.9, 0.3, 0.4, 0.5)
    (row, *_) = stress.agreement(None, task)
    assert (row["accuracy"], row["upper_half"], row["auc"]) == (0.5, 1.0, 1.0)


def test_answers_are_the_same_or_not_and_right_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third item cannot be put in other words, and counts nowhere."""
    task = Task("quiz", (), quiz("ABAB", 0))
    change = {"1": "one", "0": "zero", "3": "three"}

    def other(item: Item) -> Item | None:
        word = change.get(item.id)
        return None if word is None else Item(item.id, word, item.choices, item.answer)

    answers = {"Question 0?": "A", "Question 1?": "A", "Question 3?": "B"}
    answers |= {"zero": "B", "one": "A", "three": "B"}
    monkeypatch.setattr(stress, "CHANGES", {"other": other})
    monkeypatch.setattr(
        stress,
        "decided",
        lambda context, name, items: said("".join(answers[item.question] for item in items)),
    )
    (row, *_) = stress.inputs(None, task)
    assert (row["plain"], row["test"], row["same"]) == ("101", "001", "011")


def test_the_best_member_is_as_sure_as_its_calibrated_probability() -> None:
    """Bob is right on dev, ann is not; both are sure of what they say."""
    right = [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]]
    members = {"ann": [row[::-1] for row in right], "bob": right}
    context = context_of(members, "ABAB", dev=2)
    verdicts = stress.decided(context, stress.SINGLE, context.task.test)
    assert [verdict.answer for verdict in verdicts] == ["A", "B"]
    beliefs = context.beliefs(1, context.task.test, context.collect(context.task.test).answers[1])
    shown = [verdict.agreement for verdict in verdicts]
    assert shown == pytest.approx([beliefs[0, 0], beliefs[1, 1]]) and min(shown) > 0.5


def test_the_mean_gradient_is_the_slope_of_the_expected_reward() -> None:
    rng = np.random.default_rng(1)
    features, rewards = rng.normal(size=(1, 3)), np.array([1.0, 0.0, 1.0, 0.0])
    weights, baseline = rng.normal(size=(4, 3)), 0.3

    def expected(flat: Any) -> float:
        share = np.exp(flat.reshape(4, 3) @ features[0])
        return float(share @ rewards / share.sum())

    shares = reinforced.attention(features, weights)
    mean = sum(
        shares[k, 0]
        * reinforced.gradient(features, shares, np.array([k]), np.array([rewards[k] - baseline]))
        for k in range(4)
    )
    step = 1e-6
    slope = [
        (expected(weights.ravel() + step * unit) - expected(weights.ravel() - step * unit))
        / step
        / 2
        for unit in np.eye(12)
    ]
    assert mean.ravel() == pytest.approx(slope, abs=1e-8)


def test_the_rounds_of_a_policy_are_those_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """REINFORCE with a baseline for each item, item by item: the mean of its rewards and of the share
    of right answers, which is the first.
    """
    monkeypatch.setattr(reinforced, "ROUNDS", 200)
    features = np.array([[1.0, 0.5], [1.0, -1.0], [1.0, 2.0]])
    right = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    draws, weights = np.random.default_rng(3), np.zeros((2, 2))
    rewards: list[list[float]] = [[4 / 6] for _ in range(3)]
    for _ in range(200):
        slope = np.zeros((2, 2))
        for item, draw in enumerate(draws.random(3)):
            score = np.exp(weights @ features[item])
            share = score / score.sum()
            chosen = 0 if draw <= share[0] else 1
            gain = right[chosen, item] - np.mean(rewards[item])
            slope += gain * np.outer(np.eye(2)[chosen] - share, features[item]) / 3
            rewards[item].append(right[chosen, item])
        weights = weights + 0.5 * (slope - 0.001 * weights)
    found = reinforced.fit_policy(features, right, np.random.default_rng(3))
    assert found == pytest.approx(weights, rel=1e-6)


def test_a_policy_learns_who_is_right_about_which_question() -> None:
    rng = np.random.default_rng(2)
    sign = np.where(rng.random(40) < 0.5, 1.0, -1.0)
    features = np.column_stack([np.ones(40), sign])
    right = np.array([sign > 0, sign < 0, np.zeros(40)]).astype(float)
    weights = reinforced.fit_policy(features, right, np.random.default_rng(0))
    chosen = reinforced.attention(features, weights).argmax(axis=0)
    assert right[chosen, np.arange(40)].all()


def parity(context: object, items: Any) -> tuple[np.ndarray, list[int]]:
    """Embeds items by whether their numbers are even."""
    return np.array([[(-1.0) ** int(item.id), 0.0] for item in items]), [2] * len(items)


def test_the_policys_member_answers_and_pays_for_one_member_and_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even knows the even questions, odd the others: no single member has more than half."""
    monkeypatch.setattr(reinforced, "question_embeddings", parity)
    rng = random.Random(0)
    right = "".join(rng.choice("AB") for _ in range(60))
    rows: dict[str, list[list[float]]] = {"even": [], "odd": []}
    for number, letter in enumerate(right):
        good, bad = ([0.7, 0.3], [0.3, 0.7]) if letter == "A" else ([0.3, 0.7], [0.7, 0.3])
        rows["even"].append(bad if number % 2 else good)
        rows["odd"].append(good if number % 2 else bad)
    context = context_of(rows, right, dev=40)
    policy, control = reinforced.rows(context, context.task.test, seed=1)
    assert policy["test"] == "1" * 20 and policy["tokens"] == 10 + 2
    assert control["test"].count("1") < 20


def test_players_are_taught_the_truth() -> None:

    parts = {"plain": 0, "correct": 0, "incorrect": 0}
    for chat in game.examples(200, 0):
        prompt, reply = (message["content"] for message in chat["messages"])
        skill, *word = prompt.split("\n")[0].removeprefix("Question: ").split()
        right = " ".join(lab_skills.answer([skill], tuple(word)))
        if "Proposed answer: " in prompt:
            proposed = prompt.split("Proposed answer: ")[1].split("\n")[0]
            assert reply == ("correct" if proposed == right else "incorrect")
            parts[reply] += 1
        elif "Give an incorrect" in prompt:
            assert reply != right
        else:
            assert reply == right
            parts["plain"] += 1
    assert min(parts.values()) > 10
