"""Forms of numbers, factors and units: each row of the tables, with values worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pyswarmopt_llm.scores.tasks.number_forms import (
    FACTORS,
    FORMS,
    PREFIXED,
    SYMBOLS,
    UNIT_WORDS,
    NumberForm,
    number_at,
    numbers,
)
from pyswarmopt_llm.scores.tasks.quantities import Quantity, written_quantity

VALUES = {
    "grouped_comma": "1234.50",
    "points": "1234567",
    "point_of_euros": "1500",
    "comma": "3.5",
    "spaces": "10000",
    "commas": "1234.50",
    "plain": "2.5",
    "fraction_only": "0.5",
}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_an_example_is_read_in_its_form(form: NumberForm) -> None:
    number = number_at(form.example)
    assert number is not None
    assert number.form == form.name
    assert number.value == Fraction(VALUES[form.name])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 1/2", "5/2"),
        ("1e3", "1000"),
        ("2 x 10^6", "2000000"),
        ("10^6", "1000000"),
        ("-$3", "-3"),
        ("$-3", "-3"),
        ("minus 3", "-3"),
        ("2e-2", "1/50"),
    ],
)
def test_signs_ratios_and_exponents(text: str, value: str) -> None:
    number = number_at(text)
    assert number is not None
    assert (number.value, number.end) == (Fraction(value), len(text))


@pytest.mark.parametrize("text", ["1/0", "0^-1"])
def test_a_division_by_0_has_no_value(text: str) -> None:
    number = number_at(text)
    assert number is not None and number.value is None


def test_numbers_are_found_where_they_are_and_names_are_not() -> None:
    text = "H2O, 12:30, √5, 3 kg and -$4 million, 5e1234"
    found = [text[number.start : number.end] for number in numbers(text)]
    assert found == ["12", "3 kg", "-$4 million"]


def test_a_factor_multiplies_and_is_no_unit() -> None:
    for name, factor in FACTORS.items():
        text = f"$5{name}" if len(name) == 1 and name != "%" else f"5 {name}"
        found = written_quantity(text)
        assert found is not None and found.factor == Fraction(factor), text
    assert written_quantity("5 m") == Quantity(Fraction(5), Fraction(1), "m")


def test_every_unit_is_read_alone_and_words_in_the_plural() -> None:
    plain = [text for text in (*PREFIXED, *SYMBOLS) if text.isalpha()]
    words = [word for kind in UNIT_WORDS.values() for word in kind if word.isalpha()]
    for text in (*plain, *words):
        number = number_at(f"5 {text}")
        assert number is not None and number.unit == text, text
    for word in words:
        number = number_at(f"5 {word}s")
        assert number is not None and number.unit == word, word
