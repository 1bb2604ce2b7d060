"""`research/benchmarks/groups/stress.py`, `reinforced.py` and `game.py`: changed questions keep their answers,
liars say what they are said to say, a policy learns from its own rewards alone.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from laboratory import script
from scipy import stats

from pyswarmopt_groups.members.protocol import Answer
from pyswarmopt_llm.scores.tasks import Item

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


def test_a_policy_learns_who_is_right_about_which_question() -> None:
    rng = np.random.default_rng(2)
    sign = np.where(rng.random(40) < 0.5, 1.0, -1.0)
    features = np.column_stack([np.ones(40), sign])
    right = np.array([sign > 0, sign < 0, np.zeros(40)]).astype(float)
    weights = reinforced.fit_policy(features, right, np.random.default_rng(0))
    chosen = reinforced.attention(features, weights).argmax(axis=0)
    assert right[chosen, np.arange(40)].all()


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
