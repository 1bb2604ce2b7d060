"""What report, table and verdict say holds for the run that they are of, the default without
iterations included.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from result_helpers import about_of, pair, result_of
from test_reporting_pages import Elements, row

from pyswarmopt_llm.report.figures import curve
from pyswarmopt_llm.report.findings import costs, score_rows
from pyswarmopt_llm.report.reading import Headroom, headroom
from pyswarmopt_llm.report.report import render_report
from pyswarmopt_llm.report.summary import mixture_name
from pyswarmopt_llm.report.verdict import verdict
from pyswarmopt_llm.searching.scoring.record import Row
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
        coefficients=dict(zip("xy", weights, strict=True)),
        trained=True,
        trained_dev=0.7,
        mixture_dev=0.6,
    )
    assert mixture_name(result) == name
    assert [*score_rows(result)][-1] == f"{name}, trained"
    assert [*score_rows(result)][-2] == f"{name}, before training"


def test_what_has_weights_by_layer_or_is_a_graph_is_no_sum() -> None:
    assert mixture_name(result_of(coefficients={"x": 1.0, "y": 1.0}, graph="x -> y")) == "graph"


def test_the_two_averages_name_their_spaces() -> None:
    result = result_of(uniform_dev=0.5, space="delta")
    assert "uniform average (space delta)" in score_rows(result)
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


RIVALS: dict[str, Any] = {
    **{"base_dev": 0.5, "base_test": 0.5, "base_tuned_dev": 0.6, "base_tuned_test": 0.776},
    **{"trained": True, "trained_dev": 0.7, "mixture_dev": 0.6},
}
BETTER = pair(0.306, 0.1, 0.001)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (pair(0.03, 0.05, 0.3), "+0.030 [-0.020, +0.080], not significant (p = 0.30)."),
        (pair(0.1, 0.08, 0.01), "+0.100 [+0.020, +0.180], p = 0.010."),
        (pair(-0.1, 0.08, 0.01), "-0.100 [-0.180, -0.020], p = 0.010."),
    ],
)
def test_the_verdict_names_its_rival(found: dict[str, Any], words: str) -> None:
    leads = {("base", "test"): BETTER, ("base_tuned", "test"): found}
    sentence = verdict(result_of(**RIVALS, leads=leads)).sentence
    tuned = "Result minus rival: the base, fine-tuned alone on the same items (0.776)"
    assert f"{tuned} {words}" in sentence
    # The base as it is is worse than what was trained: its row tells that.
    assert "the base as it is" not in sentence


def test_the_base_is_named_where_it_is_no_worse() -> None:
    leads = {("base", "test"): pair(0.0, 0.1, 1.0), ("base_tuned", "test"): BETTER}
    said = "the base as it is (0.500) +0.000 [-0.100, +0.100], not significant (p = 1.00); "
    assert said in verdict(result_of(**RIVALS, leads=leads)).sentence


def test_a_rival_that_is_the_result_itself_is_called_so_and_stands_in_the_table_once() -> None:
    result = result_of(**RIVALS, coefficients={"x": 0.0, "y": 0.0})
    assert "This is the base, fine-tuned." in verdict(result).sentence
    assert [*score_rows(result)].count("base, fine-tuned on dev") == 0
    assert "base, fine-tuned on dev" in score_rows(result_of(**RIVALS))


def test_what_was_trained_and_is_not_the_result_has_its_row_before_it() -> None:
    rows = score_rows(result_of(**{**RIVALS, "trained": False}))
    assert [*rows][-2:] == ["mixture, trained", "mixture"]
    assert rows["mixture, trained"].trained and not rows["mixture"].trained


def test_the_headroom_is_that_of_the_items_that_all_experts_were_scored_on() -> None:
    """By hand: of the four items all experts know (the last two dropped y), the best of each has 3 of 4,
    x alone 1, the result 2.
    """

    def found(x: str, y: str, best: str = "101011") -> Headroom | None:
        return headroom(result_of(items={"best_dev": best}, experts={"x": x, "y": y}))

    assert found("100011", "0110??") == Headroom(0.75, 0.25, 0.5, 0.5, 4, partial=True)
    whole = found("100011", "011000")
    assert whole is not None and not whole.partial and whole.n == 6
    assert whole.share == pytest.approx((4 / 6 - 3 / 6) / (5 / 6 - 3 / 6))
    assert found("1000??", "????11") is None  # no item that both were scored on
    assert headroom(result_of(items={"best_dev": "10"}, experts={"x": "10"})) is None
    alike = found("100011", "100011")
    assert alike is not None and alike.share is None
