"""`swarm-llm advise`: a trial that is a run, advice that follows from its rows, and the test split left alone."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_helpers import files, history, louder, questions, swarm_llm, write_task

from pyswarmopt_llm.cli import COMMANDS
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.jobs.advise import advise
from pyswarmopt_llm.reporting.advice import gain


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> SearchConfig:
    experts = tuple(map(str, louder(tiny_experts, tmp_path / "experts")))
    task = write_task(tmp_path / "words.json", questions(40, 1), questions(6, 2))
    more: dict[str, Any] = {"scoring": "likelihood", "dtype": "float32", "threads": 1}
    return SearchConfig(str(tiny_base), experts, (str(task),), str(tmp_path / "advice"), **more)


def words(config: SearchConfig, *more: str) -> list[str]:
    given = ["advise", "--base", config.base, "--experts", *config.experts, "--task", config.tasks[0], "--quiet"]
    return [*given, "--out", config.out, "--scoring", "likelihood", "--dtype", "float32", "--threads", "1", *more]


def test_the_trial_has_every_way_and_the_gains_are_those_of_its_rows(config: SearchConfig) -> None:
    found = advise(config)
    *rows, last = history(Path(config.out))
    coefficients = [row["coefficients"] for row in rows]
    assert coefficients[:3] == np.eye(3).tolist() and coefficients[3] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert len(rows) == 2 * 3 + 8 and all(row["phase"] == "search" for row in rows)
    outcomes = np.array([[float(c) for c in row["items"]["words"]] for row in rows])
    # What training added to the best of all, added to all.
    after = np.array([float(c) for c in last["items"]["words"]])
    before = coefficients.index(last["coefficients"][:3])
    assert last["phase"] == "trained" and outcomes[before].sum() == outcomes.sum(1).max()
    outcomes = np.vstack([outcomes, outcomes + (after - outcomes[before])])
    ways: dict[str, list[int]] = {"merge": [3], "train": [*range(14, 28)], "search": [*range(4, 14)]}
    assert found.gains == {way: gain(outcomes, own, [0, 1, 2]) for way, own in ways.items()}
    assert found.items == 40 and found.expert == ["ant", "bee", "cat"][int(outcomes[:3].mean(1).argmax())]
    result = json.loads((Path(config.out) / "result.json").read_text())
    assert "best_test" not in result and "paired" in result  # test was not looked at


def test_it_goes_on_where_it_was_stopped_and_reads_what_is_done(config: SearchConfig, tmp_path: Path) -> None:
    def stop(event: Any) -> None:
        if event.kind == "evaluation" and event.data["evaluations"] == 6:
            raise KeyboardInterrupt

    whole = advise(replace(config, out=str(tmp_path / "whole")))
    with pytest.raises(KeyboardInterrupt):
        advise(config, stop)
    found = advise(config)
    assert found.gains == whole.gains and history(Path(config.out)) == history(tmp_path / "whole")
    before = files(Path(config.out))
    assert advise(config).verdict == found.verdict and files(Path(config.out)) == before


def test_the_command_prints_the_advice_and_json_says_the_same(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = swarm_llm(capsys, *words(config, "--json"))
    record = json.loads(out)
    assert code == 0 and set(record["gains"]) == {"merge", "train", "search"}
    assert record["advice"] in ("take", "merge", "train", "search", "collect") and record["items"] == 40
    code, out, _ = swarm_llm(capsys, *words(config))
    assert code == 0 and out.splitlines()[0] == record["sentence"]
    for step in record["next"]:
        program, command, *_ = shlex.split(step["command"])
        assert program == "swarm-llm" and command in COMMANDS and step["command"] in out


def test_a_dry_run_says_what_it_costs_and_writes_nothing(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = swarm_llm(capsys, *words(config, "--dry-run"))
    assert code == 0 and "at most 14 evaluations" in out and not Path(config.out).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dev": 7}, "7 dev items tell nothing; give at least 8"),
        ({"base": ""}, "LoRA experts of one base"),
        ({"experts": ()}, "a search mixes at least 2"),
    ],
)
def test_what_it_cannot_judge_is_refused_before_anything_is_written(
    config: SearchConfig, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        advise(replace(config, **change))
    assert not Path(config.out).exists()


def test_another_run_in_its_place_is_refused(config: SearchConfig) -> None:
    advise(config)
    with pytest.raises(UserError, match=r"holds another run \(seed differs\); give another --out"):
        advise(replace(config, seed=1))
