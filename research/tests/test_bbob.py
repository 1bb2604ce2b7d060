"""`benchmarks/bbob`: runs are kept as they were, areas and counts are those of hand-worked runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from laboratory import script

bbob_report = script("bbob_report")
bbob_solvers = script("bbob_solvers")
bbob_table = script("bbob_table")
outcomes = script("outcomes")


def a_run(function: int, instance: int, hits: list[int], package: str) -> dict[str, Any]:
    return {"f": str(function), "i": instance, "D": 2, "budget": 200, "hits": hits,
            "package": package}  # fmt: skip


def written(folder: Path, solver: str, runs: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(run) + "\n" for run in runs)
    (folder / bbob_report.file_of(solver, "bbob", 2)).write_text(text)


def test_an_area_is_the_mean_share_of_the_logarithm_that_is_left() -> None:
    # of 100 evaluations a coordinate: hit at one, at ten, and never
    run = a_run(1, 1, [2, 20], "")
    assert bbob_report.area([run]) == pytest.approx((1 + 0.5) / 51)
    assert bbob_report.solved([run]) == 2 / 51


def test_kept_runs_are_the_runs_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    written(tmp_path, "pyswarmopt:covariant", [a_run(1, 1, [2, 20], "a 1")])
    for kept in ("first", "second"):
        bbob_report.keep(tmp_path, tmp_path / kept)
    (first,), (second,) = ((tmp_path / kept).iterdir() for kept in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[4:8] == bytes(4)  # no time of day
    runs = bbob_report.load(tmp_path / "first", "bbob")
    assert runs == bbob_report.load(tmp_path, "bbob")
    assert runs[2]["pyswarmopt:covariant"][0]["hits"] == [2, 20]


def test_the_table_of_kept_runs_compares_functions_on_common_instances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = [a_run(1, 1, [2], "a 1"), a_run(15, 1, [200], "a 1"), a_run(15, 2, [2], "a 1")]
    theirs = [a_run(1, 1, [20], "b 2"), a_run(15, 1, [20], "b 2")]
    written(tmp_path, "pyswarmopt", ours)
    written(tmp_path, "scipy-de", theirs)
    monkeypatch.setattr(bbob_table, "KEPT", tmp_path)
    default, peer = bbob_table.kept().splitlines()[2:]
    assert default.startswith("| 2-D | `recipe=None` (a 1) | 2 |")
    assert peer.startswith("| 2-D | SciPy's DE (b 2) | 1 | 0.010 | 0.010 to 0.010 | 0.020 |")
    assert peer.endswith("| 1 of 2 functions (multimodal 1), p = 1.00 |")


def test_a_solver_is_compared_on_the_problems_on_which_it_was_run(keep: Any) -> None:
    runs = {"pyswarmopt": [[1, 0.2, 1.0], [2, 0.4, 1.0], [3, 0.9, 1.0]],
            "scipy-de": [[1, 0.3, 0.5], [2, 0.1, 0.5]]}  # fmt: skip
    rows = [{"suite": "ma-bbob", "D": 20, "solver": solver, "runs": each}
            for solver, each in runs.items()]  # fmt: skip
    keep("other-suites", rows)
    default, peer = bbob_table.second_suites().splitlines()[2:]
    assert default == "| `recipe=None` |  | 0.500, 1.000 |  |"
    expected = "0.200, 0.500, 1 of 2, p = 1.00 (the default there 0.300)"
    assert peer == f"| SciPy's DE |  | {expected} |  |"
