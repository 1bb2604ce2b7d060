"""Answers found in free text: hand-worked cases, and properties of any text."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.answers import extract_choice, extract_number, is_correct

CAPITALS = {"A": "Lima", "B": "Quito", "C": "La Paz", "D": "Paz"}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("B: Quito", "B"),
        ("B) Quito, of course", "B"),
        ("B because it is high up", "B"),
        ("The answer is B", "B"),
        ("The answer is: (B).", "B"),
        ("The answer is option B.", "B"),
        ("Answer: B", "B"),
        ("First A seems right. But the answer is B.", "B"),
        ("The answer is A. No, wait: the answer is B.", "B"),
        (r"Hence $\boxed{B}$, not A.", "B"),
        (r"\boxed{\text{Quito}}", "B"),
        ("I choose option B here", "B"),
        ("It must be (B), I think", "B"),
        ("Quito", "B"),
        ("quito.", "B"),
        ("It is Quito.", "B"),
        ("The answer is Quito because of the height", "B"),
        ("The answer is La Paz", "C"),  # holds Paz as well: the longer option counts
        ("A", "A"),
        ("A.", "A"),
        ("The answer is A because it is", "A"),
        ("A\nThat is Lima.", "A"),
        ("A city in Ecuador, Quito", "B"),  # the article is no letter
        ("The answer is a city, Quito", "B"),
        ("", None),
        ("   ", None),
        ("E", None),
        ("no idea", None),
        ("Lima or Quito", None),
        ("(A) or (B)", None),
        ("Limac", None),
        ("Bolivia", None),
        (r"\boxed{" * 5000, None),
        (r"\boxed{" * 5000 + "B" + "}" * 5000, "B"),
        (r"\boxed{B}" + r"\boxed{" * 5000, "B"),
        (r"\boxed{A} or \boxed{B \boxed{", "A"),
    ],
)
def test_choice_by_hand(text: str, letter: str | None) -> None:
    assert extract_choice(text, CAPITALS) == letter


def test_options_that_look_like_letters_or_differ_in_case_only() -> None:
    letters = {"A": "n", "B": "e", "C": "b", "D": "o"}
    assert extract_choice("b", letters) == "C"  # an option, as it stands
    assert extract_choice("B", letters) == "B"
    assert extract_choice('The last letter is "e".', letters) == "B"
    case = {"A": "lemon", "B": "LEMON", "C": "nomel"}
    assert extract_choice("LEMON", case) == "B"
    assert extract_choice("The answer is lemon.", case) == "A"
    assert extract_choice("Lemon", case) is None
    assert extract_choice("Yes", {"A": "yes", "B": "yes"}) is None


@given(st.text(), st.dictionaries(st.sampled_from("ABCDEFGHIJ"), st.text(min_size=1), min_size=2))
def test_choice_is_an_option_or_none_for_any_text(text: str, choices: dict[str, str]) -> None:
    assert extract_choice(text, choices) in (None, *choices)


@given(
    st.sampled_from("ABCD"),
    st.sampled_from(["{}", "({})", "{}.", "The answer is {}.", "Answer: {}\n\nQ:"]),
)
def test_a_named_letter_is_found(letter: str, form: str) -> None:
    assert extract_choice(form.format(letter), CAPITALS) == letter


@given(
    st.sampled_from("ABCD"),
    st.sampled_from(["{}", " {}. ", "The answer is {}.", "It is {}", "{}\n"]),
)
def test_a_named_option_is_found(letter: str, form: str) -> None:
    item = Item("1", "Which?", CAPITALS, letter)
    assert is_correct(item, form.format(CAPITALS[letter]))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", "18"),
        ("The answer is 18.", "18"),
        ("9 * 2 = $18", "18"),
        ("It costs $1,234.50 in all.", "1234.50"),
        ("1,234,567 people", "1234567"),
        ("nodes 0,1,2", "2"),
        ("so -3 degrees", "-3"),
        ("so \u22123 degrees", "-3"),
        ("from 3-5", "5"),
        ("25% of them", "25"),
        ("about .5 litres", "0.5"),
        ("18 apples, which is H2O free", "18"),
        ("5km", "5"),
        (r"\boxed{42} and then 7", "42"),
        (r"\boxed{\frac{x}{2}} no, \boxed{\$1{,}000}", "1000"),
        ("6 and 3 make 9\n#### 9\nNext: 12", "9"),
        ("The answer is 7 for 3 days.", "7"),
        ("The answer is 7. No: the answer is 8 in 2 days.", "8"),
        ("The final answer: 0.250", "0.25"),
        ("18 apples. The answer is as above.", "18"),
        (r"\boxed{5 and then 6", "6"),
    ],
)
def test_number_by_hand(text: str, number: str) -> None:
    assert extract_number(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "none", "H2O", "\\boxed{}", "$", "-"])
def test_no_number(text: str) -> None:
    assert extract_number(text) is None


@given(st.integers(-(10**9), 10**9), st.text(alphabet=st.characters(categories=["Ll", "Zs"])))
def test_numbers_with_separators_are_read_back(n: int, before: str) -> None:
    assert extract_number(f"{before} {n:,}.") == n
    assert extract_number(f"The answer is ${abs(n):,} {before}") == abs(n)


@given(st.text(), st.sampled_from(["17", "yes", "Lima"]))
def test_any_text_is_judged_without_an_error(text: str, gold: str) -> None:
    assert is_correct(Item("1", "?", None, gold), text) in (True, False)


@given(st.text(min_size=1))
@example("#### 5 km")
@example("the answer is: 1,000")
def test_the_right_answer_itself_is_right(text: str) -> None:
    assert is_correct(Item("1", "?", None, text), text)
    assert is_correct(Item("1", "?", None, text), f"  {text}\n")


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("18", "6 + 12 = 18", True),
        ("18", "18.0 dollars", True),
        ("18", "180", False),
        ("18", "no idea", False),
        ("1,200", "The answer is 1200", True),
        ("$5", "5", True),
        ("3 + 2 = 5\n#### 5", "So 5.", True),
        ("-4", "4", False),
        ("Yes", "Yes, there is a path from 1 to 2.", True),
        ("Yes", "No, yes would be wrong.", False),
        ("No", "no", True),
        ("No", "There is nothing to know", False),
        ("No", "The answer is: No.", True),
        ("Lima", "lima.", True),
        ("Lima", "The answer is Lima", True),
        ("Lima", r"\boxed{Lima}", True),
        ("Lima", "Not Lima", False),
        ("Route 66", "Route 66", True),
        ("Route 66", "66", False),
    ],
)
def test_open_answers_by_hand(gold: str, text: str, right: bool) -> None:
    assert is_correct(Item("1", "?", None, gold), text) is right


def test_choices_are_judged_by_the_option() -> None:
    item = Item("1", "Capital of Ecuador?", CAPITALS, "B")
    assert is_correct(item, "The answer is B")
    assert is_correct(item, "Quito")
    assert not is_correct(item, "The answer is A")
    assert not is_correct(item, "Lima or Quito")
