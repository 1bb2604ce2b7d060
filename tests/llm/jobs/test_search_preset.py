"""What a search chooses by itself, and what it leaves as it is given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_helpers import history, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.jobs.search.preset import with_policy, with_space
from pyswarmopt_llm.metrics.objectives import load_objectives


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> SearchConfig:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "words.json", questions(40, 1), questions(6, 2))
    return small(tiny_base, experts, [task], tmp_path / "run", preset="auto", max_iter=1)


def chosen(config: SearchConfig) -> tuple[Any, ...]:
    config = with_space(config)
    config = with_policy(config, load_objectives(config))
    return config.space, config.screen, config.train, config.start, config.compat


def test_auto_mixes_weight_changes_screens_and_trains(config: SearchConfig) -> None:
    assert chosen(config) == ("delta", 0.05, "on", "auto", "none")


def test_paper_and_reference_are_the_published_algorithm_and_the_authors_code(config: SearchConfig) -> None:
    assert chosen(replace(config, preset="paper")) == ("factor", None, "off", "segments", "paper")
    reference = ("factor", None, "off", "segments", "reference")
    assert chosen(replace(config, preset="reference")) == chosen(replace(config, compat="reference")) == reference
    assert chosen(replace(config, preset="none")) == ("factor", None, "off", "auto", "paper")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"space": "factor"}, ("factor", 0.05, "off")),
        ({"train": "off", "screen": 0.1}, ("delta", 0.1, "off")),
        ({"dev": 39}, ("delta", 0.05, "off")),
        ({"workers": "2"}, ("delta", 0.05, "off")),
        ({"one_by_one": True}, ("delta", None, "on")),
        ({"granularity": "block"}, ("delta", None, "on")),
        ({"scoring": "generate"}, ("delta", None, "off")),
        ({"metrics": ("f1",)}, ("delta", None, "off")),
        ({"exact_flat": True}, ("factor", None, "off")),
        ({"base": ""}, ("token", None, "off")),
    ],
)
def test_what_is_given_wins_and_the_rest_goes_with_it(
    config: SearchConfig, given: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert chosen(replace(config, **given))[:3] == expected


def rounds(config: SearchConfig) -> tuple[int | None, int]:
    config = with_space(config)
    config = with_policy(config, load_objectives(config))
    return config.max_iter, config.particles


def test_without_a_setting_of_iterations_there_are_none(config: SearchConfig) -> None:
    """Three experts, the base, their average and their sum."""
    free = replace(config, max_iter=None, particles=SearchConfig.particles)
    assert rounds(free) == rounds(replace(free, train="off")) == (0, 6)
    assert rounds(replace(free, budget_items=900, budget_minutes=3.0))[0] == 0
    assert rounds(replace(free, particles=9)) == (0, 9)
    for given in ({"patience": 3}, {"settings": ("inertia=0.1",)}, {"optimizer": "pycma"}):
        assert rounds(replace(free, **given))[0] == 50  # type: ignore[arg-type]
    assert rounds(replace(free, max_iter=3))[0] == 3 and rounds(replace(free, max_iter=50))[0] == 50
    assert rounds(replace(free, preset="paper")) == (50, 20)
    assert rounds(replace(free, metrics=("f1",))) == (50, 20)  # nothing to model


def test_iterations_that_nothing_ends_have_a_budget(config: SearchConfig) -> None:
    """40 candidates of 40 items."""

    def budget(**given: Any) -> int | None:
        found = with_space(replace(config, **{"max_iter": None, "patience": 3, **given}))
        return with_policy(found, load_objectives(found)).budget_items

    assert budget() == 40 * 40 and budget(particles=50) == 50 * 40
    assert budget(budget_items=900) == 900 and budget(budget_minutes=2.0) is None
    assert budget(max_iter=9) is None and budget(preset="paper") is None and budget(patience=10) is None


def test_a_search_without_iterations_scores_experts_sums_and_proposals(config: SearchConfig) -> None:
    free = replace(config, max_iter=None, particles=SearchConfig.particles, train="off")
    result = search(free).result
    rows = history(Path(config.out))
    starts = [row["coefficients"] for row in rows if row["iteration"] == 0]
    assert starts == [*np.eye(3).tolist(), [0.0] * 3, pytest.approx([1 / 3] * 3), [1.0] * 3]
    assert result["stop"] == {"proposals": 6}
    proposed = [row for row in rows if row["iteration"] == 1]
    assert 1 <= len(proposed) <= 6 and all(row["n"] == 40 and "bounds" not in row for row in proposed)
    assert result["evaluations"] == len(rows)


def test_a_run_says_and_stores_what_was_chosen(config: SearchConfig) -> None:
    events: list[Any] = []
    search(config, events.append)
    words = "preset auto: space delta, items screened at 0.05, then training on the 40 dev items"
    assert words in [event.data.get("text") for event in events if event.kind == "note"]
    stored = json.loads((Path(config.out) / "run.json").read_text())["config"]
    assert (stored["preset"], stored["space"], stored["screen"], stored["train"]) == ("auto", "delta", 0.05, "on")
    assert (stored["start"], stored["compat"]) == ("sums", "none")


@pytest.mark.parametrize(
    ("given", "compat"),
    [
        ({"preset": "paper"}, "paper"),
        ({"preset": "none", "settings": ("inertia=0.1",), "particles": 9}, "paper"),
        ({"preset": "paper", "exact_flat": True}, "paper"),
        ({"preset": "none", "compat": "none"}, "paper"),
        ({"preset": "reference"}, "reference"),
        ({"preset": "paper", "space": "delta"}, "none"),
        ({"preset": "paper", "start": "sums"}, "none"),
        ({"preset": "paper", "screen": 0.05}, "none"),
        ({"preset": "paper", "confirm": 5}, "none"),
        ({"preset": "paper", "granularity": "block"}, "none"),
        ({"preset": "paper", "one_by_one": True}, "none"),
        ({"preset": "paper", "optimizer": "pycma"}, "none"),
    ],
)
def test_a_run_is_said_to_be_the_papers_only_if_all_of_it_is(
    config: SearchConfig, given: dict[str, Any], compat: str
) -> None:
    assert chosen(replace(config, **given))[-1] == compat


def test_the_card_says_what_ran(config: SearchConfig) -> None:
    said = {}
    for preset in ("auto", "paper", "reference"):
        out = f"{config.out}-{preset}"
        search(replace(config, preset=preset, out=out))
        said[preset] = " ".join((Path(out) / "best" / "README.md").read_text().split())
        assert "compat" not in json.loads((Path(out) / "result.json").read_text())
    screened = "items screened at 0.05 by a model that proposes candidates"
    departures = f"space delta, starts: sums, {screened}, training on the dev items"
    assert f"Model Swarms, not as published ({departures})" in said["auto"]
    assert "Model Swarms as published (5 particles, at most 1 iteration)" in said["paper"]
    assert "Model Swarms as in the authors' code (5 particles, at most 1 iteration)" in said["reference"]


def test_resuming_takes_what_is_stored_not_what_the_preset_would_choose(config: SearchConfig) -> None:
    """As if another version had chosen otherwise, and as in runs from before there were presets."""
    search(replace(config, preset="none", train="off"))
    run = Path(config.out)
    rows, about = history(run), json.loads((run / "run.json").read_text())
    for change in ({"preset": "auto"}, {"preset": None, "train": None}):
        kept = {key: value for key, value in {**about["config"], **change}.items() if value is not None}
        screen = {"screen": None} if "screen" in about["config"] else {}
        (run / "run.json").write_text(json.dumps({**about, "config": {**kept, **screen}}))
        (run / "result.json").unlink()
        assert resume(run).result["evaluations"] == len(rows) and history(run) == rows


def test_the_command_line_has_the_preset_and_refuses_another(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", "--base", config.base, "--experts", *config.experts, "--task", config.tasks[0]]
    code, _, error = swarm_llm(capsys, *words, "--out", config.out, "--preset", "best")
    assert code == 2 and "--preset best: unknown; use auto, paper, reference or none" in error
