"""A grid of coefficients: each draw is the search it would be alone, the best on dev is handed
over, and is tested.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_helpers import MakeSearch, ends_as, history, lasting, stopped

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.searching.plan import draws_of

SETTINGS = ("inertia=0.1,0.9", "step=0.5,1.0", "repel=0", "cognitive=0.3", "social=0.4")
GRID: dict[str, Any] = {"settings": SETTINGS, "paper": True, "draws": None, "space": "factor"}


@pytest.fixture(scope="module")
def setting(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> SearchConfig:
    return make_search(tmp_path_factory.mktemp("grid"), 24, 8, **GRID)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """What the search of all four combinations tells."""
    return []


@pytest.fixture(scope="module")
def finished(setting: SearchConfig, events: list[Event]) -> Path:
    """All four combinations."""
    return search(setting, events.append).run


# The grid


def test_the_papers_grid_is_that_of_its_released_scripts(setting: SearchConfig) -> None:
    """Lists of search_nlgraph.sh: 3 x 5 x 5 x 3 x 6 combinations."""
    config = replace(setting, settings=(), paper=True, draws=200)
    every = draws_of(replace(config, draws=9999))
    assert len(every) == 1350
    assert len(set(draws_of(config))) == 200
    tried: dict[str, set[float]] = {}
    for name, _, text in (pair.partition("=") for settings in every for pair in settings):
        tried.setdefault(name, set()).add(float(text))
    assert tried == {
        "inertia": {0.1, 0.2, 0.3},
        "cognitive": {0.1, 0.2, 0.3, 0.4, 0.5},
        "social": {0.2, 0.3, 0.4, 0.5, 0.6},
        "repel": {0.01, 0.05, 0.1},
        "step": {0.5, 0.6, 0.7, 0.8, 0.9, 1.0},
    }
    for settings in draws_of(config):
        pairs = dict(one.split("=") for one in settings)
        assert pairs.keys() == tried.keys() and all(
            float(pairs[name]) in tried[name] for name in tried
        )


def test_draws_depend_on_the_seed_and_a_value_that_is_given_replaces_the_papers(
    setting: SearchConfig,
) -> None:
    def draws(seed: int, *settings: str) -> list[tuple[str, ...]]:
        return draws_of(replace(setting, settings=settings, seed=seed, paper=True, draws=10))

    assert draws(1) == draws(1) != draws(2) and len(draws(1)) == 10
    assert all(
        "repel=0" in settings and "restart-patience=3" not in settings
        for settings in draws(1, "repel=0")
    )
    assert all("restart_patience=3" in settings for settings in draws(1, "restart-patience=3"))


# The searches


def test_a_draw_finds_what_its_settings_find_alone_and_the_best_is_handed_over(
    setting: SearchConfig, finished: Path, tmp_path: Path
) -> None:
    grid = json.loads((finished / "grid.json").read_text())
    alone = []
    for number, draw in enumerate(grid["draws"]):
        one = {"settings": tuple(draw["settings"]), "draws": 1}
        alone.append(search(replace(setting, **one, out=str(tmp_path / f"draw-{number}"))).run)
        result = json.loads((alone[number] / "result.json").read_text())
        assert draw["best_dev"] == result["best_dev"]
    values = [draw["best_dev"] for draw in grid["draws"]]
    best = values.index(max(values))
    assert len(set(values)) > 1 and grid["chosen"] == best + 1
    assert history(finished) == history(alone[best])
    mine, same = (json.loads((run / "result.json").read_text()) for run in (finished, alone[best]))
    *_, note = mine.pop("notes")
    settings = grid["draws"][best]["settings"]
    assert " ".join(settings) in note
    assert lasting(mine) == {key: value for key, value in lasting(same).items() if key != "notes"}
    weights = "best/adapter_model.safetensors"
    assert (finished / weights).read_bytes() == (alone[best] / weights).read_bytes()
    assert json.loads((finished / "run.json").read_text())["config"]["settings"] == settings


def test_a_candidate_is_scored_once_and_the_totals_count_what_was_scored(
    finished: Path, events: list[Event]
) -> None:
    scored = [event.data for event in events if event.kind == "evaluation"]
    grid = json.loads((finished / "grid.json").read_text())
    assert grid["evaluations"] == len(scored)
    assert grid["item_evaluations"] == sum(data["n"] for data in scored)
    assert sum(data["iteration"] == 0 for data in scored) == 5
    stored = [json.loads(line) for line in (finished / "results.jsonl").read_text().splitlines()]
    tested = [row["who"] for row in stored if row["what"] == "model test"]
    assert tested == ["best", "best_single", "uniform", "base"]


# Interruptions


@pytest.mark.parametrize(
    ("kind", "n"),
    [("note", 1), ("evaluation", 30), ("closing", 1)],
)
def test_an_interrupted_grid_ends_as_one_that_was_not(
    kind: str, n: int, setting: SearchConfig, finished: Path, tmp_path: Path
) -> None:
    run = stopped(replace(setting, out=str(tmp_path / "run")), n, kind)
    resume(run)
    ends_as(run, finished)
    assert (run / "grid.json").read_text() == (finished / "grid.json").read_text()
