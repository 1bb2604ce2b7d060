"""Verdicts found in free text: hand-worked cases, and properties of any text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.scores.tasks.verdicts import VERDICTS, preferred, rating, spoken_verdict

# a text and what it says: a rating, the better of two replies, or yes, no, true or false; by hand
CORPUS = Path(__file__).with_name("verdicts.jsonl").read_text(encoding="utf-8").splitlines()
READERS: dict[str, Callable[[str], object]] = {
    "rating": rating,
    "better": preferred,
    "verdict": spoken_verdict,
}


@pytest.mark.parametrize("line", CORPUS, ids=range(len(CORPUS)))
def test_what_is_read_is_what_the_corpus_says(line: str) -> None:
    case = json.loads(line)
    assert READERS[case["kind"]](case["text"]) == case["says"], case["text"]


@given(st.text(alphabet="AB:/10.9 -\n*[]()tierbngyo"))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert preferred(text) in ("A", "B", "tie", None)
    assert spoken_verdict(text) in (*VERDICTS, None)
    value = rating(text)
    assert value is None or 1.0 <= value <= 10.0


@given(st.integers(1, 10), st.text(alphabet=st.characters(categories=["Ll", "Zs"])))
def test_the_form_that_is_asked_for_is_always_read(n: int, reason: str) -> None:
    assert rating(f"Rating: {n}/10. {reason}") == n
    for side in ("A", "B", "tie"):
        assert preferred(f"Better: {side}. {reason}") == side
