"""Two models side by side: `swarm-llm eval --against` and `--run`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from search_helpers import Json, questions, small, swarm_llm, write_task

import pyswarmopt_llm.searching.use.model as model
from pyswarmopt_llm.common.statistics import permutation_test, score_of
from pyswarmopt_llm.scores.metrics.objectives import written
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.loop import search
from pyswarmopt_llm.searching.use.model import evaluate_model

QUICK = ("--threads", "1", "--scoring", "likelihood")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task(
        tmp_path_factory.mktemp("task") / "words.json", questions(12, 1), questions(40, 2)
    )


@pytest.fixture(scope="module")
def run(
    tiny_base: Path, experts: list[Path], task: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("runs") / "first"
    search(small(tiny_base, experts, [task], path, test=30))
    return path


def compared(capsys: pytest.CaptureFixture[str], *words: object) -> Json:
    code, out, err = swarm_llm(capsys, "eval", *words, *QUICK, "--json")
    assert code == 0, err
    found: Json = json.loads(out)
    return found


def test_items_gained_and_lost_are_those_of_two_separate_evaluations(
    tiny_base: Path, experts: list[Path], task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = experts[:2]
    found = compared(
        capsys, "--base", tiny_base, "--adapter", ours, "--against", theirs, "--task", task
    )
    one, other = (
        evaluate_model(str(tiny_base), str(expert), str(task), scoring="likelihood", threads=1)
        for expert in (ours, theirs)
    )
    items = load_task(str(task)).test
    rows = list(zip(items, one.score.per_item, other.score.per_item, strict=True))
    assert (found["value"], found["interval"]) == (one.score.value, list(one.interval))
    assert (found["against"]["value"], found["against"]["adapter"]) == (
        other.score.value,
        str(theirs),
    )
    assert [row["id"] for row in found["gained"]] == [item.id for item, a, b in rows if a > b] != []
    assert [row["id"] for row in found["lost"]] == [item.id for item, a, b in rows if a < b] != []
    differences = [a - b for _, a, b in rows]
    assert found["paired"]["difference"] == pytest.approx(sum(differences) / 40)
    assert found["paired"]["p_value"] == permutation_test(differences)
    for row, right in [(row, 0) for row in found["gained"]] + [(row, 1) for row in found["lost"]]:
        assert row["answers"][right] == row["right"] != row["answers"][1 - right]


def test_the_first_sentence_is_a_verdict_and_some_items_are_shown(
    tiny_base: Path, experts: list[Path], task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--base", tiny_base, "--adapter", experts[0], "--against", experts[1], "--task", task]
    found = compared(capsys, *words)
    code, out, _ = swarm_llm(capsys, "eval", *words, *QUICK)
    lines = out.splitlines()
    assert code == 0 and lines[0] == found["verdict"]["sentence"]
    assert f"Gained (3 of {len(found['gained'])}; all of them with --json):" in lines
    first = found["gained"][0]
    start = lines.index(f"  {first['question']}")
    shown = [
        f"right: {first['right']}",
        *(f"{n}: {a}" for n, a in zip(("ant", "bee"), first["answers"], strict=True)),
    ]
    assert [line.strip() for line in lines[start + 1 : start + 4]] == shown


def test_the_base_is_compared_in_both_directions(
    tiny_base: Path, experts: list[Path], task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--base", tiny_base, "--task", task]
    there = compared(capsys, *words, "--adapter", experts[0], "--against", "base")
    back = compared(capsys, *words, "--against", experts[0])
    assert there["paired"]["difference"] == -back["paired"]["difference"]
    assert there["against"]["adapter"] is None and there["gained"] != [] == [
        row for row in there["gained"] if row["id"] not in [one["id"] for one in back["lost"]]
    ]
    assert "the base" in there["verdict"]["sentence"]


def test_a_run_brings_its_model_its_task_and_how_it_was_read(
    run: Path, tiny_base: Path, experts: list[Path], task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json.loads((run / "result.json").read_text())
    code, out, _ = swarm_llm(capsys, "eval", "--run", run, "--json")
    alone = json.loads(out)
    assert code == 0 and (alone["n"], alone["value"]) == (30, result["best_test"])
    words = ["--base", tiny_base, "--task", task, "--test", 30]
    against_run = compared(capsys, *words, "--adapter", experts[0], "--against", run)
    against_best = compared(capsys, *words, "--adapter", experts[0], "--against", run / "best")
    assert against_run["against"] == against_best["against"]
    from_run = compared(capsys, "--run", run, "--against", experts[0])
    assert from_run["value"] == result["best_test"]
    assert from_run["paired"]["difference"] == -against_run["paired"]["difference"]


def test_graded_scores_are_compared_by_their_size(
    tiny_base: Path, experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [{"question": f"Word {i}?", "answer": f"amber birch {i}"} for i in range(12)]
    task = write_task(tmp_path / "open.json", items[:4], items[4:])
    words = ["--base", tiny_base, "--adapter", experts[0], "--against", experts[1], "--task", task]
    code, out, err = swarm_llm(
        capsys, "eval", *words, "--metric", "perplexity", "--threads", "1", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    sizes = [abs(row["values"][0] - row["values"][1]) for row in found["gained"]]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) + len(found["lost"]) == 8
    assert all(row["answers"] is None for row in found["gained"] + found["lost"])


def test_a_judge_compares_the_texts_and_the_scores_are_shares_of_wins(
    tiny_base: Path,
    experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prefers = [1.0, 1.0, 0.5, 0.0]
    judge = written("taste", lambda items, texts: pytest.fail("rated"), "nothing", 4)
    judge = replace(judge, compare=lambda items, ours, theirs: score_of(prefers))
    monkeypatch.setattr(model, "find_metric", lambda *_, **__: judge)
    items = [{"question": f"Word {i}?", "answer": "x"} for i in range(8)]
    task = write_task(tmp_path / "open.json", items[:4], items[4:])
    words = ["--base", tiny_base, "--adapter", experts[0], "--against", experts[1], "--task", task]
    code, out, err = swarm_llm(
        capsys, "eval", *words, "--metric", "taste", "--threads", "1", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert (found["value"], found["against"]["value"], found["metric"]) == (
        0.625,
        0.375,
        "wins by taste",
    )
    assert (found["paired"]["difference"], len(found["gained"]), len(found["lost"])) == (0.25, 2, 1)


def test_a_run_that_names_code_is_not_believed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = json.loads((run / "run.json").read_text())
    about["config"]["metrics"] = ["evaluate:./evil.py"]
    (tmp_path / "best").mkdir()
    (tmp_path / "run.json").write_text(json.dumps(about))
    code, _, err = swarm_llm(capsys, "eval", "--run", tmp_path)
    assert code == 2 and "names code to run" in err and "--metric evaluate:./evil.py" in err
