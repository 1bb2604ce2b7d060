"""Two models side by side: `swarm-llm eval --against` and `--run`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from search_helpers import Json, MakeSearch, Shell, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.paired import paired_test
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.use.evaluate import evaluate_model

Capsys = pytest.CaptureFixture[str]
QUICK = ("--threads", "1", "--scoring", "likelihood")


@pytest.fixture(scope="module")
def config(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> SearchConfig:
    return make_search(tmp_path_factory.mktemp("against"), 12, 40, test=30)


@pytest.fixture(scope="module")
def run(config: SearchConfig) -> Path:
    return search(config).run


@pytest.fixture
def pair(config: SearchConfig) -> list[object]:
    """Two experts side by side, but for the task."""
    ours, theirs, _ = config.experts
    return ["--base", config.base, "--adapter", ours, "--against", theirs]


def compared(shell: Shell, *words: object) -> Json:
    return shell.json("eval", *words, *QUICK)


def test_items_gained_and_lost_are_those_of_two_separate_evaluations(
    config: SearchConfig, pair: list[object], shell: Shell
) -> None:
    (task,) = config.tasks
    found = compared(shell, *pair, "--task", task)
    one, other = (
        evaluate_model(config.base, expert, task, scoring="likelihood", threads=1)
        for expert in config.experts[:2]
    )
    items = load_task(task).test
    rows = list(zip(items, one.score.per_item, other.score.per_item, strict=True))
    assert (found["value"], found["interval"]) == (one.score.value, list(one.interval))
    theirs = found["against"]
    assert (theirs["value"], theirs["adapter"]) == (other.score.value, config.experts[1])
    assert [row["id"] for row in found["gained"]] == [item.id for item, a, b in rows if a > b] != []
    assert [row["id"] for row in found["lost"]] == [item.id for item, a, b in rows if a < b] != []
    differences = [a - b for _, a, b in rows]
    assert found["paired"]["difference"] == pytest.approx(sum(differences) / 40)
    assert found["paired"]["p_value"] == paired_test(differences).p_value
    wins = found["wins"]
    counts = [sum(a > b for _, a, b in rows), sum(a == b for _, a, b in rows)]
    assert [wins["won"], wins["tied"], wins["lost"]] == [*counts, 40 - sum(counts)]
    assert wins["rate"] == pytest.approx((counts[0] + counts[1] / 2) / 40)
    assert wins["interval"][0] < wins["rate"] < wins["interval"][1]
    for row, right in [(row, 0) for row in found["gained"]] + [(row, 1) for row in found["lost"]]:
        assert row["answers"][right] == row["right"] != row["answers"][1 - right]


def test_a_run_brings_its_model_its_task_and_how_it_was_read(
    run: Path, config: SearchConfig, shell: Shell
) -> None:
    result = json.loads((run / "result.json").read_text())
    alone = shell.json("eval", "--run", run)
    assert (alone["n"], alone["value"]) == (30, result["best_test"])
    words = ["--base", config.base, "--task", *config.tasks, "--test", 30]
    words += ["--adapter", config.experts[0]]
    against_run = compared(shell, *words, "--against", run)
    against_best = compared(shell, *words, "--against", run / "best")
    assert against_run["against"] == against_best["against"]
    from_run = compared(shell, "--run", run, "--against", config.experts[0])
    assert from_run["value"] == result["best_test"]
    assert from_run["paired"]["difference"] == -against_run["paired"]["difference"]


def test_a_metric_that_a_run_names_keeps_its_answer_format_and_is_known_as_trained(
    run: Path, tmp_path: Path, shell: Shell
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    about, result = (json.loads((run / name).read_text()) for name in ("run.json", "result.json"))
    about["config"] |= {"metrics": ["accuracy"], "scoring": "auto"}
    (copy / "run.json").write_text(json.dumps(about))
    result["objectives"] = {"words": result["objectives"]["words"] | {"scoring": "letter"}}
    dev = {"value": 0.5, "tasks": {"words": {"value": 0.25}}}
    result["models"]["best"] |= {"trained": True, "dev": dev}
    (copy / "result.json").write_text(json.dumps(result))
    found = shell.json("eval", "--run", copy, "--split", "dev")
    assert found["scoring"] == "letter" and "was trained on these dev examples" in found["note"]


def open_task(folder: Path, answer: str) -> Path:
    items = [{"question": f"Word {i}?", "answer": f"{answer} {i}"} for i in range(12)]
    return write_task(folder / "open.json", items[:4], items[4:])


def test_values_and_differences_have_one_sign_where_lower_is_better(
    pair: list[object], tmp_path: Path, shell: Shell
) -> None:
    words = [*pair, "--task", open_task(tmp_path, "amber"), "--metric", "tokens"]
    found = shell.json(
        "eval", *words, "--max-new-tokens", "6", "--threads", "1", "--dtype", "float32"
    )
    difference = found["value"] - found["against"]["value"]
    assert found["better"] == "lower" and found["value"] > 0
    assert found["paired"]["difference"] == pytest.approx(difference)
    low, high = found["paired"]["interval"]
    assert low <= difference <= high
    for rows, wins in (
        (found["gained"], found["wins"]["won"]),
        (found["lost"], found["wins"]["lost"]),
    ):
        assert len(rows) == wins
    assert found["gained"] + found["lost"]
    assert all(0 <= row["values"][0] < row["values"][1] for row in found["gained"])
    assert all(0 <= row["values"][1] < row["values"][0] for row in found["lost"])


def test_graded_scores_are_compared_by_their_size(
    pair: list[object], tmp_path: Path, shell: Shell
) -> None:
    words = [*pair, "--task", open_task(tmp_path, "amber birch"), "--metric", "perplexity"]
    found = shell.json("eval", *words, "--threads", "1")
    sizes = [abs(row["values"][0] - row["values"][1]) for row in found["gained"]]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) + len(found["lost"]) == 8
    assert all(row["answers"] is None for row in found["gained"] + found["lost"])


def test_a_run_that_names_code_is_not_believed(run: Path, tmp_path: Path, shell: Shell) -> None:
    about = json.loads((run / "run.json").read_text())
    about["config"]["metrics"] = ["evaluate:./evil.py"]
    (tmp_path / "best").mkdir()
    (tmp_path / "result.json").touch()
    (tmp_path / "run.json").write_text(json.dumps(about))
    err = shell.refused("eval", "--run", tmp_path)
    assert "names code to run" in err and "--metric evaluate:./evil.py" in err
