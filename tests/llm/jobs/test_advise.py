"""`swarm-llm advise`: two searches on halves of dev, each scored on the other; the test split is left alone."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import files, louder, questions, swarm_llm, write_task

from pyswarmopt_llm.cli.app import COMMANDS
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.jobs.advise import advise
from pyswarmopt_llm.jobs.search.prepare import prepare
from pyswarmopt_llm.models.adapters.adapter import load_factors, read_adapter
from pyswarmopt_llm.models.training.folds import train_once
from pyswarmopt_llm.reporting.advice import gain
from pyswarmopt_llm.tasks import Item, load_task


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> SearchConfig:
    experts = tuple(map(str, louder(tiny_experts, tmp_path / "experts")))
    task = write_task(tmp_path / "words.json", questions(40, 1), questions(6, 2))
    more: dict[str, Any] = {"scoring": "likelihood", "dtype": "float32", "threads": 1}
    return SearchConfig(str(tiny_base), experts, (str(task),), str(tmp_path / "advice"), **more)


def words(config: SearchConfig, *more: str) -> list[str]:
    given = ["advise", "--base", config.base, "--experts", *config.experts, "--task", config.tasks[0], "--quiet"]
    return [*given, "--out", config.out, "--scoring", "likelihood", "--dtype", "float32", "--threads", "1", *more]


def test_the_gains_are_those_of_two_searches_each_on_half_of_the_items(config: SearchConfig, tmp_path: Path) -> None:
    found = advise(config)
    items = load_task(config.tasks[0]).dev
    halves: list[list[Item]] = []
    values: dict[str, list[float]] = {"merge": [], "train": [], "search": [], "single": []}
    for number in (1, 2):
        run = Path(config.out) / f"half-{number}"
        stored, result = (json.loads((run / name).read_text()) for name in ("run.json", "result.json"))
        assert stored["config"]["train"] == "on" and result["trained_dev"] >= 0
        job = prepare(replace(config, half=number, train="on", out=str(tmp_path / "unused")))
        task = job.tasks["words"]
        halves.append(list(task.dev))
        assert sorted(map(repr, [*task.dev, *task.test])) == sorted(map(repr, items))
        (utility,) = job.utilities("test", {"words": "likelihood"}).values()
        dev = result["experts"]["dev"]
        single = max(dev, key=dev.__getitem__)
        for way, position in (("single", torch.eye(3)[list(dev).index(single)]), ("merge", torch.full((3,), 1 / 3))):
            job.engine.load(job.space.realise(position.double()))
            values[way] += utility(job.engine).per_item
        job.engine.load(Patch(low_rank=load_factors(read_adapter(run / "best"))))
        values["search"] += utility(job.engine).per_item
        job.engine.load(Patch())
        _, choices = job.training_items({"words": "likelihood"})
        assert len(choices) == 20
        job.engine.load(train_once(job.engine, choices, job.experts[0], 0)[0])
        values["train"] += utility(job.engine).per_item
    assert not {item.question for item in halves[0]} & {item.question for item in halves[1]}
    answers = [sorted(item.answer_text for item in half) for half in halves]
    assert all(abs(answers[0].count(one) - answers[1].count(one)) <= 1 for one in {*answers[0], *answers[1]})
    single_values = values.pop("single")
    assert found.gains == {way: gain(own, single_values) for way, own in values.items()}
    assert found.items == 40 and found.expert in ("ant", "bee", "cat")


def test_the_expert_is_the_best_of_both_halves(config: SearchConfig) -> None:
    found, totals = advise(config), dict.fromkeys(("ant", "bee", "cat"), 0.0)
    for number in (1, 2):
        result = json.loads((Path(config.out) / f"half-{number}" / "result.json").read_text())
        totals = {name: total + result["experts"]["dev"][name] for name, total in totals.items()}
    assert found.expert == max(totals, key=totals.__getitem__)


def test_it_goes_on_where_it_was_stopped_and_reads_what_is_done(config: SearchConfig, tmp_path: Path) -> None:
    seen: list[Any] = []

    def stop(event: Any) -> None:
        seen.append(event)
        if len(seen) == stop_at:
            raise KeyboardInterrupt

    whole = advise(replace(config, out=str(tmp_path / "whole")), seen.append)
    total = len(seen)
    for share in (0.3, 0.7, 0.95):
        stop_at = int(share * total)
        seen.clear()
        out = str(tmp_path / f"stopped-{share}")
        with pytest.raises(KeyboardInterrupt):
            advise(replace(config, out=out), stop)
        found = advise(replace(config, out=out))
        assert found.gains == whole.gains and found.verdict == whole.verdict
    before = files(tmp_path / "whole")
    assert advise(replace(config, out=str(tmp_path / "whole"))).verdict == whole.verdict
    assert files(tmp_path / "whole") == before
    with pytest.raises(UserError, match=r"whole: holds another run \(seed differs\); give another out"):
        advise(replace(config, out=str(tmp_path / "whole"), seed=1))


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
    assert code == 0 and "at most 24 evaluations" in out and not Path(config.out).exists()


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


def test_the_command_says_first_how_long_it_takes(config: SearchConfig, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = swarm_llm(capsys, *[word for word in words(config) if word != "--quiet"])
    first = next(line for line in said.splitlines() if "trial" in line)
    assert code == 0 and said.index(first) < said.index("half 1 of 2")
    assert first.startswith("The trial searches on each half") and "forward passes of an item, 0:" in first


def test_a_pattern_that_matches_nothing_is_named(config: SearchConfig) -> None:
    with pytest.raises(UserError, match=r"^nowhere/\* does not exist; check the path"):
        advise(replace(config, experts=("nowhere/*",)))
    assert not Path(config.out).exists()
