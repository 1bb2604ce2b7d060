"""Scores against hand-worked numbers: accuracy, intervals, chance, the mean over tasks, what is
computed once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from fake_engine import FakeEngine
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import questions

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import chance_bound, score_of
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy, beats_chance, knows_letters
from pyswarmopt_llm.scores.metrics.combine import find_combine, harmonic
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, chat_prompt


def item(answer: str = "A", **choices: str) -> Item:
    return Item("1", "Which?", choices or None, answer)


# Accuracy


def test_a_likelihood_counts_per_byte_of_the_option() -> None:
    engine = FakeEngine({"longer": -6.0, "no": -4.0, "abcd": -3.0, "été": -3.5})
    # -6 / 6 = -1 beats -4 / 2 = -2, though the sum is worse.
    assert Accuracy([item(A="longer", B="no")], "likelihood", engine.chat)(engine).answers == ("A",)
    # été has 5 bytes: -3.5 / 5 = -0.7 beats -3 / 4 = -0.75; by its 3 characters it would lose.
    assert Accuracy([item(A="abcd", B="été")], "likelihood", engine.chat)(engine).answers == ("B",)


class Hash(FakeEngine):
    """An engine whose likelihoods follow from the texts alone, whatever else is asked."""

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [-1.0 - sum(map(ord, context + text)) % 97 / 10 for context, text in pairs]


@pytest.mark.parametrize("scoring", ["letter", "likelihood"])
def test_some_items_score_as_they_do_among_all_with_margins_from_the_right_option(
    scoring: Any,
) -> None:
    items = [Item(q["id"], q["question"], q["choices"], q["answer"]) for q in questions(12, 3)]
    utility, engine = Accuracy(items, scoring, lambda text, _: text), Hash()
    whole, wanted = utility(engine), [7, 2, 11]  # type: ignore[arg-type]
    some = utility(engine, wanted)  # type: ignore[arg-type]
    assert some.per_item == tuple(whole.per_item[i] for i in wanted)
    assert some.answers == tuple(whole.answers[i] for i in wanted)
    scores = utility.option_scores(engine)  # type: ignore[arg-type]
    for i, value, margins in zip(wanted, some.per_item, some.margins, strict=True):
        right = scores[i].pop(items[i].answer)
        assert margins == pytest.approx([right - other for other in scores[i].values()])
        assert (value == 1.0) == (min(margins) > 0) or 0.0 in margins


def test_letter_scoring_scores_letters_after_the_lettered_options() -> None:
    engine = FakeEngine({"A": -3.0, "B": -1.0, "C": -2.0})
    items = [item("B", A="long long long", B="y", C="z"), item("C", A="x", B="y", C="z")]
    accuracy = Accuracy(items, "letter", engine.chat)
    score = accuracy(engine)
    assert score.answers == ("B", "B")
    assert (score.value, score.per_item, score.n) == (0.5, (1.0, 0.0), 2)
    context, letter = engine.received[0]
    assert letter == "A" and "A: long long long\nB: y\nC: z\nThe answer is" in context


@pytest.mark.parametrize("broken", [{"A": math.nan, "B": -1.0}, {"A": -1.0, "B": math.nan}])
def test_a_model_that_gives_no_numbers_is_never_right(broken: dict[str, float]) -> None:
    engine = FakeEngine(broken)
    for answer in ("A", "B"):
        assert Accuracy([item(answer, A="x", B="y")], "letter", engine.chat)(engine).value == 0.0


@pytest.mark.parametrize(
    ("answer_format", "options", "lengths", "right"),
    [
        ("letter", ("A", "B"), (1.0, 1.0), 1),
        ("likelihood", ("red", "blue!"), (3.0, 5.0), 1),
        ("generate", ("blue!",), (1.0,), 0),
    ],
)
def test_items_are_trained_on_as_they_are_scored_and_those_without_a_right_answer_are_not(
    answer_format: AnswerFormat, options: tuple[str, ...], lengths: tuple[float, ...], right: int
) -> None:
    engine = FakeEngine({})
    items = [item("", A="red", B="blue!"), item("B", A="red", B="blue!")]
    turn = chat_prompt(items[1], answer_format, engine.chat, None)
    expected = Choices(tuple((turn, option) for option in options), lengths, right)
    assert Accuracy(items, answer_format, engine.chat).choices() == [expected]


# Choice of the scoring


def test_experts_that_name_the_same_letter_for_all_items_do_not_pass_for_knowing_them() -> None:
    """One of four letters each, 50 items: the luckiest letter may look better than guessing."""
    rng = np.random.default_rng(1)
    fooled = guessers = 0
    for _ in range(500):
        key = rng.integers(0, 4, 50)
        items = [replace(item(A="x", B="y", C="z", D="u"), answer="ABCD"[right]) for right in key]
        scores = [score_of((key == letter).astype(float).tolist()) for letter in (0, 1, 2, 3)] * 3
        fooled += knows_letters(items, scores)
        guessers += beats_chance(items, scores)
    assert guessers > 5 and fooled == 0
    assert knows_letters(items, [score_of([1.0] * 35 + [0.0] * 15)])


@given(
    counts=st.lists(st.integers(2, 5), min_size=1, max_size=9),
    percent=st.sampled_from([1, 5, 10, 25, 50]),
)
def test_chance_bound_against_enumeration(counts: list[int], percent: int) -> None:
    # All outcomes, exactly, in fractions.
    probability = [Fraction(0)] * (len(counts) + 1)
    for outcome in itertools.product((0, 1), repeat=len(counts)):
        p = Fraction(1)
        for right, options in zip(outcome, counts, strict=True):
            p *= Fraction(1, options) if right else 1 - Fraction(1, options)
        probability[sum(outcome)] += p
    level = Fraction(percent, 100)
    exceeding = [sum(probability[k + 1 :], Fraction(0)) for k in range(len(counts) + 1)]
    if any(abs(float(e - level)) < 1e-12 for e in exceeding):
        return  # on the edge the last bit of a float decides
    smallest = min(k for k, e in enumerate(exceeding) if e <= level)
    assert chance_bound(counts, float(level)) == smallest / len(counts)


# Statistics


# Several tasks


@given(st.lists(st.tuples(st.floats(0.05, 1.0), st.floats(0.0, 0.3)), min_size=2, max_size=5))
def test_harmonic_stderr_by_the_delta_method(pairs: list[tuple[float, float]]) -> None:
    """d H / d v_i = H^2 / (m v_i^2)"""
    found = harmonic([Score(value, (), 10, stderr) for value, stderr in pairs])
    parts = (stderr * found.value**2 / (len(pairs) * value**2) for value, stderr in pairs)
    assert found.stderr == pytest.approx(math.hypot(*parts), 1e-5, 1e-9)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1), st.integers(0, 100)
)
def test_a_kept_task_falls_by_at_most_a_tenth_of_the_gain(
    candidates: list[tuple[int, int]], floor: int
) -> None:
    """Against the best candidate that keeps the floor, if there is one."""
    scores = [tuple(Score(value / 100, (), 1, 0.0) for value in pair) for pair in candidates]
    keep = find_combine(f"keep:{floor / 100}", 2)
    searched, kept = candidates[max(range(len(scores)), key=lambda n: keep(scores[n]).value)]
    best = max((ours for ours, theirs in candidates if theirs >= floor), default=None)
    if best is not None:
        assert searched >= best and 10 * max(floor - kept, 0) <= searched - best
    else:
        assert kept + 10 >= max(theirs for _, theirs in candidates)
