"""`swarm-llm advise`: two searches on halves of dev, each scored on the other; the test split is
left alone.
"""

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
from pyswarmopt_llm.jobs.advise import MOST, advise, plan_trial
from pyswarmopt_llm.jobs.dry_run import dry_run_advise, dry_run_search
from pyswarmopt_llm.jobs.search.loop import search
from pyswarmopt_llm.jobs.search.prepare import prepare
from pyswarmopt_llm.models.adapters.adapter import load_factors, read_adapter
from pyswarmopt_llm.models.choices import EPOCHS, labelled, training_passes
from pyswarmopt_llm.models.training.folds import fit
from pyswarmopt_llm.reporting.advice import gain
from pyswarmopt_llm.tasks import Item, load_task


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> SearchConfig:
    experts = tuple(map(str, louder(tiny_experts, tmp_path / "experts")))
    task = write_task(tmp_path / "words.json", questions(40, 1), questions(6, 2))
    more: dict[str, Any] = {"scoring": "likelihood", "dtype": "float32", "threads": 1}
    return SearchConfig(str(tiny_base), experts, (str(task),), str(tmp_path / "advice"), **more)


def words(config: SearchConfig, *more: str) -> list[str]:
    typed = [
        "advise",
        "--base",
        config.base,
        "--experts",
        *config.experts,
        "--task",
        config.tasks[0],
        "--quiet",
    ]
    return [
        *typed,
        "--out",
        config.out,
        "--scoring",
        "likelihood",
        "--dtype",
        "float32",
        "--threads",
        "1",
        *more,
    ]


def test_the_gains_are_those_of_two_searches_each_on_half_of_the_items(
    config: SearchConfig, tmp_path: Path
) -> None:
    advised = advise(config)
    items = load_task(config.tasks[0]).dev
    halves: list[list[Item]] = []
    on_dev = dict.fromkeys(("ant", "bee", "cat"), 0.0)
    values: dict[str, list[float]] = {"take": [], "train": [], "expert": [], "search": []}
    for number in (1, 2):
        run = Path(config.out) / f"half-{number}"
        stored, result = (
            json.loads((run / name).read_text()) for name in ("run.json", "result.json")
        )
        assert stored["config"]["train"] == "off" and result["best_test"] is not None
        job = prepare(replace(config, half=number, out=str(tmp_path / "unused")))
        task = job.tasks["words"]
        halves.append(list(task.dev))
        assert sorted(map(repr, [*task.dev, *task.test])) == sorted(map(repr, items))
        (utility,) = job.utilities("test", {"words": "likelihood"}).values()
        dev = result["experts"]["dev"]
        on_dev = {name: total + dev[name] for name, total in on_dev.items()}
        single = list(dev).index(max(dev, key=dev.__getitem__))
        expert = job.space.realise(torch.eye(3).double()[single])
        job.engine.load(expert)
        values["take"] += utility(job.engine).per_item
        _, choices = job.training_items({"words": "likelihood"})
        assert len(choices) == 20
        best = Patch(low_rank=load_factors(read_adapter(run / "best")))
        for way, start in (("search", best), ("expert", expert), ("train", Patch())):
            lora = fit(job.engine, start, choices, job.experts[0], 0)
            job.engine.load(start.with_low_rank(lora.low_rank))
            values[way] += utility(job.engine).per_item
    assert not {item.question for item in halves[0]} & {item.question for item in halves[1]}
    answers = [sorted(item.answer_text for item in half) for half in halves]
    assert all(
        abs(answers[0].count(answer) - answers[1].count(answer)) <= 1
        for answer in {*answers[0], *answers[1]}
    )
    take = values.pop("take")
    assert advised.gains == {way: gain(scores, take) for way, scores in values.items()}
    assert advised.items == 40 and advised.expert == max(on_dev, key=on_dev.__getitem__)


def passes_of(out: Path, items: int) -> int:
    """Forward passes of an item that the journals and the trainings of a trial took."""
    searched = sum(
        json.loads(line)["n"]
        for number in (1, 2)
        for line in (out / f"half-{number}" / "history.jsonl").read_text().splitlines()
    )
    return searched + 6 * (training_passes(items, labelled(2 * items).without_fold) + items)


def test_it_is_cheaper_than_the_search_it_is_about(config: SearchConfig, tmp_path: Path) -> None:
    task = write_task(tmp_path / "more.json", questions(80, 1), questions(6, 2))
    config = replace(config, tasks=(str(task),))
    searched = search(replace(config, out=str(tmp_path / "search"))).result
    advise(config)
    assert passes_of(Path(config.out), 40) < searched["passes"] + searched["passes_rivals"]


def test_few_items_are_tried(config: SearchConfig, tmp_path: Path) -> None:
    task = write_task(tmp_path / "many.json", questions(400, 1), questions(6, 2))
    more = replace(config, tasks=(str(task),))
    planned = plan_trial(more)
    first, second = planned.halves
    assert planned.epochs == EPOCHS // 2 and first.dev == second.dev == MOST
    assert not planned.scorable
    plan, large = dry_run_advise(more), dry_run_search(replace(more, out=str(tmp_path / "whole")))
    assert plan.passes < large.passes / 2


def test_it_goes_on_where_it_was_stopped_and_reads_what_is_done(
    config: SearchConfig, tmp_path: Path
) -> None:
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
        continued = advise(replace(config, out=out))
        assert continued.gains == whole.gains and continued.verdict == whole.verdict
    before = files(tmp_path / "whole")
    assert advise(replace(config, out=str(tmp_path / "whole"))).verdict == whole.verdict
    assert files(tmp_path / "whole") == before
    with pytest.raises(
        UserError, match=r"whole: holds another run \(seed differs\); give another out"
    ):
        advise(replace(config, out=str(tmp_path / "whole"), seed=1))


def test_the_command_prints_the_advice_and_json_says_the_same(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = swarm_llm(capsys, *words(config, "--json"))
    record = json.loads(out)
    assert code == 0 and set(record["gains"]) == {"train", "expert", "search"}
    assert record["advice"] in ("take", "train", "expert", "search", "collect")
    assert record["items"] == 40
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


def test_the_command_says_first_how_long_it_takes(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, said = swarm_llm(capsys, *[word for word in words(config) if word != "--quiet"])
    first = next(line for line in said.splitlines() if "trial" in line)
    assert code == 0 and said.index(first) < said.index("half 1 of 2")
    assert first.startswith("The trial searches on each half")
    assert "forward passes of an item" in first and first.endswith("on this machine")


def test_a_pattern_that_matches_nothing_is_named(config: SearchConfig) -> None:
    with pytest.raises(UserError, match=r"^nowhere/\* does not exist; check the path"):
        advise(replace(config, experts=("nowhere/*",)))
    assert not Path(config.out).exists()
