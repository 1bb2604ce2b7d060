"""What report, table and verdict say holds for the run that they are of, the default without
iterations included.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from result_helpers import about_of, result_of
from test_reporting_pages import Elements, row

from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.record import Row, pack
from pyswarmopt_llm.evaluation.result import Headroom
from pyswarmopt_llm.metrics.combine import arithmetic
from pyswarmopt_llm.reporting.findings import costs, score_rows
from pyswarmopt_llm.reporting.reading import headroom
from pyswarmopt_llm.reporting.report.figures import curve
from pyswarmopt_llm.reporting.report.report import render_report
from pyswarmopt_llm.reporting.summary import mixture_name
from pyswarmopt_llm.reporting.verdict import verdict
from pyswarmopt_rivals.comparison.table import cells
from pyswarmopt_rivals.methods import METHODS

BEGUN = [
    row(0, 0, [1.0, 0.0], "1100"),
    row(1, 0, [0.0, 1.0], "0100"),
    row(2, 0, [1.0, 1.0], "1110"),
]
PROPOSED = row(3, 1, [0.9, 1.1], "1111")
BY_ITEMS = replace(PROPOSED, margins={"t": [[0.5], [0.5], [0.5], [0.5]]})
MOVED = row(0, 1, [0.8, 1.2], "1111")


def text_of(history: list[Row], coefficients: tuple[float, float], **more: Any) -> str:
    result = result_of(coefficients=dict(zip("xy", coefficients, strict=True)), **more)
    return " ".join(Elements(render_report(about_of(), result, history)).text.split())


def test_where_nothing_was_proposed_nothing_of_it_is_said() -> None:
    text = text_of(BEGUN, (1.0, 1.0), stop={"proposals": 0}, trained=True)
    assert "nothing else was scored" in text and "proposed" not in text.replace(
        "nothing new to propose", ""
    )
    assert "with nothing new to propose" in text
    assert "strong line" not in text and "filled dots" not in text
    assert "open dots what the search began with. The star is the mixture that was trained." in text


def test_where_a_proposal_was_scored_but_did_not_win_it_is_counted() -> None:
    text = text_of([*BEGUN, PROPOSED], (1.0, 1.0), stop={"proposals": 1})
    assert (
        "is one of those that the search began with; 1 more was proposed by the model of the scores"
        in text
    )
    assert "filled dots what the model of the scores proposed" in text and "strong line" not in text


def test_a_proposal_that_won_has_no_path() -> None:
    text = text_of([*BEGUN, PROPOSED], (0.9, 1.1), stop={"proposals": 1})
    assert (
        "The result was proposed by the model of the scores" in text and "strong line" not in text
    )


def test_where_items_have_margins_the_item_model_proposed() -> None:
    text = text_of([*BEGUN, BY_ITEMS], (0.9, 1.1), stop={"proposals": 1})
    assert (
        "The result was proposed by the item model" in text
        and "proposed by the item model: 1.000" in text
    )
    assert "model of the scores" not in text


def test_where_particles_moved_their_paths_are_explained() -> None:
    text = text_of([*BEGUN, MOVED], (0.8, 1.2))
    assert "open dots starting positions, filled dots later ones" in text
    assert "the strong line the path of the particle that found it" in text


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ((1.0, 1.0), "sum of all experts"),
        ((0.5, 0.5), "average of all experts"),
        ((0.0, 1.0), "expert y"),
        ((0.0, 0.0), "base"),
        ((0.5, 1.0), "mixture"),
    ],
)
def test_the_result_has_the_name_that_its_weights_have(
    weights: tuple[float, float], name: str
) -> None:
    result = result_of(
        coefficients=dict(zip("xy", weights, strict=True)), trained=True, trained_dev=0.7
    )
    assert mixture_name(result) == name
    assert score_rows(result)[-1].label == f"{name}, trained"
    assert score_rows(result)[-2].label == f"{name}, before training"


def test_what_has_weights_by_layer_or_is_a_graph_is_no_sum() -> None:
    assert mixture_name(result_of(coefficients={"x": 1.0, "y": 1.0}, graph="x -> y")) == "graph"


def test_the_two_averages_name_their_spaces() -> None:
    result = result_of(uniform_dev=0.5, space="delta")
    assert "uniform average (space delta)" in [row.label for row in score_rows(result)]
    found = {"dev": 0.5, "test": 0.5, "item_evaluations": 0, "seconds": 0.0, "models": 1}
    assert (
        cells("uniform-soup", found)[0]
        == f"uniform-soup (space {METHODS['uniform-soup'].spaces[0]})"
    )


def test_stopping_with_no_proposal_is_not_stopping_after_some() -> None:
    assert costs(result_of(stop={"proposals": 0}))["Stopped"] == "with nothing new to propose"
    assert costs(result_of(stop={"proposals": 2}))["Stopped"] == "after 2 proposals"


@pytest.mark.parametrize(("average", "apart"), [(0.446, 16), (0.40, 16), (0.449, 16)])
def test_names_of_lines_in_the_curve_do_not_overlap(average: float, apart: int) -> None:
    history = [row(i, 0, [1.0, 0.0], items) for i, items in enumerate(("1000", "1100", "0000"))]
    svg = str(curve(history, {"best expert": 0.449, "average": average}))
    heights = [float(y) for y in re.findall(r'y="([0-9.]+)"[^>]*>(?:best expert|average)', svg)]
    assert len(heights) == 2 and abs(heights[0] - heights[1]) >= apart


RIVALS = [
    {
        "name": "base",
        "label": "base",
        "test": 0.5,
        "difference": 0.306,
        "interval": [0.2, 0.4],
        "p": 0.001,
    },
    {
        **{
            "name": "base-tuned",
            "label": "base, fine-tuned on dev",
            "dev": 1.0,
            "dev_of": "training",
        },
        **{"test": 0.776, "difference": 0.03, "interval": [-0.02, 0.08], "p": 0.3},
    },
]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "+0.030 [-0.020, +0.080], not significant (p = 0.30)."),
        (
            {"difference": 0.1, "interval": [0.02, 0.18], "p": 0.01},
            "+0.100 [+0.020, +0.180], p = 0.010.",
        ),
        (
            {"difference": -0.1, "interval": [-0.18, -0.02], "p": 0.01},
            "-0.100 [-0.180, -0.020], p = 0.010.",
        ),
    ],
)
def test_the_verdict_names_its_rival(changes: dict[str, Any], words: str) -> None:
    result = result_of(trained=True, trained_dev=0.7, rivals=[RIVALS[0], {**RIVALS[1], **changes}])
    sentence = verdict(result).sentence
    tuned = "Result minus rival: the base, fine-tuned alone on the same items (0.776)"
    assert f"{tuned} {words}" in sentence
    # The base as it is is worse than what was trained: its row tells that.
    assert "the base as it is" not in sentence


def test_the_base_is_named_where_it_is_no_worse() -> None:
    base = {**RIVALS[0], "difference": 0.0, "interval": [-0.1, 0.1], "p": 1.0}
    result = result_of(trained=True, trained_dev=0.7, rivals=[base, RIVALS[1]])
    said = "the base as it is (0.500) +0.000 [-0.100, +0.100], not significant (p = 1.00); "
    assert said in verdict(result).sentence


def test_the_headroom_is_that_of_the_items_that_all_experts_were_scored_on() -> None:
    """By hand: of the four items all experts know (the last two dropped y), the best of each has 3 of 4,
    x alone 1, the result 2.
    """
    rows = [
        row(0, 0, [1.0, 0.0], "100011"),
        row(1, 0, [0.0, 1.0], "0110"),
        row(2, 0, [0.5, 0.5], "111111"),  # no expert
        row(0, 1, [0.7, 0.5], "111111"),
    ]
    rows[1] = replace(rows[1], items={"t": pack([0.0, 1.0, 1.0, 0.0, math.nan, math.nan])})
    best = {"t": score_of([1.0, 0.0, 1.0, 0.0, 1.0, 1.0])}
    found = headroom(rows, 2, 0, best, arithmetic)
    assert found == Headroom(0.75, 0.25, 0.5, 0.5, 4, partial=True)
    whole = [rows[0], replace(rows[1], items={"t": "011000"})]
    found = headroom(whole, 2, 0, best, arithmetic)
    assert found is not None and not found.partial and found.n == 6
    assert found.share == pytest.approx((4 / 6 - 3 / 6) / (5 / 6 - 3 / 6))
    assert headroom(rows[:1], 2, 0, best, arithmetic) is None  # an expert was not scored
    assert headroom(rows[:1], 1, 0, best, arithmetic) is None
    alike = headroom([rows[0], replace(rows[0], particle=1)], 2, 0, best, arithmetic)
    assert alike is not None and alike.share is None
