"""The closing table: the right numbers in the right cells, the margin as it is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from result_helpers import about_of, result_of
from rich.console import Console

from pyswarmopt_llm.common.words import duration, mixture_text, split_small_weights
from pyswarmopt_llm.report.findings import findings, score_rows
from pyswarmopt_llm.report.terminal import print_findings

RESULT: dict[str, Any] = {
    "best_dev": 0.712,
    "best_test": 0.641,
    "best_single_dev": 0.65,
    "best_single_test": 0.6,
    "best_single": "dates",
    "uniform_dev": 0.55,
    "intervals": {
        "best_dev": [0.65, 0.77],
        "best_test": [0.61, 0.67],
        "best_single_dev": [0.58, 0.71],
        "best_single_test": [0.57, 0.6],
    },
    "evaluations": 31,
    "item_evaluations": 1488,
    "seconds": 200.0,
    "seconds_scoring": 150.0,
    "peak_memory_bytes": 3 * 2**29,
    "scoring": "likelihood",
    "stop": {"patience": 10},
    "coefficients": {"dates": 0.2, "graph": -0.3, "strings": 1.1},
}


def printed(width: int = 100, **changes: Any) -> str:
    out, result = io.StringIO(), result_of(**{**RESULT, **changes})
    print_findings(Console(file=out, width=width), Path("runs/a"), findings(about_of(), result))
    return out.getvalue()


def cells(text: str, label: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if label in line and "│" in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_each_contestant_has_its_own_scores() -> None:
    text = printed()
    assert cells(text, "dates") == [
        "best single expert: dates",
        "0.650 [0.580, 0.710]",
        "0.600 [0.570, 0.600]",
    ]
    assert cells(text, "uniform") == ["uniform average", "0.550", "-"]
    assert cells(text, "mixture") == ["mixture", "0.712 [0.650, 0.770]", "0.641 [0.610, 0.670]"]


def test_the_uniform_average_is_shown_only_where_it_was_scored() -> None:
    without = result_of(**{**RESULT, "uniform_dev": None})
    assert list(score_rows(without)) == ["best single expert: dates", "mixture"]


def test_names_are_never_read_as_markup() -> None:
    hostile = "[red]x[/red]"
    text = printed(best_single=hostile, coefficients={hostile: 0.5, "y": 0.5})
    assert text.count(hostile) == 3


def test_cost_by_hand() -> None:
    # 200 s is 3:20, 150 of 200 is 75%, 3 * 2^29 bytes is 1.5 GiB.
    (text,) = [line for line in printed().splitlines() if line.startswith("Cost: ")]
    assert text == (
        "Cost: evaluations 31; items scored 1,488; scoring likelihood; time 3:20 (75.0% scoring); "
        "peak memory 1.5 GiB; stopped after 10 iterations without a new best"
    )


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
