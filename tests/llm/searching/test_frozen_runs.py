"""Runs that earlier versions left in tests/frozen/runs: a half-finished one is resumed to what the
finished one holds; a finished one is reported, evaluated and used.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from search_helpers import Json, Shell

FROZEN = Path(__file__).parents[2] / "frozen"
RUNS = sorted(path.name for path in (FROZEN / "runs").iterdir())


@pytest.fixture
def allowed(request: pytest.FixtureRequest, tmp_path: Path, here: Path) -> list[str]:
    """What of a run executes code; its files, and those that it names, are here."""
    shutil.copytree(FROZEN / "models", tmp_path, dirs_exist_ok=True)
    shutil.copytree(FROZEN / "runs" / request.param, tmp_path, dirs_exist_ok=True)
    metrics: list[str] = json.loads(Path("half/run.json").read_text())["config"]["metrics"]
    return metrics


def named(option: str, values: list[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


# what later versions score in more searches


def gained_and_lost(result: Json, split: str) -> tuple[int, int]:
    """Items that the result has right and the best expert has not, and the other way round."""
    tasks, others = (result["models"][name][split]["tasks"] for name in ("best", "best_single"))
    pairs = [
        pair for task in tasks for pair in zip(items(tasks[task]), items(others[task]), strict=True)
    ]
    return sum(ours > theirs for ours, theirs in pairs), sum(
        ours < theirs for ours, theirs in pairs
    )


def items(outcome: Json) -> list[float]:
    return [float(value) for value in outcome["items"]]


@pytest.mark.parametrize("allowed", RUNS, indirect=True)
def test_a_finished_run_is_reported_evaluated_and_used(allowed: list[str], shell: Shell) -> None:
    result = json.loads(Path("finished/result.json").read_text(encoding="utf-8"))
    found = shell.json(
        "resume", "finished", "--quiet"
    )  # later versions may have more keys, or fewer
    assert {"models", "experts", "best_dev"} <= found.keys() & result.keys()
    leads, before = found.pop("lead"), result.pop("lead")  # computed anew from the scores
    numbers = [name for name, value in result.items() if isinstance(value, int | float | str)]
    assert {"best_dev", "best_test", "best_single_dev", "evaluations", "seconds"} <= {*numbers}
    assert {name: found[name] for name in numbers} == {name: result[name] for name in numbers}
    assert found["coefficients"] == result["coefficients"] and found["stop"] == result["stop"]
    assert leads.keys() == before.keys()
    for split, lead in leads.items():
        assert (lead["difference"], lead["n"]) == (before[split]["difference"], before[split]["n"])
        assert (lead["gained"], lead["lost"]) == gained_and_lost(result, split)
        low, high = lead["interval"]
        assert low <= lead["difference"] <= high
        assert (lead["p_value"] < 0.05) == (low > 0 or high < 0)
    shell("report", "finished")
    assert "</html>" in Path("finished/report.html").read_text()
    scores = result["models"]["best"]["test"]["tasks"]
    for task, score in scores.items():
        one = ["--task", f"{task}.json"] if len(scores) > 1 else []
        words = ["eval", "--run", "finished", *one, *named("--metric", allowed)]
        assert shell.json(*words)["value"] == score["value"]
