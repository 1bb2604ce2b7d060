"""Runs that an earlier version wrote (tests/frozen/runs) are resumed to the bit; models and files are as they were.

Nothing here may depend on the kernels of one processor. The models compute in float32, and answers are right or wrong
by a margin far above any rounding (at least 3e-4), so that rows and results are the same on every machine. The margins
themselves, which only a screened run writes down, are compared to about four digits where they were computed anew.
A screened run ends with swarms on its surrogate, in which rounding decides between nearly equal candidates: of that
iteration only what comes of it is compared.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from pyswarmopt_llm.cli import main

FROZEN = Path(__file__).parents[2] / "frozen"
RUNS = ("factor", "delta-screened", "token", "two-tasks", "async")
PASSING = ("seconds", "seconds_scoring", "peak_memory_bytes", "workers", "notes")  # of result.json
SINCE = ("passes", "experts", "outcomes")  # keys that were added later
ON_SURROGATE = {"delta-screened": 7}  # run -> the iteration of the swarms on the surrogate
COUNTS = ("evaluations", "item_evaluations", "items_saved")  # which that iteration adds to

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the runs were begun: models, experts and tasks by the relative paths that run.json names."""
    shutil.copytree(FROZEN / "models", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def resumed(capsys: pytest.CaptureFixture[str]) -> Json:
    with pytest.raises(SystemExit) as end:
        main(["resume", "run", "--quiet", "--json"])
    out = capsys.readouterr()
    assert not end.value.code, out.err
    result = json.loads(out.out)
    assert result == json.loads(Path("run/result.json").read_text())
    return {key: value for key, value in result.items() if key not in (*PASSING, *SINCE)}


def rows(history: Path, until: float = math.inf) -> tuple[list[Json], list[Json]]:
    """The lines of a journal before an iteration, without seconds, and the margins that were in them."""
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    lines = [line for line in lines if line["iteration"] < until]
    margins = [line.pop("margins", {}) for line in lines]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines], margins


@pytest.mark.parametrize("name", RUNS)
def test_an_interrupted_run_of_an_earlier_version_ends_as_it_did_then(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(FROZEN / "runs" / name / "interrupted", "run")
    whole_lines = Path("run/history.jsonl").read_bytes().rpartition(b"\n")[0] + b"\n"
    finished = FROZEN / "runs" / name / "finished"
    result, expected = resumed(capsys), json.loads((finished / "result.json").read_text())
    until = ON_SURROGATE.get(name, math.inf)
    for count in COUNTS if name in ON_SURROGATE else ():
        del result[count], expected[count]
    assert result == expected
    assert Path("run/history.jsonl").read_bytes().startswith(whole_lines)
    (now, margins), (then, margins_then) = (rows(p / "history.jsonl", until) for p in (Path("run"), finished))
    assert now == then
    for task in margins[0]:
        for ours, theirs in zip(margins, margins_then, strict=True):
            for mine, frozen in zip(ours[task], theirs[task], strict=True):
                assert mine == (frozen and pytest.approx(frozen, rel=1e-4, abs=1e-4))


@pytest.mark.parametrize("name", RUNS)
def test_the_journal_of_an_earlier_version_answers_every_question_of_its_search(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every position is found again by its exact key, up to the last checkpoint, which is compared to the bit."""
    finished = FROZEN / "runs" / name / "finished"
    shutil.copytree(finished, "run", ignore=shutil.ignore_patterns("result.json"))
    shutil.copy(FROZEN / "runs" / name / "interrupted" / "run.json", "run")
    assert resumed(capsys) == json.loads((finished / "result.json").read_text())
    assert Path("run/history.jsonl").read_bytes() == (finished / "history.jsonl").read_bytes()
