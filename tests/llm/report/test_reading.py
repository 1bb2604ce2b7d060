"""Leaders, fronts and analyses of a history, by brute force and by hand; what tables say of them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from result_helpers import RESULT, about_of, nested, result_of
from rich.console import Console
from search_helpers import Json, Shell

from pyswarmopt_llm.common.events import duration
from pyswarmopt_llm.report.findings import findings, score_rows
from pyswarmopt_llm.report.finished import write_report
from pyswarmopt_llm.report.front_picture import LEGEND, front_panel, front_picture
from pyswarmopt_llm.report.reading import Course, Headroom, emergence, headroom, searched
from pyswarmopt_llm.report.terminal import print_findings
from pyswarmopt_llm.searching.leaders import FRONT, Archive
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Result

RUNS = Path(__file__).parents[2] / "frozen" / "runs"


# Archive


def row(key: int, a: float, b: float, **more: Any) -> Row:
    items: dict[str, Any] = {"a": [a], "b": [b]}
    return Row(
        "search", 0, 0, str(key), [], value=(a + b) / 2, n=2, seconds=0.0, items=items, **more
    )


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=120))
def test_the_archive_against_all_that_was_seen(points: list[tuple[int, int]]) -> None:
    archive = Archive(["a", "b"])
    for key, (a, b) in enumerate(points):
        archive.add(torch.tensor([float(key)]), row(key, a / 10, b / 10))
    front = {
        (a, b)
        for a, b in points
        if not any(c >= a and d >= b and (c, d) != (a, b) for c, d in points)
    }
    assert {(round(10 * c.tasks["a"]), round(10 * c.tasks["b"])) for c in archive.front} == front
    assert len(archive.front) == len(front)
    first = archive.front[0]
    spread = archive.spread(without=first)
    assert len(spread) <= FRONT and all(not c.position.equal(first.position) for c in spread)


# Analyses


def journal() -> tuple[list[Row], Result]:
    def line(iteration: int, particle: int, items: str, mixture: list[float]) -> Row:
        value = items.count("1") / len(items)
        both: dict[str, Any] = {"t": items, "real": [0.5, 0.25]}
        return Row("search", iteration, particle, "", mixture, value, n=8, seconds=0.0, items=both)

    rows = [
        line(0, 0, "110000", [1.0, 0.0]),
        line(0, 1, "101000", [0.0, 1.0]),
        line(0, 2, "111110", [0.5, 0.5]),  # no expert: its items do not count as known
        line(1, 1, "100111", [0.3, 0.7]),
        replace(line(1, 0, "111111", [0.6, 0.4]), phase="trained"),
    ]
    return searched(rows), result_of(coefficients={"x": 0.3, "y": 0.7})


def test_emergence_by_hand() -> None:
    experts = {"x": "110000", "y": "101000"}
    result = result_of(items={"best_dev": "100110"}, experts=experts)
    case = emergence(result)["t"]
    # Known to an expert: items 1 to 3. The best is right on 1, 4, 5.
    assert (case.kept, case.lost, case.emerged, case.never) == (1, 2, 2, 1)
    graded = result_of(items={"best_dev": [0.5, *[1.0] * 5]}, experts=experts)
    assert emergence(graded) == {}  # items that are not right or wrong
    dropped = result_of(items={"best_dev": "100111"}, experts={"x": "110000", "y": "10????"})
    assert emergence(dropped) == {}  # what y knows is unknown
    assert dropped.dropped == {"y": 2}


def test_origin_by_hand() -> None:
    rows, result = journal()
    course = Course(rows, result)
    assert (course.best.particle, course.best.iteration) == (1, 1)
    assert (course.rank, len(course.starts)) == (2.5, 3)
    assert course.start == pytest.approx(2 / 6)
    assert course.weak_to_strong and not course.proposed
    unknown = result_of(coefficients={"x": 9.0, "y": 9.0})
    assert Course(rows[:3], unknown).best.particle == 2


def test_what_the_item_model_proposed_has_no_start() -> None:
    rows, _ = journal()
    proposed = replace(rows[-1], iteration=2, particle=3, coefficients=[0.2, 0.9], value=1.0)
    course = Course([*rows, proposed], result_of(coefficients={"x": 0.2, "y": 0.9}))
    assert course.proposed and not course.weak_to_strong
    assert (course.best.iteration, len(course.starts)) == (2, 3)


def test_the_average_of_a_search_names_its_space() -> None:
    result = result_of(uniform_dev=0.5, space="delta")
    assert "uniform average (space delta)" in score_rows(result)


def test_the_headroom_is_that_of_the_items_that_all_experts_were_scored_on() -> None:
    """By hand: of the four items all experts know (the last two dropped y), the best of each has 3 of 4,
    x alone 1, the result 2.
    """

    def found(x: str, y: str, best: str = "101011") -> Headroom | None:
        return headroom(result_of(items={"best_dev": best}, experts={"x": x, "y": y}))

    assert found("100011", "0110??") == Headroom(0.75, 0.25, 0.5, 4, partial=True)
    whole = found("100011", "011000")
    assert whole is not None and not whole.partial and whole.n == 6
    scores = (whole.oracle, whole.best_single, whole.best)
    assert scores == pytest.approx((5 / 6, 3 / 6, 4 / 6))
    assert found("1000??", "????11") is None  # no item that both were scored on
    assert headroom(result_of(items={"best_dev": "10"}, experts={"x": "10"})) is None
    alike = found("100011", "100011")
    assert alike is not None and alike.oracle == alike.best_single


# The closing table


def test_names_are_never_read_as_markup() -> None:
    hostile, out = "[red]x[/red]", io.StringIO()
    result = result_of(best_single=hostile, coefficients={hostile: 0.5, "y": 0.5}, uniform_dev=0.5)
    print_findings(Console(file=out, width=100), Path("runs/a"), findings(about_of(), result))
    assert out.getvalue().count(hostile) == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (3599.4, "59:59"), (3600, "1:00:00"), (90061, "25:01:01")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_best_expert_is_ahead_by_questions_and_by_what_the_search_maximises() -> None:
    """Five copies of eight questions tell what the eight tell; of two tasks the harmonic mean counts,
    by which an expert of one task alone has nothing.
    """
    leads = []
    for copies in (1, 5):
        objectives = {"t": {"questions": {"dev": [*range(8)] * copies}}} if copies > 1 else {}
        experts = {"x": "11111101" * copies, "y": "10010000" * copies}
        leads.append(result_of(experts=experts, objectives=objectives).ahead())
    once, often = leads
    assert once is not None and often is not None
    assert (often.interval, often.p_value) == (once.interval, once.p_value)
    content = nested(
        {**RESULT, "tasks": {key: {"scoring": "letter"} for key in "ab"}, "combine": "harmonic"}
    )
    content["experts"] = {
        name: {
            "weights": {"x": 1.0, "y": 0.0},
            "dev": {
                "value": value,
                "tasks": {
                    task: {
                        "value": share,
                        "items": "1" * round(20 * share) + "0" * round(20 - 20 * share),
                    }
                    for task, share in zip("ab", shares, strict=True)
                },
            },
        }
        for name, value, shares in (("x", 0.4, (0.4, 0.4)), ("y", 0.0, (1.0, 0.0)))
    }
    lead = Result.from_json(content).ahead()
    assert lead is not None and lead.difference == pytest.approx(0.4)


def test_the_front_is_drawn_and_listed_where_its_scores_are(tmp_path: Path) -> None:
    """Of a stored run: more of the first task is further right, more of the second higher."""
    run = shutil.copytree(RUNS / "several" / "finished", tmp_path / "run")
    picture = front_picture(Result.from_json(json.loads((run / "result.json").read_text())))
    dots = {title.partition(":")[0]: (x, y) for x, y, _, title in picture["dots"]}
    assert dots.keys() == {"result, dev", "result, test", "front/01, dev"}
    across, up = np.subtract(dots["result, dev"], dots["front/01, dev"])
    assert across > 0 and up > 0  # 0.625 and 0.375 against 0.125 and 0.5; down is more
    page = write_report(run).read_text()
    table = page.partition("The Pareto front")[2]
    assert "front/01" in table and page.count('class="dot hollow" cx') >= 2
    assert front_picture(journal()[1]) is None


def several() -> Json:
    """The result of a stored run of two tasks: it has 0.625 and 0.375 on dev, and another point 0.125
    and 0.5; on test it has 0.333 and 0.833.
    """
    found: Json = json.loads((RUNS / "several" / "finished" / "result.json").read_text())
    return found


def drawn(lines: list[str]) -> dict[str, tuple[int, int]]:
    """Signs of a picture of a front by column and line, counted from its lower left corner."""
    inside = [line[2:-2] for line in lines if line.startswith("│") and line.endswith("│")]
    return {
        line[at : at + 2]: (at // 2, up)
        for up, line in enumerate(reversed(inside))
        for at in range(0, len(line), 2)
        if line[at : at + 2].strip()
    }


def test_a_terminal_of_80_columns_draws_the_front_of_two_tasks(
    tmp_path: Path, shell: Shell, columns: Callable[[int], None]
) -> None:
    columns(80)
    shown = shell("resume", shutil.copytree(RUNS / "several" / "finished", tmp_path / "run"))
    title, *picture = shown[shown.index("╭") : shown.index(LEGEND)].splitlines()
    assert "more, 0.375 to 0.833" in title and "words, 0.125 to 0.625" in picture[-1]
    assert all(len(line) == len(title) <= 80 for line in picture)
    # 0.333 of 0.125 to 0.625 is 0.42 of 23 columns, 0.5 of 0.375 to 0.833 is 0.27 of 11 lines
    assert drawn(picture) == {"o*": (23, 0), "o1": (0, 3), "x*": (10, 11)}


def test_a_front_of_equal_scores_is_drawn_in_the_middle_and_one_of_three_tasks_not_at_all() -> None:
    result, out = several(), io.StringIO()
    best, (point,) = result["models"]["best"], result["front"]["points"]
    best["dev"]["tasks"]["more"]["value"] = 0.5
    best["test"]["tasks"]["more"]["value"] = 0.5 + 1e-15  # a rounding error
    Console(file=out, width=80).print(front_panel(Result.from_json(result)))
    assert {line for _, line in drawn(out.getvalue().splitlines()).values()} == {5}
    result["objectives"]["third"] = result["objectives"]["more"]
    for model in (*result["models"].values(), *result["experts"].values()):
        model["dev"]["tasks"]["third"] = model["dev"]["tasks"]["more"]
    point["dev"]["third"] = 0.5
    pages = front_picture(Result.from_json(several())), front_picture(Result.from_json(result))
    assert [len(page["dots"]) for page in pages] == [3, 3]  # by the first two
    assert front_panel(Result.from_json(result)) is None
