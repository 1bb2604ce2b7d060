"""What a terminal says of invented results: the verdict, its figures and the next commands."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from result_helpers import about_of, pair, result_of

from pyswarmopt_llm.cli.app import COMMANDS
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.statistics import compare_paired
from pyswarmopt_llm.report.commands import with_relative_paths
from pyswarmopt_llm.report.findings import findings, verdict
from pyswarmopt_llm.scores.tasks.types import Form
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import About

OUT = "runs/a b"
Json = dict[str, Any]


def as_comparison(found: Json) -> Json:
    """What says of a comparison what `pair` takes, as that."""
    return pair(**found) if "mean" in found else found


# Of each case the name, the comparisons on test and on dev, the other fields of the result, of
# run.json and of the settings; `whole`: all that a terminal shows is in the golden file.
LINES = Path(__file__).with_name("sentences.jsonl").read_text(encoding="utf-8").splitlines()
CASES: dict[str, Json] = {
    case["name"]: case for case in (json.loads(line, object_hook=as_comparison) for line in LINES)
}


def result(case: Json) -> Result:
    paired = {split: case[split] for split in ("test", "dev") if split in case}
    fields = case.get("result", {})
    leads = {("best_single", split): pair for split, pair in paired.items()}
    leads |= {tuple(key.split()): pair for key, pair in fields.get("leads", {}).items()}
    given = {"best_single_test": 0.6, "coefficients": {"x": 0.63, "y": -0.61}, **fields}
    given["leads"] = leads
    return result_of(paired={split: {"t": pair} for split, pair in paired.items()}, **given)


def about(case: Json) -> About:
    more = dict(case.get("about", {}))
    if "forms" in more:
        more["forms"] = {task: Form(**form) for task, form in more["forms"].items()}
    return about_of(more, out=OUT, **case.get("config", {}))


def test_the_better_plain_fine_tuning_comes_first_by_test() -> None:
    """The base, 0.66 on test, is 0.22 behind the best expert on dev."""
    mixture, expert = (
        verdict(result(CASES[name])).sentence for name in CASES if "plain fine-tuning" in name
    )
    assert mixture.startswith("Behind plain fine-tuning")
    assert expert.startswith("This is the best")
    for sentence in (mixture, expert):
        first, _, rest = sentence.partition("0.660 on 200 unseen examples, -0.040")
        assert "not significantly" in first and "best single expert, x" in rest
    assert "best expert, x (0.520)" in mixture


@pytest.mark.parametrize("name", CASES)
def test_no_score_on_dev_stands_beside_one_on_test(name: str) -> None:
    found = result(CASES[name])
    sentence = verdict(found).sentence
    scores = {f"{model.dev.value:.3f}" for model in found.models.values()}
    tested = {f"{model.test.value:.3f}" for model in found.models.values() if model.test}
    if found.best.test is not None:
        assert not (scores - tested) & set(re.findall(r"(?<![-+\d.])\d\.\d{3}", sentence))


@pytest.mark.parametrize("name", CASES)
def test_every_step_is_a_command(name: str) -> None:
    steps = findings(about(CASES[name]), result(CASES[name])).steps
    assert 1 <= len(steps) <= 3
    for _, line in steps:
        program, command, *_ = shlex.split(line)
        assert program == "hf" or command in COMMANDS


@pytest.mark.parametrize(("gained", "lost", "kind"), [(21, 10, "level"), (25, 9, "better")])
def test_the_words_the_interval_and_p_agree(gained: int, lost: int, kind: str) -> None:
    """21 gained and 10 lost of 200: a bootstrap's interval starts at 0.005, McNemar's p is 0.071."""
    same = 200 - gained - lost
    ours = [1.0] * gained + [0.0] * lost + [1.0] * same
    theirs = [0.0] * gained + [1.0] * lost + [1.0] * same
    found = compare_paired(ours, theirs)
    assert (found.p_value < 0.05) is (found.interval[0] > 0) is (kind == "better")
    said = verdict(result({"test": found.record()}))
    assert said.kind == kind and f"p = {found.p_value:.3f}" in said.sentence


def test_commands_are_of_paths_as_seen_from_here(tmp_path: Path, here: Path) -> None:
    config = SearchConfig(
        "org/base", (str(tmp_path / "e"), "/elsewhere/f"), (), str(tmp_path / "runs" / "a")
    )
    assert with_relative_paths(config).out == "runs/a" and with_relative_paths(config).experts == (
        "e",
        "/elsewhere/f",
    )
    assert with_relative_paths(replace(config, base=str(tmp_path))).base == str(tmp_path)
