"""Every export says what it does, takes, returns and raises, and what it returns is exported, too."""

from __future__ import annotations

import inspect
import re

import pytest

import pyswarmopt_llm as sl

FUNCTIONS = [name for name in sl.__all__ if inspect.isfunction(getattr(sl, name))]
ELSEWHERE = {"Iterator", "Any", "Path"}  # not ours


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_takes_and_raises(name: str) -> None:
    function = getattr(sl, name)
    text = inspect.getdoc(function) or ""
    assert "Raises:" in text or name == "interval"
    for parameter in inspect.signature(function).parameters.values():
        if "Args:" in text and parameter.kind is not parameter.VAR_KEYWORD:
            assert re.search(rf"\b{parameter.name}\b", text), parameter.name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_function_returns_is_exported(name: str) -> None:
    returned = inspect.signature(getattr(sl, name)).return_annotation
    ours = set(re.findall(r"\b[A-Z]\w+", str(returned))) - ELSEWHERE
    assert ours - {"None"} <= set(sl.__all__), returned


@pytest.mark.parametrize("name", sl.__all__)
def test_an_export_has_a_sentence_of_its_own(name: str) -> None:
    first = (inspect.getdoc(getattr(sl, name)) or "").splitlines()[0]
    assert len(first.split()) >= 3 and not first.startswith(f"{name}(")
