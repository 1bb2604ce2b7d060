"""A run directory by itself: what is written whole, what is read back, who is kept off."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_helpers import RESULT as FLAT
from result_helpers import nested

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import typed
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.directory import About, RunDirectory, check_fingerprints
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.run.result import RunResult, read_result
from pyswarmopt_llm.use.config import EvalConfig
from pyswarmopt_llm.use.opening import with_run

CONFIG = SearchConfig(
    base="b", experts=("x", "y"), tasks=("t.json",), out="r", seed=5, space="delta", dev=7
)
FINGERPRINTS = {"base": "1", "experts": {"x": "2", "y": "3"}, "tasks": {"t": "4"}}
ROW: dict[str, Any] = {
    **{"phase": "search", "iteration": 0, "particle": 0, "key": "k", "coefficients": [1.0, 0.0]},
    **{"value": 0.5, "n": 2, "seconds": 0.1, "tasks": {"t": asdict(score_of([1.0, 0.0]))}},
}
RESULT = nested({**FLAT, "items": {"best_dev": "10"}})


def new_run(path: Path) -> RunDirectory:
    return RunDirectory.create(path, About(CONFIG, FINGERPRINTS, versions={"torch": "0"}))


def test_a_run_is_created_whole_or_not_at_all_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        RunDirectory.create(tmp_path / "r", About(CONFIG, FINGERPRINTS, versions={"odd": object()}))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "r").mkdir()
    with new_run(tmp_path / "r").locked():  # it was empty
        RunDirectory(tmp_path / "r").store.add("search", "k", {})
    with pytest.raises(UserError, match="already contains a run"):
        new_run(tmp_path / "r")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / ".file").touch()
    with pytest.raises(UserError, match="already exists"):
        new_run(tmp_path / "hidden")


def test_a_run_without_a_score_starts_over_unless_it_is_at_work(tmp_path: Path) -> None:
    path = tmp_path / "r"
    run = new_run(path)
    (path / "results.jsonl").write_text('{"what": "sea')  # killed while it wrote its first score
    with run.locked(), pytest.raises(UserError, match="another process is writing"):
        new_run(path)
    with pytest.raises(UserError, match=r"metrics changed .* repeat the search .* starts over"):
        check_fingerprints(path, run.about, {"metrics": "mended"})
    again = RunDirectory.create(path, About(replace(CONFIG, seed=6), {"metrics": "mended"}))
    assert (again.about.config.seed, dict(again.about.fingerprints)) == (6, {"metrics": "mended"})
    with again.locked():
        again.store.add("search", "k", {})
    with pytest.raises(UserError, match="already contains a run"):
        new_run(path)
    with pytest.raises(UserError, match=r"metrics changed .* or start a new run"):
        check_fingerprints(path, run.about, {"metrics": "mended"})


@pytest.mark.parametrize("name", ["notes.txt", "result.json", "checkpoint/swarm.npz"])
def test_what_else_is_in_the_folder_is_never_lost(name: str, tmp_path: Path) -> None:
    run = new_run(tmp_path / "r")
    (run.path / name).touch()
    with pytest.raises(UserError, match="already contains a run"):
        new_run(run.path)
    (run.path / name).unlink()
    (run.path / "run.json").write_text('{"of": "another program"}')
    with pytest.raises(UserError, match="already contains a run"):
        new_run(run.path)


def test_rows_come_back_to_the_bit(tmp_path: Path) -> None:
    run = new_run(tmp_path / "r")
    row = typed(ROW, Row)
    odd = [0.1 + 0.2, 1e-300, -0.0, 1 / 3]
    rows = [replace(row, coefficients=odd, tasks={"t": score_of([0.1, 1e17])}), row]
    with run.locked():
        for each in rows:
            run.append(each)
    again = RunDirectory(tmp_path / "r")
    assert again.rows == run.rows == rows
    assert str(again.rows[0].coefficients) == str(odd)  # -0.0 too


@given(st.data())
def test_a_store_is_good_up_to_its_last_whole_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    run = new_run(tmp_path_factory.mktemp("r") / "r")
    rows = [
        {"what": "search", "who": str(i), "x": "x" * data.draw(st.integers(0, 9))} for i in range(3)
    ]
    text = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    cut = data.draw(st.integers(0, len(text)))
    file = run.path / "results.jsonl"
    file.write_bytes(text[:cut])
    names = [("search", str(i)) for i in range(text[:cut].count(b"\n"))]

    opened = RunDirectory(run.path)
    assert {*opened.store.known} == set(names)
    assert file.read_bytes() == text[:cut]  # someone else may be writing that line
    with opened.locked():
        assert {*opened.store.known} == set(names)
        opened.store.add("search", "new", {"x": "y"})
    again = RunDirectory(run.path).store
    assert {*again.known} == {*names, ("search", "new")}
    assert again.get("search", "new", dict)["x"] == "y"


@pytest.mark.parametrize(
    ("column", "value"),
    [("iteration", -1), ("value", "0.5"), ("tasks", {}), ("tasks", {"t": {"value": 0.5}})],
)
def test_a_column_of_another_type_is_named(column: str, value: object, tmp_path: Path) -> None:
    run = new_run(tmp_path / "r")
    (run.path / "history.jsonl").write_text(json.dumps({**ROW, column: value}) + "\n")
    with pytest.raises(
        UserError,
        match=rf"history\.jsonl: line 1: {column}( t( .*)?)? is missing or has the wrong type; restore",
    ):
        _ = RunDirectory(run.path).rows
    stored = {"what": "search", "who": "k", **ROW, column: value}
    (run.path / "results.jsonl").write_text(json.dumps(stored) + "\n")
    with pytest.raises(
        UserError, match=rf"results\.jsonl: search row of k: {column}( t( .*)?)? is missing"
    ):
        RunDirectory(run.path).store.find_row("search", "k")


def test_a_result_counts_only_with_its_adapter(tmp_path: Path) -> None:
    run = new_run(tmp_path / "r")
    best = run.path / "best"
    best.mkdir()
    run.finish(RESULT)
    best.rmdir()
    assert read_result(run.path) is None
    best.mkdir()
    result = RunResult.from_json(RESULT)
    assert read_result(run.path) == result == RunResult.from_json(result.to_json())
    for damaged in ("{", json.dumps({**RESULT, "models": {}})):
        (run.path / "result.json").write_text(damaged)
        with pytest.raises(UserError, match=r"result\.json is damaged.*remove it and resume"):
            _ = read_result(run.path)


def test_a_task_of_a_run_is_known_by_the_name_in_its_file(tmp_path: Path) -> None:
    config = replace(CONFIG, tasks=("lm-eval:a", "t.json"), metrics=("quiz=f1",))
    run = RunDirectory.create(tmp_path / "r", About(config, {"tasks": {"quiz": "4", "a": "5"}}))
    (run.path / "best").mkdir()
    (run.path / "result.json").touch()
    asked = with_run(EvalConfig(run=str(run.path), task="quiz"))
    assert (asked.task, asked.metric) == ("t.json", "f1")
