"""The weight-step: scores of single models by hand, mixed models against merged ones, a search that does both steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from search_helpers import ends_as, files, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.interfaces import Node, Patch
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.merge import merge_experts
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.models.side_by_side import find_members, load_members
from pyswarmopt_llm.spaces.graph import engine
from pyswarmopt_llm.spaces.graph.engine import GraphEngine
from pyswarmopt_llm.spaces.graph.jfk import assignments, jfk_scores
from pyswarmopt_llm.spaces.graph.mixing import mixer
from pyswarmopt_llm.spaces.load import open_model


@settings(deadline=None)
@given(st.integers(1, 13), st.integers(1, 5), st.integers(0, 99))
def test_every_model_has_a_score(models: int, places: int, seed: int) -> None:
    """Balanced places; the score against the paper's fraction written out."""
    rng = np.random.default_rng(seed)
    assigned = assignments(models, places, rng)
    assert assigned.shape == (max(10, models), places)
    for column in assigned.T:
        often = [int((column == i).sum()) for i in range(models)]
        assert max(often) - min(often) <= 1
        assert min(often) >= 1
    values = rng.random(len(assigned)).tolist()
    for i, score in enumerate(jfk_scores(assigned, values, models)):
        above = sum(row.tolist().count(i) * f for row, f in zip(assigned, values, strict=True))
        assert score == pytest.approx(above / sum(row.tolist().count(i) for row in assigned))


def test_places_are_drawn_apart() -> None:
    assigned = assignments(4, 2, np.random.default_rng(0))
    assert (assigned[:, 0] != assigned[:, 1]).any()


@pytest.fixture(scope="module", autouse=True)
def short_messages() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MESSAGE_TOKENS", 6)
        yield


@pytest.fixture(scope="module")
def adapters(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return louder(tiny_experts, tmp_path_factory.mktemp("louder"))


def test_a_mixed_model_at_a_node_is_the_merged_one(adapters: list[Path], tiny_base: Path, tmp_path: Path) -> None:
    """Against the uniform soup that `swarm-llm merge` writes; and afterwards the experts are what they were."""
    members = find_members([str(path) for path in adapters], str(tiny_base))
    graphs = GraphEngine(load_members(members), mixer(members))
    own = [one.generate([one.chat("Which one?")], 8) for one in graphs.members.values()]
    merge_experts(str(tiny_base), [str(path) for path in adapters], "uniform-soup", "delta", tmp_path / "soup")
    soup = open_model(str(tiny_base), str(tmp_path / "soup"), "auto", "auto", None)
    graphs.load(Patch(graph=(Node((1 / 3, 1 / 3, 1 / 3)),)))
    assert graphs.generate(["Which one?"], 8) == soup.generate([soup.chat("Which one?")], 8)
    assert [one.generate([one.chat("Which one?")], 8) for one in graphs.members.values()] == own


def test_models_of_several_bases_cannot_be_mixed(adapters: list[Path], tiny_base: Path) -> None:
    members = find_members([str(adapters[0]), str(tiny_base)], str(tiny_base))
    assert mixer(members) is None
    with pytest.raises(ValueError, match="cannot be mixed"):
        GraphEngine(load_members(members)).load(Patch(graph=(Node((0.5, 0.5)),)))


@pytest.fixture(scope="module")
def done(adapters: list[Path], tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    task = write_task(folder / "words.json", questions(8, 1), questions(6, 2))
    config = small(tiny_base, adapters, [task], folder / "run", space="graph", particles=5, max_iter=1, seed=1)
    search(config)
    return folder / "run"


def test_the_models_of_the_graph_move_as_well(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((done / "result.json").read_text())
    rows = Run.open(done).rows
    weights = [row for row in rows if row.phase == "weights"]
    step = result["weight_step"]
    assert step["best_dev"] == max(row.value for row in weights)
    assert step["dev_before"] == max(row.value for row in rows if row.phase == "search")
    assert step["iterations"] == 2
    assert {row.iteration for row in weights} == {0, 1}
    assert len(weights) <= 20  # ten assignments in each iteration, equal ones asked once
    assert result["best_dev"] == max(step["best_dev"], step["dev_before"])
    assert step["taken"] == (step["best_dev"] > step["dev_before"])
    for split in ("dev", "test"):
        task = Run.open(done).config.tasks[0]
        words = f"eval --base {done / 'best'} --task {task} --split {split} --scoring likelihood --json"
        code, out, _ = swarm_llm(capsys, *words.split())
        assert (code, json.loads(out)["value"]) == (0, result[f"best_{split}"])


def test_a_run_cut_short_in_the_weight_step_ends_the_same(done: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(done, run)
    (run / "result.json").unlink()
    shutil.rmtree(run / "best")
    lines = (run / "history.jsonl").read_text().splitlines(keepends=True)
    (run / "history.jsonl").write_text("".join(lines[:-7]))
    resume(run)
    assert files(run / "checkpoint").keys() == {"swarm.npz", "weights.npz"}
    (run / "checkpoint" / "weights.npz").unlink()
    (done / "checkpoint" / "weights.npz").rename(tmp_path / "kept.npz")
    ends_as(run, done)
    (tmp_path / "kept.npz").rename(done / "checkpoint" / "weights.npz")


def test_a_spent_budget_ends_the_search_before_it(adapters: list[Path], tiny_base: Path, tmp_path: Path) -> None:
    task = write_task(tmp_path / "words.json", questions(4, 1), questions(4, 2))
    config = small(tiny_base, adapters[:2], [task], tmp_path / "run", space="graph", particles=4, budget_items=20)
    result = search(config).result
    assert "weight_step" not in result
    assert result["item_evaluations"] <= 20


def test_confirm_asks_fresh_items_of_both(adapters: list[Path], tiny_base: Path, tmp_path: Path) -> None:
    task = write_task(tmp_path / "words.json", questions(9, 1), questions(4, 2))
    config = small(
        tiny_base, adapters[:2], [task], tmp_path / "run", space="graph", particles=4, max_iter=0, confirm=3, seed=2
    )
    result = search(config).result
    assert result["confirm"]["items"] == 3
    assert torch.isfinite(torch.tensor(result["best_test"]))
