"""Numbers that nobody can mean are refused before anything is written."""

from __future__ import annotations

import math

import pytest

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import Option


def test_an_infinite_number_is_refused() -> None:
    for bound in (Option("", least=0), Option("", above=0), Option("")):
        with pytest.raises(InvalidOption, match="temperature inf: out of range; give a finite"):
            bound.check("temperature", math.inf)
    Option("", least=0).check("temperature", 1e300)
