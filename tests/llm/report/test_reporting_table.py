"""The closing table: the right numbers in the right cells, the margin as it is."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from result_helpers import about_of, result_of
from rich.console import Console

from pyswarmopt_llm.common.words import duration, mixture_text, split_small_weights
from pyswarmopt_llm.report.findings import findings
from pyswarmopt_llm.report.terminal import print_findings


def test_names_are_never_read_as_markup() -> None:
    hostile, out = "[red]x[/red]", io.StringIO()
    result = result_of(best_single=hostile, coefficients={hostile: 0.5, "y": 0.5}, uniform_dev=0.5)
    print_findings(Console(file=out, width=100), Path("runs/a"), findings(about_of(), result))
    assert out.getvalue().count(hostile) == 3


def test_small_weights_are_counted_not_listed() -> None:
    weights = {"a": 0.63, "b": -0.61, "c": 0.049, "d": -0.001, "e": 0.0}
    assert mixture_text(weights) == "0.63 a - 0.61 b, and 2 more below 0.05"
    # all are small: all are shown
    assert mixture_text({"a": 0.01, "b": -0.02}) == "-0.02 b + 0.01 a"


def test_experts_are_ordered_by_the_size_of_their_weight() -> None:
    large, small = split_small_weights({"a": 0.1, "b": -0.4, "c": 1.3, "d": 0.01})
    assert [name for name, _ in large] == ["c", "b", "a"] and small == ["d"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (3599.4, "59:59"), (3600, "1:00:00"), (90061, "25:01:01")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
