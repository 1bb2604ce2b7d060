"""What is said of a front: the result beside the strongest single knob, the table and the picture."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.report.findings import verdict
from pyswarmopt_llm.report.front import front_rows, front_table, picture, strongest_knob, table
from pyswarmopt_llm.run.result import Model, Objective, Outcome, RunResult, Scores

OBJECTIVES = {
    "right": Objective("generate", "mine.py:right", (0.0, 1.0)),
    "tokens": Objective("generate", "tokens", lower=True, unit="tokens"),
}


def scored(right: int, tokens: float) -> Scores:
    """So many of 20 replies right, of about so many tokens."""
    hits = [1.0] * right + [0.0] * (20 - right)
    lengths = [-tokens - k % 2 * 2 + 1 for k in range(20)]
    tasks = {
        "right": Outcome(right / 20, hits),
        "tokens": Outcome(sum(lengths) / 20, lengths),
    }
    return Scores(right / 20, tasks, (0.0, 1.0))


def model(weight: float, right: int, tokens: float, dev: int | None = None) -> Model:
    return Model({"ant": weight, "bee": 0.1}, scored(dev or right, tokens), scored(right, tokens))


def knob(share: float, right: int, tokens: float) -> Model:
    return replace(model(share, right, tokens), weights={"ant": share, "bee": 0.0})


def result(best: Model, *others: Model) -> RunResult:
    """A run whose front has the result first; base and expert at three strengths are beside it."""
    knobs = {"0": knob(0, 2, 60), "0.5": knob(0.5, 8, 50), "1": knob(1, 13, 40)}
    models = {"best": best, "best_single": knobs["1"], "base": knobs["0"]}
    models |= {f"front/{k}": one for k, one in enumerate((best, *others), start=1)}
    models |= {f"knob/{share}": one for share, one in knobs.items()}
    return RunResult(
        models=models,
        objectives=OBJECTIVES,
        best_single="ant",
        evaluations=9,
        item_evaluations=180,
        seconds=1.0,
        seconds_scoring=1.0,
        peak_memory_bytes=1,
        stop={},
        combine="first",
        experts={"ant": knobs["1"], "bee": model(0, 3, 30)},
        front=[{"folder": f"front/{k + 1}"} for k in range(1 + len(others))],
        chosen=1,
        rule="the rule",
    )


@pytest.mark.parametrize(
    ("best", "kind", "sentence"),
    [
        (model(0.9, 13, 28), "better", "Yes: at the same right replies are 30% shorter than with"),
        (model(0.9, 20, 40), "better", "Yes: right is 0.350 higher than with the expert ant."),
        (model(0.9, 13, 50), "worse", "No: the expert ant is significantly better in tokens."),
        (
            model(0.9, 3, 20, 13),
            "level",
            "No: against the expert ant the point is better in tokens,",
        ),
        (model(0.9, 13, 40), "level", "No: in right, tokens it is not significantly better than"),
        (
            knob(0.5, 8, 50),
            "same",
            "the chosen point is a single knob, the expert ant at strength 0.5.",
        ),
    ],
)
def test_the_result_beside_the_strongest_single_knob(best: Model, kind: str, sentence: str) -> None:
    found = verdict(result(best))
    assert found.kind == kind
    assert sentence in found.sentence
    assert found.reasons[0] == "Point 1 of 1: the rule."


@pytest.mark.parametrize(
    ("dev", "name"), [(20, "expert ant"), (9, "expert ant"), (2, "expert ant at strength 0.5")]
)
def test_the_strongest_knob_has_the_results_first_score_or_the_best(dev: int, name: str) -> None:
    """Of those with the first score the one with the shortest replies."""
    whole = result(model(0.9, 13, 28, dev))
    brief = {"knob/0.5": knob(0.5, 8, 30)}
    assert strongest_knob(replace(whole, models=whole.models | brief))[0] == name


def test_of_knobs_that_are_level_in_one_score_the_next_one_decides() -> None:
    """Of four strengths with as much right in as many tokens, the one that drifts least."""
    whole = result(model(0.9, 5, 40, 5))
    objectives = {**OBJECTIVES, "drift": Objective("likelihood", lower=True, unit="nats")}

    def drifting(one: Model, drift: float) -> Model:
        tasks = {**one.dev.tasks, "drift": Outcome(-drift, [-drift] * 20)}
        tasks["tokens"] = whole.best.dev.tasks["tokens"]
        return replace(one, dev=replace(one.dev, tasks=tasks))

    drifts = {"best": 0.3, "best_single": 0.9, "knob/0": 0.0, "knob/0.5": 0.4, "knob/1": 0.9}
    models = {name: drifting(whole.models[name], drift) for name, drift in drifts.items()}
    found = strongest_knob(replace(whole, models=models, objectives=objectives))
    assert found[0] == "expert ant at strength 0.5"


def test_without_test_examples_nothing_is_known_and_without_a_knob_the_expert_counts() -> None:
    best = model(0.9, 14, 28)
    whole = result(best)
    untested = {name: replace(one, test=None) for name, one in whole.models.items()}
    assert verdict(replace(whole, models=untested)).kind == "untested"
    alone = {name: one for name, one in whole.models.items() if not name.startswith("knob/")}
    assert "shorter than with the expert ant." in verdict(replace(whole, models=alone)).sentence


def test_the_table_names_points_base_and_expert() -> None:
    whole = result(model(0.9, 14, 28), knob(0.5, 8, 50))
    names = ["1 (result)", "2, expert ant at strength 0.5", "base model", "expert ant"]
    assert [*front_rows(whole)] == names
    headings, rows = table(whole)
    tokens = "tokens (lower is better)"
    assert headings == ["point", "right, test", f"{tokens}, test", "right, dev", f"{tokens}, dev"]
    low, high = interval([27.0, 29.0] * 10)
    shown = f"28.0 [{low:.1f}, {high:.1f}]"
    assert rows[0] == ["1 (result)", "0.700 [0.481, 0.855]", shown, "0.700", "28.0"]


def test_better_is_up_and_to_the_right() -> None:
    view = picture(result(model(0.9, 14, 28), model(0.5, 10, 20)), "tokens", "right")
    first, second = view["point"]
    assert second["x"] > first["x"] and second["y"] > first["y"]  # y grows downwards
    base, half, expert = view["knob"]
    assert base["x"] < half["x"] < expert["x"] and base["y"] > half["y"] > expert["y"]
    assert [mark["text"] for mark in view["dev"]] == ["bee, on dev"]
    assert all(58 <= mark["x"] <= 464 and 16 <= mark["y"] <= 256 for mark in view["point"])
    places = [place for place, _ in view["across"]["ticks"]]
    assert places == sorted(places)
    assert all(58 <= place <= 464 for place in places)
    assert [text for _, text in view["across"]["ticks"]] == ["60", "50", "40", "30", "20"]


@pytest.mark.parametrize("width", [80, 160])
def test_a_narrow_table_has_intervals_on_lines_of_their_own(width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    console.print(front_table(result(model(0.9, 14, 28)), width))
    lines = console.export_text().splitlines()
    apart = ["0.700" in line for line in lines if "[0.481, 0.855]" in line]
    assert apart == [width == 160]


def test_a_length_has_one_decimal_and_no_zero_has_a_minus() -> None:
    found = verdict(result(model(0.9, 20, 40))).reasons[-1]
    assert found.startswith("tokens: 40.0 vs. 40.0, +0.0 [-")
