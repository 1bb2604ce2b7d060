"""The verdict on invented tasks, and what is said of results."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from result_helpers import RESULT, about_of, nested, result_of
from rich.console import Console
from search_helpers import parse

from pyswarmopt_llm.common.paired import compare_paired
from pyswarmopt_llm.report.findings import findings, print_findings, score_rows, strongest, verdict
from pyswarmopt_llm.run.record import Packed, pack
from pyswarmopt_llm.run.result import RunResult
from pyswarmopt_llm.scores.tasks.types import TaskForm

N = 100  # items of a split
MODELS = ("best", "best_single", "base", "base_tuned", "expert_tuned")


@dataclass(frozen=True)
class Invented:
    """A task: model -> items that are right on test and dev, of `N`, the last where the number is
    negative; weights of the result, and whether it was trained.
    """

    test: dict[str, int]
    dev: dict[str, int]
    weights: tuple[float, float] = (0.6, 0.4)
    trained: bool = True


def models(best: int, best_single: int, base: int, base_tuned: int, expert_tuned: int) -> Any:
    return dict(zip(MODELS, (best, best_single, base, base_tuned, expert_tuned), strict=True))


EVEN = models(60, 50, 30, 55, 58)
TASKS = {
    "ahead of all": Invented(models(90, 50, 30, 60, 62), EVEN),
    "behind all": Invented(models(40, 60, 30, 70, 75), EVEN),
    "all alike": Invented(models(50, 50, 50, 50, 50), EVEN),
    "ahead by chance": Invented(models(56, 50, -50, -53, -52), EVEN),
    "ahead on test": Invented(models(50, 40, 30, 66, 45), models(70, 50, 30, 20, 45)),
    "ahead on dev": Invented(models(40, 45, 30, 52, 41), models(90, 40, 30, 40, 40)),
    "nothing trained": Invented(models(52, 60, 30, 50, 49), EVEN, trained=False),
    "the best expert, fine-tuned": Invented(models(64, 50, 30, 71, 64), EVEN, (1.0, 0.0)),
}


def scores(counts: Mapping[str, int]) -> dict[str, list[float]]:
    """Model -> the scores of its items."""
    found = {}
    for model, count in counts.items():
        row = [1.0] * abs(count) + [0.0] * (N - abs(count))
        found[model] = row if count > 0 else row[::-1]
    return found


def result(task: Invented) -> RunResult:
    items: dict[str, Packed] = {}
    values = {}
    for split, counts in (("dev", task.dev), ("test", task.test)):
        for model, row in scores(counts).items():
            items[f"{model}_{split}"] = pack(row)
            values[f"{model}_{split}"] = sum(row) / N
    weights = dict(zip("xy", task.weights, strict=True))
    more = {"items": items, "coefficients": weights, "trained": task.trained}
    return RunResult.from_json(nested({**RESULT, **values, **more}))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_verdict_is_about_the_strongest_control(
    task: Invented,
) -> None:
    found = result(task)
    control, _ = strongest(found)
    own = {"best"} | ({"expert_tuned"} if task.weights == (1.0, 0.0) else set())
    assert abs(task.test[control]) == max(abs(task.test[name]) for name in {*MODELS} - own)
    rows = scores(task.test)
    alone = compare_paired(rows["best"], rows[control])
    said = verdict(found)
    if said.kind == "better":
        assert alone.p_value < 0.05 and alone.difference > 0
    elif said.kind == "worse":
        assert alone.p_value < 0.05 and alone.difference < 0
    else:
        assert said.kind == "level"
    numbers = [f"{abs(task.test[name]) / N:.3f}" for name in ("best", control)]
    assert numbers[0] in said.sentence
    assert (numbers[1] in said.sentence) or said.kind == "better"
    assert f"{numbers[0]} vs. {numbers[1]}" in said.reasons[0]


def test_a_difference_that_was_not_found_says_how_many_examples_it_needs() -> None:
    """Two won and one lost of 100: at 5% and 80% McNemar's test needs 2,353 (Connor 1987)."""
    found = result(TASKS["all alike"])
    known = found.models["best_single"].test
    assert known and found.best.test
    right = [1.0] * 50 + [0.0] * 50
    changed = [0.0, *right[1:50], 1.0, 1.0, *right[52:]]
    for name, model in found.models.items():
        row = changed if name == "best" else right
        scores = replace(
            known, value=sum(row) / N, tasks={"t": replace(known.tasks["t"], items=pack(row))}
        )
        found.models[name] = replace(model, test=scores)
    said = verdict(found)
    assert said.kind == "level" and len(said.reasons) == 2
    assert said.reasons[1] == (
        "A difference of this size would need about 2,400 test examples (80% power)."
    )
    assert len(verdict(result(TASKS["ahead of all"])).reasons) == 1
    assert len(verdict(result(TASKS["all alike"])).reasons) == 1


def test_of_equal_controls_the_simplest_is_named() -> None:
    found = result(TASKS["all alike"])
    found.models["commonest"] = found.models["base"]
    assert strongest(found)[0] == "commonest"
    assert verdict(found).sentence.endswith("better than the majority class (0.500).")


def test_a_model_with_two_names_has_one_row() -> None:
    found = result(Invented(models(90, 50, 30, 60, 62), EVEN, (0.0, 0.0)))
    before = score_rows(found)
    found.models["mixture"] = found.models["base"]
    assert score_rows(found) == before


GAMED = result_of(alarms=["t: the replies repeat one thing"])
LONG = "an-adapter-with-quite-a-long-name-" * 3
SAID = {
    **{name: result(task) for name, task in TASKS.items()},
    "gamed": GAMED,
    "no test": result_of(best_test=None),
    "no items": result_of(),
    "an expert": result_of(coefficients={"x": 1.0, "y": 0.0}),
    "the base": result_of(coefficients={"x": 0.0, "y": 0.0}),
    "long names": result_of(best_single=LONG, coefficients={LONG: 1.0, "y": 0.0}),
}


@pytest.mark.parametrize("name", SAID)
def test_a_verdict_is_a_short_sentence_with_one_score_or_both(name: str) -> None:
    said = verdict(SAID[name])
    assert len(said.sentence.split()) <= 20 and said.sentence.endswith(".")
    both = said.kind in ("level", "worse")
    assert len(re.findall(r"\d\.\d{3}", said.sentence)) == 1 + both
    assert said.sentence.startswith(("Yes: ", "No: ", "Not known: "))


def test_an_alarm_is_the_verdict_and_nothing_is_published() -> None:
    found = findings(about_of(), GAMED)
    assert found.verdict.kind == "gamed" and found.verdict.reasons == tuple(GAMED.alarms)
    assert not any("upload" in command for _, command in found.steps.items())


def test_the_table_is_sorted_by_test_and_has_each_model_once() -> None:
    rows = score_rows(result(TASKS["behind all"]))
    values = [model.test.value for model in rows.values() if model.test]
    assert values == sorted(values, reverse=True)
    assert sum(label.endswith("(result)") for label in rows) == 1
    assert len(score_rows(result(TASKS["the best expert, fine-tuned"]))) == 4


def test_what_had_learnt_examples_is_named_if_it_is_in_the_result() -> None:
    scores = {"trained_dev": 0.8, "trained": True, "learnt": {"x": 3, "y": 4}}
    found = findings(about_of(), result_of(**scores, coefficients={"x": 1.25, "y": 0.0}))
    assert "Its dev score is not held out: x had been trained on some dev examples." in found.notes


@pytest.mark.parametrize("name", SAID)
def test_a_terminal_shows_a_screen_and_commands_that_parse(name: str) -> None:
    out = io.StringIO()
    about = about_of({"forms": {"t": TaskForm("q", {"A": "a", "B": "b"}, None)}}, out="runs/a b")
    found = findings(about, SAID[name])
    print_findings(Console(file=out, width=100), Path("runs/a b"), found)
    lines = out.getvalue().splitlines()
    assert len(lines) <= 22 and lines[0] == found.verdict.sentence
    known = [*found.steps.values(), found.command]
    for line in known:
        if not line.startswith("hf upload "):
            parse(line)
