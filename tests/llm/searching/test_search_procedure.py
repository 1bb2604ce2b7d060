"""What a search chooses by itself, and what it leaves as it is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from search_helpers import DEFAULT, ONE_SWARM, MakeSearch, history, swarm_llm

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common import extras
from pyswarmopt_llm.common.config import SearchConfig, given_settings
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.report.progress import decided as words_of_start
from pyswarmopt_llm.scores.metrics.metric import ACCURACY, Metric, ReplyMetric
from pyswarmopt_llm.searching.decide import _why_mean, make_plan, stored_plan
from pyswarmopt_llm.searching.dry_run import dry_run_search
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.regime import regime


@pytest.fixture
def config(words_search: MakeSearch) -> SearchConfig:
    return words_search(40, 6, **DEFAULT, max_iter=1)


# what is given, beside one iteration of five particles, and what the plan makes of it; null: not given
PLANS = Path(__file__).with_name("plans.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", PLANS)
def test_what_a_search_is_decided_to_be(config: SearchConfig, line: str) -> None:
    """Of the default, then what is given wins, then budgets, the published procedures, what equals a
    default, and grids. The authors' four shell scripts draw the coefficients and set the restart
    patience; the rest of the reference is search.py's default.
    """
    case = json.loads(line, object_hook=tuples)
    plan = make_plan(replace(config, **case["given"]))
    found = plan.config
    assert {name: getattr(found, name) for name in case["decided"]} == case["decided"]
    # What is decided stays, as resuming takes it.
    assert stored_plan(found, plan.given).config == found
    names = "method space particles train proposals start".split()
    assert {*names} <= given_settings(found).keys()
    swarm = {"optimizer", "max_iter", "patience"}
    assert swarm & given_settings(found).keys() == (swarm if found.method == "swarm" else set())


def test_few_examples_are_told_with_what_to_do(config: SearchConfig) -> None:
    """Six test examples, and one dev example fewer than training needs."""
    default = replace(config, max_iter=None, particles=None)
    why = make_plan(replace(default, dev=23)).why
    assert why["train"].startswith("nothing is trained with only 23 dev examples (at least 24 are")
    assert "split column" in why["train"]
    assert why["test"].startswith("6 test examples can only show large differences")
    assert not {"train", "test"} & make_plan(replace(default, test=0)).why.keys()


def test_what_to_expect_depends_on_labels_scores_and_file(config: SearchConfig) -> None:
    """By what a user has: 99 labels are few and 100 many, replies have scores, a front and a file of
    few bits have notes of their own.
    """
    default = replace(config, max_iter=None, particles=None)
    plan = make_plan(default)

    def told(items: int = 40, **given: Any) -> list[str]:
        asked = make_plan(replace(default, **given))
        asked.__dict__["items"] = items
        return [note.partition(":")[0] for note in regime(asked)]

    assert "often gain" in next(regime(plan))
    plan.__dict__["items"] = 23
    assert "label 24 or more" in next(regime(plan))
    assert told(99) == ["99 labels"] and told(100) == ["100 labels"]
    plan.__dict__["items"] = 100
    assert "usually as good" in next(regime(plan))
    assert told(metrics=("tokens",), scoring="generate") == ["scored replies"]
    assert told(metrics=("accuracy", "tokens"), scoring="auto", front=True) == ["several scores"]
    assert told(1, quantize="q4_1") == ["1 label", "a file of few bits"]


def test_the_cluster_is_looked_for_before_anything_is_loaded(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    for start in (prepare, dry_run_search):
        with pytest.raises(UserError, match='needs ray: install the extra "ray"'):
            start(replace(config, workers="ray", experts=("gone", "gone")))


def test_why_the_mean_of_scores_is_taken() -> None:
    """By the metrics: abstentions score -1, a function's range is unknown."""
    own = ReplyMetric("mine.py:score", signed=True)
    below = Metric("abstain", signed=True, scale=(-1.0, 1.0))
    said = "the mean of the scores is maximised, because those of {}"
    assert _why_mean([ACCURACY, own]) == said.format("mine.py:score have no known range")
    assert _why_mean([own, below]) == said.format("abstain may be negative")


def test_what_remains_of_the_paper_with_another_recipe_is_told(config: SearchConfig) -> None:
    default = replace(config, max_iter=None, particles=None, paper=True)
    other = make_plan(replace(default, optimizer="constriction"))
    assert other.why["optimizer"].startswith("constriction replaces Algorithm 1")
    assert "no grid" in other.why["optimizer"] and not other.config.is_grid
    kept = make_plan(default).config
    for name in ("space", "population", "start", "max_iter", "patience"):
        assert getattr(other.config, name) == getattr(kept, name)
    assert "optimizer" not in make_plan(default).why
    start = {"settings": vars(other.config), "training": "", "particles": 20}
    assert "procedure with constriction instead of Algorithm 1: space delta" in words_of_start(
        start
    )


def tuples(found: dict[str, Any]) -> dict[str, Any]:
    """Lists are tuples in a configuration."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}


def test_published_procedures_have_their_grid_unless_one_set_of_coefficients_is_given(
    config: SearchConfig,
) -> None:
    def planned(**given: Any) -> SearchConfig:
        return make_plan(replace(config, **given)).config

    paper = planned(paper=True)
    reference = planned(reference=True)
    assert (paper.draws, paper.settings) == (10, ())
    assert (reference.draws, reference.settings) == (10, ("restart_patience=7",))
    # without a grid the record has the defaults of the recipe
    plain = ("inertia=0.2", "cognitive=0.3", "social=0.4", "repel=0.05", "step=0.8")
    assert planned(paper=True, draws=1) == replace(paper, draws=1, settings=plain)
    changed = planned(paper=True, draws=1, settings=("repel=0",))
    assert changed.settings == (*plain[:3], plain[4], "repel=0")
    assert not planned(paper=True, optimizer="constriction").is_grid
    two = make_plan(replace(config, paper=True, draws=2))
    assert two.evaluations == two.config.population * (1 + 2)
    refused: Sequence[dict[str, Any]] = (
        {"reference": True},
        {"quick": True},
        {"budget_minutes": 3.0},
        {"paper": False, "draws": 2},
        {"paper": False, "settings": ("inertia=0.1,0.2",)},
    )
    for more in refused:
        with pytest.raises(UserError):
            planned(**{"paper": True, **more})


def test_iterations_on_tasks_of_the_harness_have_an_end(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def task(name: str, *sizes: int | None) -> SimpleNamespace:
        return SimpleNamespace(name=name)

    monkeypatch.setattr("pyswarmopt_llm.published.lm_eval.LmEvalTask", task)
    given: dict[str, Any] = {"tasks": ("lm-eval:arc",), "scoring": "auto", "patience": 9}
    plan = make_plan(replace(config, **given, max_iter=None, particles=None))
    assert plan.evaluations == 40


def test_of_more_experts_than_a_model_takes_the_best_are_mixed(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cliff: one expert more plans one evaluation more."""
    free = replace(config, max_iter=None, particles=None, train="off")
    plans = [make_plan(replace(free, experts=("x",) * count)) for count in (64, 65, 200)]
    assert [plan.evaluations for plan in plans] == [73, 74, 209]
    assert {plan.config.method for plan in plans} == {"items"}
    monkeypatch.setattr("pyswarmopt_llm.searching.surrogate.MOST_COEFFICIENTS", 2)
    assert "only the best 2 of 3 experts are mixed" in search(free).result["notes"]
    rows = history(Path(config.out))
    values = [row["value"] for row in rows[:3]]
    worst = max(range(3), key=lambda number: (-values[number], number))
    proposed = [row["coefficients"] for row in rows if row["iteration"] == 1]
    assert len(proposed) == 6 and not any(weights[worst] for weights in proposed)


def test_a_search_without_iterations_scores_experts_sums_and_proposals(
    config: SearchConfig,
) -> None:
    free = replace(config, max_iter=None, particles=None, train="off")
    result = search(free).result
    rows = history(Path(config.out))
    starts = [row["coefficients"] for row in rows if row["iteration"] == 0]
    assert starts == [*np.eye(3).tolist(), [0.0] * 3, pytest.approx([1 / 3] * 3), [1.0] * 3]
    assert result["stop"] == {"proposals": 6}
    proposed = [row for row in rows if row["iteration"] == 1]
    assert 1 <= len(proposed) <= 6 and all(row["n"] == 40 for row in proposed)
    assert result["evaluations"] == len(rows)


def decided(events: Sequence[Event]) -> str:
    """What a terminal says of the settings."""
    (start,) = (event.data for event in events if event.kind == "start")
    return words_of_start(start)


def test_resuming_takes_what_is_stored_not_what_the_procedure_would_choose(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another version had chosen otherwise."""
    monkeypatch.setattr("pyswarmopt_llm.searching.stages._settings", lambda job: "")
    search(replace(config, **ONE_SWARM, train="off"))
    run = Path(config.out)
    rows, about = history(run), json.loads((run / "run.json").read_text())
    about["config"]["paper"] = False
    (run / "run.json").write_text(json.dumps(about))
    (run / "result.json").unlink()
    events: list[Event] = []
    assert resume(run, events.append).result["evaluations"] == len(rows) and history(run) == rows
    assert decided(events).startswith("this search: ")


def test_the_paper_from_the_command_line_is_its_procedure(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quick try of it: two draws from its grid, a handful of particles, one iteration."""
    words = ["search", "--base", config.base, "--experts", *config.experts, "--task", *config.tasks]
    words += ["--out", config.out, "--scoring", "likelihood", "--threads", 1, "--test", 0]
    quick = ["--paper", "--particles", 4, "--max-iter", 1, "--set", "draws=2"]
    code, _, error = swarm_llm(capsys, *words, *quick)
    assert code == 0, error
    first = next(text for text in error.splitlines() if "procedure" in text)
    assert "delta, 4 particles, at most" in first
    run = Path(config.out)
    assert len(json.loads((run / "grid.json").read_text())["draws"]) == 2
    about = json.loads((run / "run.json").read_text())
    assert about["given"] == {"paper": True, "particles": 4, "max_iter": 1, "draws": 2}
    expected = {"paper": True, "space": "delta", "train": "off", "draws": 1}
    assert about["config"].items() >= expected.items()
    assert "paper --particles 4 --max-iter" in (run / "best" / "README.md").read_text()


@pytest.mark.parametrize(
    "more",
    [
        {"particles": 2, "max_iter": 0},
        {"particles": 1, "max_iter": 1, "paper": True, "draws": 1},
        {"particles": 4, "max_iter": 0, "start": "even", **ONE_SWARM, "space": "delta"},
    ],
)
def test_no_more_is_scored_than_was_said(words_search: MakeSearch, more: dict[str, Any]) -> None:
    events: list[Event] = []
    config = words_search(12, 4, **{**DEFAULT, **more})
    search(config, events.append)
    (start,) = (event.data for event in events if event.kind == "start")
    done = [event.data["evaluations"] for event in events if event.kind == "evaluation"]
    assert 0 < max(done) <= start["evaluations_planned"]
    scored = [event.data for event in events if event.kind == "evaluation"]
    first = {data["particle"] for data in scored if not data["iteration"]}
    assert len(first) == start["particles"]


def test_quick_fine_tunes_the_best_of_base_and_experts_and_no_more(config: SearchConfig) -> None:
    events: list[Event] = []
    quick = replace(config, max_iter=None, particles=None, quick=True, train="on", dev=8)
    result: Any = search(quick, events.append)
    run = result.run
    (start,) = [folder.name for folder in (run / "trained").iterdir() if folder.is_dir()]
    rows = [row for row in history(run) if row["phase"] == "search"]
    scored = [row["coefficients"] for row in rows]
    assert scored == [*np.eye(3).tolist(), [0.0] * 3]  # no mixture
    best = max((row for row in rows if row["n"]), key=lambda row: row["value"])["coefficients"]
    assert start == ("base" if not any(best) else "expert")
    assert "rivals" not in result.result and not (run / "rivals.jsonl").exists()


def test_a_plans_passes_are_not_exceeded(config: SearchConfig) -> None:
    whole = replace(config, max_iter=None, particles=None, train="on", dev=8)
    result: Any = search(whole).result
    assert result["passes"] <= sum(make_plan(whole).passes.values())
