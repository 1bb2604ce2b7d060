"""Which numbers are the same answer: as math-verify of Hugging Face has it (Apache-2.0)."""

from __future__ import annotations

import pytest

from pyswarmopt_groups.voting import equivalent

math_verify = pytest.importorskip("math_verify", reason="pip install math-verify: an oracle")
NUMBERS = (
    *("1/2", "0.5", "50%", r"\frac{1}{2}", "-3/6", r"\boxed{12}", "12", "12.0", "2^10", "1024"),
    *("1,024", "$1,200", "1200.00", r"10^{-2}", "0.01", "1/3", "0.333", "-7", "7"),
)


@pytest.mark.parametrize("first", NUMBERS)
def test_two_notations_are_one_number(first: str) -> None:
    read = {text: math_verify.parse(f"${text.strip('$')}$") for text in NUMBERS}
    expected = {text for text in NUMBERS if math_verify.verify(read[first], read[text])}
    assert {text for text in NUMBERS if equivalent(first, text)} == expected
