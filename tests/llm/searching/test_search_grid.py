"""A grid of coefficients: each draw is the search it would be alone, the best on dev is handed
over, and is tested.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_helpers import (
    files,
    history,
    lasting,
    louder,
    questions,
    search_words,
    small,
    swarm_llm,
    write_task,
)

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.searching.grid.draws import grid_search, make_grid, resume_grid
from pyswarmopt_llm.searching.grid.file import read_grid
from pyswarmopt_llm.searching.loop import search

SETTINGS = ("inertia=0.1,0.9", "step=0.5,1.0", "repel=0")


@pytest.fixture(scope="module")
def setting(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> SearchConfig:
    folder = tmp_path_factory.mktemp("grid")
    experts = louder(tiny_experts, folder / "experts")
    task = write_task(folder / "words.json", questions(24, 1), questions(20, 2))
    return small(tiny_base, experts, [task], folder / "grid", settings=SETTINGS)


@pytest.fixture(scope="module")
def finished(setting: SearchConfig) -> Path:
    """All four combinations."""
    return grid_search(setting).run


def grid_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "grid.json").read_text())


def test_only_what_the_chosen_draw_found_is_trained(setting: SearchConfig, tmp_path: Path) -> None:
    given = replace(
        setting,
        space="delta",
        train="on",
        scoring="likelihood",
        max_iter=1,
        out=str(tmp_path / "grid"),
    )
    result = grid_search(replace(given, settings=("inertia=0.1,0.9",))).result
    for number in (1, 2):
        draw = json.loads((tmp_path / "grid" / f"draw-{number:02d}" / "result.json").read_text())
        assert (
            "trained_dev" not in draw
            and not (tmp_path / "grid" / f"draw-{number:02d}" / "trained").exists()
        )
    assert result["trained_dev"] >= 0 and [*(tmp_path / "grid" / "trained").glob("*/all")]
    assert len(grid_of(tmp_path / "grid")["draws"]) == 2


# The grid


def test_the_papers_grid_is_that_of_its_released_scripts(setting: SearchConfig) -> None:
    """Lists of search_nlgraph.sh: 3 x 5 x 5 x 3 x 6 combinations."""
    grid = make_grid(replace(setting, settings=(), grid="paper", draws=200))
    assert grid.size == 1350 and len(set(grid.draws)) == 200
    tried = {name: {float(text) for text in texts} for name, texts in grid.values.items()}
    assert tried == {
        "inertia": {0.1, 0.2, 0.3},
        "cognitive": {0.1, 0.2, 0.3, 0.4, 0.5},
        "social": {0.2, 0.3, 0.4, 0.5, 0.6},
        "repel": {0.01, 0.05, 0.1},
        "step": {0.5, 0.6, 0.7, 0.8, 0.9, 1.0},
    }
    for settings in grid.draws:
        pairs = dict(one.split("=") for one in settings)
        assert pairs.keys() == tried.keys() and all(
            float(pairs[name]) in tried[name] for name in tried
        )


def test_draws_depend_on_the_seed_and_a_value_that_is_given_replaces_the_papers(
    setting: SearchConfig,
) -> None:
    def draws(seed: int, *settings: str) -> tuple[tuple[str, ...], ...]:
        return make_grid(replace(setting, settings=settings, seed=seed, grid="paper")).draws

    assert draws(1) == draws(1) != draws(2) and len(draws(1)) == 10
    assert all(
        "repel=0" in settings and "restart-patience=3" not in settings
        for settings in draws(1, "repel=0")
    )
    assert all("restart_patience=3" in settings for settings in draws(1, "restart-patience=3"))


def test_a_grid_that_is_smaller_than_the_draws_is_tried_whole(setting: SearchConfig) -> None:
    expected = {
        (f"inertia={i}", f"step={s}", "repel=0") for i in ("0.1", "0.9") for s in ("0.5", "1.0")
    }
    draws = make_grid(setting).draws
    assert len(draws) == 4 and set(draws) == expected


# The searches


def test_a_draw_is_to_the_bit_the_search_that_its_settings_alone_make(
    setting: SearchConfig, finished: Path, tmp_path: Path
) -> None:
    for number, draw in enumerate(grid_of(finished)["draws"], start=1):
        alone = replace(
            setting, settings=tuple(draw["settings"]), out=str(tmp_path / str(number)), test=0
        )
        result = search(alone).result
        folder = finished / f"draw-{number:02d}"
        assert (
            history(folder) == history(tmp_path / str(number))
            and draw["best_dev"] == result["best_dev"]
        )
        assert lasting(json.loads((folder / "result.json").read_text())) == lasting(result)
        assert "best_test" not in result


def test_a_draw_begins_with_the_starting_swarm_and_no_other_row(
    finished: Path, tmp_path: Path
) -> None:
    """A row of iteration 0 may be the last: that of what is handed over, scored in full."""
    shutil.copytree(finished / "draw-01", tmp_path / "draw-01")
    (tmp_path / "grid.json").write_bytes((finished / "grid.json").read_bytes())
    journal = tmp_path / "draw-01" / "history.jsonl"
    last = json.loads(journal.read_text().splitlines()[-1])
    journal.write_text(journal.read_text() + json.dumps({**last, "iteration": 0}) + "\n")
    resume_grid(tmp_path)
    assert history(tmp_path / "draw-02") == history(finished / "draw-02")


def test_the_best_on_dev_is_handed_over_and_alone_scored_on_test(
    setting: SearchConfig, finished: Path, tmp_path: Path
) -> None:
    grid = grid_of(finished)
    values = [draw["best_dev"] for draw in grid["draws"]]
    best = grid["draws"][values.index(max(values))]
    assert len(set(values)) > 1 and grid["chosen"] == best["folder"]
    search(replace(setting, settings=tuple(best["settings"]), out=str(tmp_path / "alone")))
    mine, alone = (
        json.loads((run / "result.json").read_text()) for run in (finished, tmp_path / "alone")
    )
    (note,) = mine.pop("notes")
    assert f"{best['folder']}, the best on dev of 4 draws from 4 combinations" in note
    assert lasting(mine) == {key: value for key, value in lasting(alone).items() if key != "notes"}
    assert files(finished / "best").keys() == files(tmp_path / "alone" / "best").keys()
    weights = "best/adapter_model.safetensors"
    assert (finished / weights).read_bytes() == (tmp_path / "alone" / weights).read_bytes()
    assert not [
        draw for draw in finished.glob("draw-*/result.json") if "best_test" in draw.read_text()
    ]


def test_the_starting_swarm_is_scored_once_and_the_total_counts_what_was_scored(
    setting: SearchConfig, tmp_path: Path
) -> None:
    events: list[Event] = []
    run = grid_search(replace(setting, out=str(tmp_path / "run")), events.append).run
    scored = [event.data for event in events if event.kind == "evaluation"]
    grid = grid_of(run)
    assert grid["evaluations"] == len(scored) and grid["item_evaluations"] == sum(
        data["n"] for data in scored
    )
    assert sum(data["iteration"] == 0 for data in scored) == 5


def test_a_budget_is_for_all_draws_together(setting: SearchConfig, tmp_path: Path) -> None:
    budget = 2 * 5 * 4 * 24  # two whole searches of 5 particles and 4 rounds
    config = replace(setting, out=str(tmp_path / "run"), budget_items=budget)
    grid = grid_of(grid_search(config).run)
    done = [draw for draw in grid["draws"] if "folder" in draw]
    assert 2 <= len(done) < 4 and budget - 5 * 24 < grid["item_evaluations"] <= budget


# Interruptions


class Stop:
    """Presses Ctrl-C at the n-th event of a kind."""

    def __init__(self, kind: str, n: int) -> None:
        self.kind, self.left = kind, n

    def __call__(self, event: Event) -> None:
        self.left -= event.kind == self.kind
        if self.left == 0 and event.kind == self.kind:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("kind", "n"), [("evaluation", 3), ("evaluation", 30), ("closing", 2), ("start", 5)]
)
def test_an_interrupted_grid_ends_as_one_that_was_not(
    kind: str, n: int, setting: SearchConfig, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        grid_search(replace(setting, out=str(run)), Stop(kind, n))
    resume_grid(run)
    for name in ("", "draw-01", "draw-02", "draw-03", "draw-04"):
        assert history(run / name) == history(finished / name)
    counted = [{**grid_of(one), "config": 0, "seconds": 0, "draws": 0} for one in (run, finished)]
    assert counted[0] == counted[1]
    assert lasting(json.loads((run / "result.json").read_text())) == lasting(
        json.loads((finished / "result.json").read_text())
    )


def test_an_interruption_before_the_first_draw_leaves_nothing(
    setting: SearchConfig, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        grid_search(replace(setting, out=str(tmp_path / "run")), Stop("note", 1))
    assert not (tmp_path / "run").exists()


# What is refused


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"settings": ("inertia=0.1,x",)}, "not a number"),
        ({"settings": ("inertia=0.1,",)}, "not a number"),
        ({"settings": ("inertias=0.1,0.2",)}, "no coefficient inertias"),
        ({"settings": ("inertia=0,1", "cognitive=0", "social=0", "repel=0")}, "all 0"),
        ({"optimizer": "pycma", "grid": "paper"}, "sets coefficients of model-swarms"),
        ({"experts": ("nowhere", "neither"), "grid": "paper"}, "nowhere"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    more: dict[str, Any], message: str, setting: SearchConfig, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        grid_search(replace(setting, out=str(tmp_path / "run"), **more))
    assert not (tmp_path / "run").exists()


def test_test_items_may_not_decide_which_items_are_dev(
    setting: SearchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyswarmopt_llm.searching.grid.draws as grid

    load = grid.load_split

    def divided(config: SearchConfig) -> Any:
        """As a data set of one split is divided: what test leaves is dev."""
        tasks, fresh = load(config)
        return {
            name: replace(task, dev=task.dev[config.test or 9 :]) for name, task in tasks.items()
        }, fresh

    monkeypatch.setattr(grid, "load_split", divided)
    with pytest.raises(UserError, match="decides here which items are dev"):
        grid_search(replace(setting, out=str(tmp_path / "run"), test=5))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "damage", ["[]", "{", '{"format": 1, "config": {}, "values": {}, "draws": [3]}']
)
def test_a_damaged_grid_is_refused_in_one_line(damage: str, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text(damage)
    with pytest.raises(UserError, match=r"grid\.json: "):
        read_grid(tmp_path)


def test_a_grid_that_names_code_is_not_resumed_unless_that_is_allowed(
    finished: Path, tmp_path: Path
) -> None:
    found = grid_of(finished)
    found["config"]["utilities"] = ["evil:score"]
    (tmp_path / "grid.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match="names code to run; if you trust it, add allow evil:score"):
        resume_grid(tmp_path)


def test_nor_is_one_of_which_a_finished_draw_names_code(finished: Path, tmp_path: Path) -> None:
    """The draws after it would take its configuration."""
    shutil.copytree(finished / "draw-01", tmp_path / "draw-01")
    (tmp_path / "grid.json").write_bytes((finished / "grid.json").read_bytes())
    about = json.loads((tmp_path / "draw-01" / "run.json").read_text())
    about["config"]["utilities"] = ["evil:score"]
    (tmp_path / "draw-01" / "run.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match="names code to run; if you trust it, add allow evil:score"):
        resume_grid(tmp_path)


# The command


def test_the_command_prints_the_draws_and_resume_goes_on(
    setting: SearchConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = [
        *search_words(replace(setting, out=str(out))),
        "--set",
        "inertia=0.1,0.9",
        "--max-iter",
        "1",
    ]
    code, shown, _ = swarm_llm(capsys, *words, "--dry-run")
    assert code == 0 and not out.exists()
    assert "2 searches, draws from 2 combinations" in shown and "at most 15 evaluations" in shown
    code, shown, error = swarm_llm(capsys, *words)
    assert code == 0, error
    chosen = grid_of(out)["chosen"]
    assert f"{chosen} *" in shown and "Draws from the grid" in shown
    (out / "result.json").unlink()
    code, again, error = swarm_llm(capsys, "resume", out, "--quiet")
    assert code == 0 and f"{chosen} *" in again
    code, _, error = swarm_llm(
        capsys, *search_words(replace(setting, out=f"{out}2")), "--set", "draws=3"
    )
    assert code == 2 and "--set draws=3: nothing to draw from; give several values" in error
