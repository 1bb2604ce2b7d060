"""Forms of numbers, factors and units: each row of the tables, with values worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pyswarmopt_llm.scores.tasks.number_forms import (
    FACTORS,
    FORMS,
    NUMBER,
    PREFIXED,
    SYMBOLS,
    UNIT_WORDS,
    NumberForm,
    value_of,
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
    match = NUMBER.match(form.example)
    assert match is not None
    assert [each.name for each in FORMS if match[each.name]] == [form.name]
    assert value_of(match) == Fraction(VALUES[form.name])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 1/2", "5/2"),
        ("1e3", "1000"),
        ("2 x 10^6", "2000000"),
        ("10^6", "1000000"),
        ("-$3", "-3"),
    ],
)
def test_signs_ratios_and_exponents(text: str, value: str) -> None:
    match = NUMBER.fullmatch(text)
    assert match is not None and value_of(match) == Fraction(value)


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
        match = NUMBER.fullmatch(f"5 {text}")
        assert match is not None and match["unit"] == text, text
    for word in words:
        match = NUMBER.match(f"5 {word}s")
        assert match is not None and match["unit"] == word, word
