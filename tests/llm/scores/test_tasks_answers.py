"""Answers found in free text: hand-worked cases, and properties of any text."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyswarmopt_groups.voting import equivalent
from pyswarmopt_llm.scores.metrics.text import numeric
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.answers import check, extract_choice
from pyswarmopt_llm.scores.tasks.quantities import stated_quantity

# a text and what is found in it: of four capitals or other options, as a number, or whether it is right (null if that
# is unclear); a quantity is so in accuracy, numeric and votes; by hand
CORPUS = Path(__file__).with_name("answers.jsonl").read_text(encoding="utf-8").splitlines()
CAPITALS = {"A": "Lima", "B": "Quito", "C": "La Paz", "D": "Paz"}


def number(text: str) -> Fraction | None:
    found = stated_quantity(text)
    return None if found is None else found.value


@pytest.mark.parametrize("line", CORPUS, ids=range(len(CORPUS)))
def test_what_is_found_is_what_the_corpus_says(line: str) -> None:
    case = json.loads(line)
    text, finds = case["text"], case["finds"]
    if case["kind"] == "choice":
        assert extract_choice(text, case.get("of", CAPITALS)) == finds
    elif case["kind"] == "number":
        assert number(text) == (None if finds is None else Fraction(finds))
    else:
        item = Item("1", "?", None, case["gold"])
        assert check(item, text) is finds
        if case["kind"] == "quantity":
            assert numeric([item], [text]) == [finds]
            assert equivalent(item.answer, text) is bool(finds)


@given(st.text(), st.dictionaries(st.sampled_from("ABCDEFGHIJ"), st.text(min_size=1), min_size=2))
def test_choice_is_an_option_or_none_for_any_text(text: str, choices: dict[str, str]) -> None:
    assert extract_choice(text, choices) in (None, *choices)


@given(
    st.sampled_from("ABCD"),
    st.sampled_from(["{}", " {}. ", "The answer is {}.", "It is {}", "{}\n"]),
)
def test_a_named_option_is_found(letter: str, form: str) -> None:
    item = Item("1", "Which?", CAPITALS, letter)
    assert check(item, form.format(CAPITALS[letter]))


@given(st.integers(-(10**9), 10**9), st.text(alphabet=st.characters(categories=["Ll", "Zs"])))
def test_numbers_with_separators_are_read_back(n: int, before: str) -> None:
    assert number(f"{before} {n:,}.") == n
    assert number(f"The answer is ${abs(n):,} {before}") == abs(n)


def test_a_reply_that_repeats_itself_is_read() -> None:
    assert number("1 " * 4000) == 1 and number("5 km " * 2000) == 5


@given(st.text(min_size=1))
@example("#### 5 km")
@example("the answer is: 1,000")
def test_the_right_answer_itself_is_right(text: str) -> None:
    assert check(Item("1", "?", None, text), text)
    assert check(Item("1", "?", None, text), f"  {text}\n")
