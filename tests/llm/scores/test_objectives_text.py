"""Scores of written answers against hand-worked numbers, brute force and other libraries."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.metrics import text as text_scores
from pyswarmopt_llm.scores.metrics.objectives import (
    METRICS,
    find_metric,
    metric_labels,
    metric_specs,
)
from pyswarmopt_llm.scores.tasks import Item

WORDS = st.lists(st.sampled_from("red green blue tree house".split()), min_size=1, max_size=6)


def question(answer: str, *more: str) -> list[Item]:
    meta = {"answers": "[" + ", ".join(f'"{text}"' for text in more) + "]"} if more else {}
    return [Item("1", "?", None, answer, meta)]


# Words


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        ("the Louvre", "Louvre.", 1.0),
        ("the Louvre", "It is the Louvre.", 0.0),
        ("42", "42!", 1.0),
        ("U.S.", "us", 1.0),
        ("no", "know", 0.0),
    ],
)
def test_exact_match(answer: str, text: str, right: float) -> None:
    assert text_scores.exact_match(question(answer), [text]) == [right]


def test_the_best_reference_counts() -> None:
    items = question("Goethe", "J. W. Goethe", "Johann Wolfgang von Goethe")
    assert text_scores.exact_match(items, ["johann wolfgang von goethe"]) == [1.0]
    # 2 of 2 words, 2 of 3 wanted
    assert text_scores.token_f1(items, ["J W"]) == [pytest.approx(0.8)]


@given(WORDS, WORDS)
def test_f1_by_removing_common_words_one_by_one(wanted: list[str], found: list[str]) -> None:
    rest, common = list(wanted), 0
    for word in found:
        if word in rest:
            rest.remove(word)
            common += 1
    precision, recall = common / len(found), common / len(wanted)
    expected = 2 * precision * recall / (precision + recall) if common else 0.0
    assert text_scores.token_f1(question(" ".join(wanted)), [" ".join(found)])[0] == pytest.approx(
        expected
    )


@given(WORDS, WORDS)
def test_rouge_l_by_all_subsequences(wanted: list[str], found: list[str]) -> None:
    pytest.importorskip("rouge_score")

    def subsequences(words: list[str]) -> set[tuple[str, ...]]:
        return {c for n in range(len(words) + 1) for c in itertools.combinations(words, n)}

    longest = max(map(len, subsequences(wanted) & subsequences(found)))
    expected = 2 * longest / (len(wanted) + len(found))
    assert text_scores.rouge_l(question(" ".join(wanted)), [" ".join(found)])[0] == pytest.approx(
        expected
    )


def test_bleu_by_hand() -> None:
    pytest.importorskip("sacrebleu")
    # 1-grams 4/5, 2-grams 2/4, 3-grams 1/3, 4-grams 0/2 smoothed to 1/(2*2); equal lengths, no
    # penalty.
    expected = math.exp((math.log(4 / 5) + math.log(2 / 4) + math.log(1 / 3) + math.log(1 / 4)) / 4)
    found = text_scores.bleu(question("a b c d e"), ["a b c x e"])
    assert found[0] == pytest.approx(expected, rel=1e-6)
    assert text_scores.bleu(question("one two three"), ["one two three"]) == [pytest.approx(1.0)]


def test_chrf_by_hand() -> None:
    pytest.importorskip("sacrebleu")
    # "ab" against "ac": 1-grams 1 of 2 both ways, 2-grams none, no longer ones; F2 of each order,
    # averaged.
    assert text_scores.chrf(question("ac"), ["ab"]) == [pytest.approx(0.25)]
    assert text_scores.chrf(question("same"), ["same"]) == [pytest.approx(1.0)]


@pytest.mark.parametrize(
    ("answer", "text", "right"),
    [
        ("1,200", "So we pay $1,200.00 in all.", 1.0),
        ("#### 18", r"Thus \boxed{18} eggs, not 20.", 1.0),
        ("18", "18 + 2 = 20", 0.0),
        ("-4", "It fell to -4 °C", 1.0),
        ("7", "no idea", 0.0),
    ],
)
def test_numeric(answer: str, text: str, right: float) -> None:
    assert text_scores.numeric(question(answer), [text]) == [right]


# Names


def test_metrics_by_name() -> None:
    assert all(find_metric(name).name == name for name in METRICS)


def test_metrics_per_task() -> None:
    assert metric_specs(["f1", "b=bleu"], ["a", "b"]) == {"a": "f1", "b": "bleu"}
    assert metric_specs([], ["a"]) == {}
    assert metric_specs(["judge", "mine.py:f"], ["judge", "f"]) == {
        "judge": "judge",
        "f": "mine.py:f",
    }
    with pytest.raises(UserError, match="a second metric that is called f1"):
        metric_labels(["f1", "mine.py:short", "f1"])
    for wanted, message in (
        (["f1", "bleu"], "second metric"),
        (["c=f1"], "no task is called c"),
        (["a=f1", "b=f1", "a=bleu"], "a has another one"),
    ):
        with pytest.raises(UserError, match=message):
            metric_specs(wanted, ["a", "b"])
