"""What a search chooses by itself, and what it leaves as it is given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_helpers import history, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.config import SearchConfig, given_settings
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.searching.grid import search as search_any
from pyswarmopt_llm.searching.loop import resume, search
from pyswarmopt_llm.searching.plan import make_plan, with_preset


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> SearchConfig:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "words.json", questions(40, 1), questions(6, 2))
    return small(tiny_base, experts, [task], tmp_path / "run", preset="auto", max_iter=1)


def chosen(config: SearchConfig) -> tuple[Any, ...]:
    config = make_plan(config).config
    return config.space, config.surrogate, config.train, config.start, config.compat


def test_auto_mixes_weight_changes_models_the_items_and_trains(config: SearchConfig) -> None:
    assert chosen(replace(config, max_iter=None)) == ("delta", "items", "on", "even", "none")
    assert chosen(replace(config, max_iter=0)) == ("delta", "items", "on", "even", "none")
    assert chosen(config) == ("delta", None, "on", "sums", "none")  # it is asked for an iteration


def test_paper_and_reference_are_the_published_algorithm_and_the_authors_code(
    config: SearchConfig,
) -> None:
    assert chosen(replace(config, preset="paper")) == ("factor", None, "off", "segments", "paper")
    reference = ("factor", None, "off", "segments", "reference")
    assert chosen(replace(config, preset="reference")) == reference
    open_ = replace(config, preset=None)
    assert chosen(replace(open_, compat="reference")) == reference
    assert chosen(replace(open_, compat="paper")) == ("factor", None, "off", "segments", "paper")
    assert chosen(replace(config, preset="none")) == ("factor", None, "off", "segments", "paper")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"space": "factor"}, ("factor", "items", "off")),
        ({"train": "off"}, ("delta", "items", "off")),
        ({"dev": 39}, ("delta", "items", "off")),
        ({"workers": "2"}, ("delta", "items", "off")),
        ({"scoring": "generate"}, ("delta", None, "off")),
        ({"metrics": ("f1",)}, ("delta", None, "on")),
        ({"base": ""}, ("token", None, "off")),
    ],
)
def test_what_is_given_wins_and_the_rest_goes_with_it(
    config: SearchConfig, given: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    assert chosen(replace(config, max_iter=None, **given))[:3] == expected


def rounds(config: SearchConfig) -> tuple[int | None, int]:
    config = make_plan(config).config
    return config.max_iter, config.particles


def test_without_a_setting_of_iterations_there_are_none(config: SearchConfig) -> None:
    """Three experts, the base, their average and their sum."""
    free = replace(config, max_iter=None, particles=None)
    assert rounds(free) == rounds(replace(free, train="off")) == (0, 6)
    assert rounds(replace(free, budget_items=900, budget_minutes=3.0))[0] == 0
    assert rounds(replace(free, particles=9)) == (0, 9)
    for more in (
        {"patience": 3},
        {"settings": ("inertia=0.1",)},
        {"optimizer": "pycma"},
        {"drop_k": 0.0},
    ):
        assert rounds(replace(free, **more))[0] == 50  # type: ignore[arg-type]
    assert rounds(replace(free, max_iter=3))[0] == 3 and rounds(replace(free, max_iter=50))[0] == 50
    assert rounds(replace(free, preset="paper")) == (50, 20)


def test_scores_without_margins_have_a_model_of_their_own(config: SearchConfig) -> None:
    """40 evaluations: the three experts, the base, their average and their sum, and what a model
    proposes.
    """
    free = replace(config, max_iter=None, particles=None, metrics=("f1",))
    resolved = make_plan(free).config
    assert (resolved.max_iter, resolved.particles, resolved.proposals, resolved.surrogate) == (
        0,
        6,
        34,
        None,
    )
    assert make_plan(replace(free, proposals=4)).config.proposals == 4
    assert rounds(replace(free, patience=3)) == (3, 10)  # iterations, again of 40 candidates


def test_iterations_that_nothing_ends_have_a_budget(config: SearchConfig) -> None:
    """40 candidates of 40 items."""

    def budget(**more: Any) -> int | None:
        found = replace(config, **{"max_iter": None, "patience": 3, **more})
        return make_plan(found).config.budget_items

    assert budget() == 40 * 40 and budget(particles=50) == 50 * 40
    assert budget(budget_items=900) == 900 and budget(budget_minutes=2.0) == 40 * 40
    assert budget(max_iter=9) is None and budget(preset="paper") is None
    assert budget(patience=10) == 40 * 40 and budget(patience=None) is None


def test_a_search_without_iterations_scores_experts_sums_and_proposals(
    config: SearchConfig,
) -> None:
    free = replace(config, max_iter=None, particles=None, train="off")
    result = search(free).result
    # of an expert in a race the latest row
    rows = list({row["key"]: row for row in history(Path(config.out))}.values())
    starts = [row["coefficients"] for row in rows if row["iteration"] == 0]
    assert starts == [*np.eye(3).tolist(), [0.0] * 3, pytest.approx([1 / 3] * 3), [1.0] * 3]
    assert result["stop"] == {"proposals": 6}
    proposed = [row for row in rows if row["iteration"] == 1]
    assert 1 <= len(proposed) <= 6 and all(row["n"] == 40 for row in proposed)
    assert result["evaluations"] == len(rows)


def test_a_run_says_and_stores_what_was_chosen(config: SearchConfig) -> None:
    events: list[Any] = []
    search(config, events.append)
    words = (
        "preset auto: space delta, 5 particles, at most 1 iteration, then "
        "training on the 40 "
        "dev items; given: particles 5, max-iter 1"
    )
    assert next(event.data["text"] for event in events if event.kind == "note") == words
    about = json.loads((Path(config.out) / "run.json").read_text())
    stored = about["config"]
    assert about["given"] == {"preset": "auto", "particles": 5, "max_iter": 1}
    assert (
        about["chosen"].items()
        >= {"space": "delta", "patience": 10, "optimizer": "model-swarms"}.items()
    )
    assert {name: stored[name] for name in about["chosen"]} == about["chosen"]
    assert not about["chosen"].keys() & about["given"].keys()
    assert (stored["preset"], stored["space"], stored["surrogate"], stored["train"]) == (
        "auto",
        "delta",
        None,
        "on",
    )
    assert (stored["start"], stored["compat"]) == ("sums", "none")


@pytest.mark.parametrize(
    ("given", "compat"),
    [
        ({"preset": "paper"}, "paper"),
        ({"preset": "none", "settings": ("inertia=0.1",), "particles": 9}, "paper"),
        ({"preset": "none", "compat": "none"}, "paper"),
        ({"preset": None, "compat": "paper"}, "paper"),
        ({"preset": None, "compat": "paper", "space": "delta"}, "none"),
        ({"preset": "reference", "optimizer": "pycma"}, "none"),
        ({"preset": "reference"}, "reference"),
        ({"preset": "paper", "space": "delta"}, "none"),
        ({"preset": "paper", "start": "sums"}, "none"),
        ({"preset": "paper", "max_iter": 0}, "none"),
        ({"preset": "paper", "confirm": 5}, "none"),
        ({"preset": "paper", "optimizer": "pycma"}, "none"),
        ({"preset": "paper", "optimizer": "constriction"}, "none"),
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
        search(replace(config, preset=preset, grid="given", out=out))
        said[preset] = " ".join((Path(out) / "best" / "README.md").read_text().split())
        assert "compat" not in json.loads((Path(out) / "result.json").read_text())
    departures = "space delta, starts: sums, training on the dev items"
    assert f"Model Swarms, not as published ({departures})" in said["auto"]
    assert "Model Swarms as published (5 particles, at most 1 iteration)" in said["paper"]
    assert (
        "Model Swarms as in the authors' code (5 particles, at most 1 iteration)"
        in said["reference"]
    )


def test_resuming_takes_what_is_stored_not_what_the_preset_would_choose(
    config: SearchConfig,
) -> None:
    """As if another version had chosen otherwise."""
    search(replace(config, preset="none", train="off"))
    run = Path(config.out)
    rows, about = history(run), json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(
        json.dumps({**about, "config": {**about["config"], "preset": "auto"}})
    )
    (run / "result.json").unlink()
    events: list[Any] = []
    assert resume(run, events.append).result["evaluations"] == len(rows) and history(run) == rows
    texts = [event.data["text"] for event in events if event.kind == "note"]
    assert texts[0].startswith("preset auto: ") and texts[0].endswith(
        "given: particles 5, max-iter 1, train off"
    )


def test_the_command_line_has_the_preset_and_refuses_another(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "search",
        "--base",
        config.base,
        "--experts",
        *config.experts,
        "--task",
        config.tasks[0],
    ]
    code, _, error = swarm_llm(capsys, *words, "--out", config.out, "--preset", "best")
    assert code == 2 and "--preset best: unknown; use auto, paper, reference or none" in error


@pytest.mark.parametrize(
    "more",
    [
        {"particles": 2, "max_iter": 0},
        {"particles": 2, "max_iter": 0, "preset": "none", "space": "delta"},
        {"particles": 1, "max_iter": 1},
        {"particles": 1, "max_iter": 1, "preset": "paper", "grid": "given"},
        {"particles": 4, "max_iter": 0, "start": "even", "preset": "none", "space": "delta"},
    ],
)
def test_no_more_is_scored_than_was_said(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, more: dict[str, Any]
) -> None:
    events: list[Event] = []
    task = write_task(tmp_path / "words.json", questions(12, 1), questions(4, 2))
    config = small(
        tiny_base,
        louder(tiny_experts, tmp_path / "louder"),
        [task],
        tmp_path / "run",
        preset="auto",
    )
    search(replace(config, **more), events.append)
    (start,) = (event.data for event in events if event.kind == "start")
    left = [event.data["evaluations_left"] for event in events if "evaluations_left" in event.data]
    assert left and min(left) >= 0
    scored = {
        event.data["particle"]
        for event in events
        if event.kind == "evaluation" and not event.data["iteration"]
    }
    assert len(scored) == start["particles"]
    raised = [event.data["text"] for event in events if "raised to" in str(event.data.get("text"))]
    assert len(raised) == 1 and f"raised to {start['particles']}, since" in raised[0]


PLAIN = SearchConfig("b", ("x", "y"), ("t",), "r")


def test_what_is_given_counts_also_where_it_equals_a_default(config: SearchConfig) -> None:
    """The command of a reader of the paper: once it ran no iteration of a swarm."""
    free = replace(config, preset=None, max_iter=None)
    typed = replace(free, optimizer="model-swarms", compat="paper", particles=20, patience=10)
    found = make_plan(typed).config
    assert (found.preset, found.space, found.start, found.train, found.surrogate) == (
        "paper", "factor", "segments", "off", None,
    )  # fmt: skip
    assert (found.particles, found.max_iter, found.patience, found.compat) == (20, 50, 10, "paper")
    assert given_settings(typed) == {
        "compat": "paper",
        "optimizer": "model-swarms",
        "particles": 20,
        "patience": 10,
    }
    auto = replace(free, optimizer="model-swarms", particles=20)
    found = make_plan(auto).config
    assert (found.space, found.particles, found.max_iter, found.compat) == ("delta", 20, 50, "none")
    twenty = replace(free, particles=20)
    assert make_plan(twenty).config.particles == 20


def test_the_paper_is_its_whole_procedure() -> None:
    found = with_preset(replace(PLAIN, preset="paper"))
    assert (found.space, found.start, found.particles, found.max_iter, found.patience) == (
        "factor", "segments", 20, 50, 10,
    )  # fmt: skip
    assert (found.train, found.surrogate, found.grid, found.settings, found.compat) == (
        "off",
        None,
        "paper",
        (),
        "paper",
    )
    assert with_preset(replace(PLAIN, compat="paper")) == replace(found, grid="given")
    few = with_preset(replace(PLAIN, preset="paper", particles=8, max_iter=3, space="delta"))
    assert (few.particles, few.max_iter, few.space, few.grid) == (8, 3, "delta", "paper")
    other = with_preset(replace(PLAIN, preset="paper", optimizer="constriction"))
    assert not other.is_grid


def test_the_reference_has_the_arguments_of_the_authors_scripts() -> None:
    """The four shell scripts draw the coefficients and set the restart patience; the rest is
    search.py's default.
    """
    found = with_preset(replace(PLAIN, preset="reference"))
    assert (found.max_iter, found.patience, found.particles, found.grid) == (200, 10, 20, "paper")
    assert found.settings == ("restart_patience=7",)
    alone = with_preset(replace(PLAIN, compat="reference", settings=("restart-patience=5",)))
    assert alone.grid == "given" and alone.max_iter == 200 and alone.compat == "reference"
    assert alone.settings == (
        *("inertia=0.4", "cognitive=0.3", "social=0.3", "repel=0.3", "step=1"),
        "restart-patience=5",
    )  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        *(
            {"preset": preset, "compat": compat}
            for preset in ("auto", "reference")
            for compat in ("paper",)
        ),
        *({"preset": preset, "compat": "reference"} for preset in ("auto", "paper")),
        *({"preset": preset, "compat": "none"} for preset in ("paper", "reference")),
    ],
)
def test_settings_that_contradict_each_other_are_refused(more: dict[str, str]) -> None:
    with pytest.raises(
        InvalidOption, match=f"compat {more['compat']}: contradicts preset {more['preset']}; remove"
    ):
        with_preset(replace(PLAIN, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"preset": "paper"},
        {"preset": "reference", "grid": "given"},
        {"compat": "paper", "space": "delta"},
        {"compat": "reference"},
        {"preset": "none", "compat": "reference"},
        {"max_iter": 3},
        {"optimizer": "pycma"},
        {"scoring": "generate", "space": "factor", "start": "segments"},
    ],
)
def test_what_is_resolved_stays_as_it_is(config: SearchConfig, more: dict[str, Any]) -> None:
    """As resuming takes it, under no preset."""
    free = replace(config, preset=None, particles=None, max_iter=None)
    found = replace(free, **more)
    concrete = replace(make_plan(found).config, preset="none")
    assert make_plan(concrete).config == concrete
    for name in (
        "space",
        "optimizer",
        "particles",
        "max_iter",
        "patience",
        "train",
        "grid",
        "compat",
    ):
        assert name in given_settings(concrete)


def test_the_paper_from_the_command_line_is_its_preset(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quick try of it: two draws from its grid, a handful of particles, one iteration."""
    words = [
        "search",
        "--base",
        config.base,
        "--experts",
        *config.experts,
        "--task",
        config.tasks[0],
    ]
    words += ["--out", config.out, "--scoring", "likelihood", "--threads", 1, "--test", 0]
    quick = ["--paper", "--particles", 4, "--max-iter", 1, "--set", "draws=2"]
    code, _, error = swarm_llm(capsys, *words, *quick)
    assert code == 0, error
    line = (
        "preset paper: space factor, 4 particles, at most 1 iteration, grid of coefficients; "
        "given: particles 4, "
    )
    lines = [text for text in error.splitlines() if "preset" in text]
    assert f"{line}max-iter 1, draws 2" in lines[0]
    run = Path(config.out)
    assert len(json.loads((run / "grid.json").read_text())["draws"]) == 2
    about = json.loads((run / "run.json").read_text())
    assert about["given"] == {"preset": "paper", "particles": 4, "max_iter": 1, "draws": 2}
    stored = about["config"]
    assert (stored["compat"], stored["space"], stored["train"], stored["grid"]) == (
        "paper",
        "factor",
        "off",
        "given",
    )
    assert "--preset paper --particles 4 --max-iter 1" in (run / "best" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--paper", "--preset", "auto"), "--paper: contradicts --preset auto; remove one of them"),
        (
            ("--paper", "--compat", "reference"),
            "--paper: contradicts --compat reference; remove one of them",
        ),
        (("--paper", "--reference"), "--reference: contradicts --preset paper; remove one of them"),
        (
            ("--reference", "--preset", "paper"),
            "--reference: contradicts --preset paper; remove one of them",
        ),
        (
            ("--preset", "paper", "--compat", "reference"),
            "--compat reference: contradicts --preset paper; remove",
        ),
    ],
)
def test_contradictions_on_the_command_line_are_one_line(
    words: tuple[str, ...], message: str, config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [
        "search",
        "--base",
        config.base,
        "--experts",
        *config.experts,
        "--task",
        config.tasks[0],
    ]
    code, _, error = swarm_llm(capsys, *common, "--out", config.out, *words)
    assert code == 2 and message in error and len(error.strip().splitlines()) <= 2
    assert not Path(config.out).exists()


def test_workers_take_what_was_decided(config: SearchConfig) -> None:
    """A search that departs from its preset says that it is not the paper's: no contradiction in a
    worker.
    """
    departs = {"preset": "paper", "grid": "given", "space": "delta", "particles": 4, "test": 0}
    result = search(replace(config, **departs, workers="2")).result  # type: ignore[arg-type]
    assert "failures" not in result["workers"] or not result["workers"]["failures"]
    alone = search(replace(config, **departs, out=f"{config.out}-alone")).result  # type: ignore[arg-type]
    assert result["best_dev"] == alone["best_dev"]


def test_from_python_the_papers_preset_is_the_same(config: SearchConfig) -> None:
    found = search_any(replace(config, preset="paper", particles=4, draws=2, test=0))
    assert (found.run / "grid.json").is_file()
    with pytest.raises(InvalidOption, match="grid paper: is a search for each draw"):
        search(replace(config, preset="paper", out=f"{config.out}-2"))


def test_quick_fine_tunes_the_best_of_base_and_experts_and_no_more(config: SearchConfig) -> None:
    events: list[Any] = []
    result: Any = search(replace(config, max_iter=None, particles=None, quick=True), events.append)
    run, notes = result.run, [event.data["text"] for event in events if event.kind == "note"]
    assert "quick: a race finds the best of base and experts, then training" in notes[0]
    (start,) = [folder.name for folder in (run / "trained").iterdir() if folder.is_dir()]
    rows = list({row["key"]: row for row in history(run) if row["phase"] == "search"}.values())
    scored = [row["coefficients"] for row in rows]
    assert scored == [*np.eye(3).tolist(), [0.0] * 3]  # no mixture
    best = max((row for row in rows if row["n"]), key=lambda row: row["value"])["coefficients"]
    assert start == ("base" if not any(best) else "expert")
    assert "rivals" not in result.result and not (run / "rivals.jsonl").exists()


def test_the_price_is_said_first_and_is_not_exceeded(config: SearchConfig) -> None:
    events: list[Any] = []
    result: Any = search(replace(config, max_iter=None, particles=None), events.append).result
    kinds = [event.kind for event in events]
    (told,) = [i for i, event in enumerate(events) if "pace of" in str(event.data.get("text"))]
    assert kinds[:told].count("evaluation") == 1 and "training" not in kinds[:told]
    passes = int(events[told].data["text"].split()[2].replace(",", ""))
    start = next(event for event in events if event.kind == "start")
    assert passes == sum(start.data["passes"].values())
    assert result["passes"] + result["passes_rivals"] <= passes
    for part in ("experts", "mixtures", "training", "rivals", "result"):
        assert f"{part} 0:" in events[told].data["text"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"space": "factor"}, "quick: it trains, and training goes with space delta only"),
        ({"preset": "paper"}, "quick: goes with preset auto"),
        ({"metrics": ("f1",)}, "quick: a race needs the scores of options, words is scored by f1"),
    ],
)
def test_quick_is_refused_where_there_is_no_race_or_training(
    config: SearchConfig, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidOption) as error:
        make_plan(replace(config, max_iter=None, quick=True, **more))
    assert str(error.value).startswith(message)
