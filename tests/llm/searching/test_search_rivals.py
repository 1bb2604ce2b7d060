"""What a result stands beside: the base, and base and best expert fine-tuned on the same items."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import (
    DEFAULT,
    MakeSearch,
    ends_as,
    hand_over,
    keep_trained,
    note_trainings,
    questions,
    stopped,
    write_task,
)

from pyswarmopt.base.optimizer import Point
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import compare_paired
from pyswarmopt_llm.report.findings import findings, score_rows, verdict
from pyswarmopt_llm.report.run import resume, search
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.searching.dry_run import dry_run_search
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.record import unpack
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.surrogate import Surrogate
from pyswarmopt_llm.searching.training.trainer import fit, folds


@pytest.fixture
def config(words_search: MakeSearch) -> SearchConfig:
    more = {"space": "delta", "method": "items", "train": "on", "dtype": "float32"}
    return words_search(8, 12, max_iter=None, **more)


@pytest.fixture
def mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search hands a mixture to the training that is neither an expert nor the base."""
    force(monkeypatch, [0.5, 0.25, 1.0])


def force(monkeypatch: pytest.MonkeyPatch, weights: list[float], kept: bool = True) -> None:
    position = torch.tensor(weights, dtype=torch.float64)
    monkeypatch.setattr(Surrogate, "best", lambda self: Point(position, 0.5))
    keep_trained(monkeypatch, kept)
    hand_over(monkeypatch, start_at(weights))


def start_at(weights: list[float]) -> str:
    if not any(weights):
        return "base"
    return "expert" if sorted(weights) == [0.0, 0.0, 1.0] else "mixture"


def by_hand(job: Job, start: Patch | None, split: str) -> tuple[float, ...]:
    """Item by item, the base or what is trained on dev from `start`."""
    patch = Patch()
    if start is not None:
        choices = job.choices({"words": "likelihood"})
        lora = fit(job.engine, start, choices, job.pool.experts[0], job.plan.config.seed)
        patch = start.with_low_rank(lora.low_rank)
    (utility,) = job.utilities(split, {"words": "likelihood"}).values()
    job.engine.load(patch)
    return utility(job.engine).per_item


def without_folds(job: Job, start: Patch) -> list[float]:
    """The values on dev of what is trained without each item's fold."""
    (utility,) = job.utilities("dev", {"words": "likelihood"}).values()
    choices = job.choices({"words": "likelihood"})
    values = [0.0] * len(choices)
    for fold in folds(choices, job.plan.config.seed):
        rest = [item for place, item in enumerate(choices) if place not in fold]
        lora = fit(job.engine, start, rest, job.pool.experts[0], job.plan.config.seed)
        job.engine.load(start.with_low_rank(lora.low_rank))
        for place, value in enumerate(utility(job.engine).per_item):
            values[place] = value if place in fold else values[place]
    return values


@pytest.mark.usefixtures("mixture")
def test_a_search_that_trains_stands_beside_what_training_alone_gives(config: SearchConfig) -> None:
    result: Any = search(config).result
    job = prepare(replace(config, out="unused"))
    single = [expert["dev"]["value"] for expert in result["experts"].values()]
    number = max(range(3), key=lambda i: single[i])
    starts = {
        "base": None,
        "base_tuned": Patch(),
        "expert_tuned": job.pool.space.realise(job.pool.space.vertices()[number]),
    }
    models, found = result["models"], Result.from_json(result)
    ours = unpack(models["best"]["test"]["tasks"]["words"]["items"])
    for name, start in starts.items():
        rival = models[name]
        test = by_hand(job, start, "test")
        dev = by_hand(job, start, "dev") if start is None else without_folds(job, start)
        assert rival["test"]["value"] == result[f"{name}_test"] == pytest.approx(sum(test) / 12)
        assert rival["dev"]["value"] == result[f"{name}_dev"] == pytest.approx(sum(dev) / 8)
        low, high = rival["test"]["interval"]
        assert 0 <= low <= rival["test"]["value"] <= high <= 1
        expected = compare_paired(ours, test)
        lead, counts = found.lead(name), ("difference", "n", "gained", "lost", "items_needed")
        assert all(getattr(lead, count) == getattr(expected, count) for count in counts)
        assert lead is not None and lead.p_value >= expected.p_value  # corrected for their number
        assert rival["trained"] is (start is not None)
    assert result["cost"]["passes_rivals"] == (8 + 12) + 2 * 12  # trained by the search
    alone: Any = search(replace(config, out=f"{config.out}-alone", no_rivals=True)).result
    assert "base" not in alone["models"] and "passes_rivals" not in alone["cost"]
    assert alone["best_test"] == result["best_test"]
    folders = Path(f"{config.out}-alone", "trained").glob("*/all")
    (handed_over,) = [folder.parent.name for folder in folders]  # and no other on all examples
    more = len({"base", "expert"} - {handed_over})
    assert result["passes"] - alone["passes"] == more * 10 * 8  # four epochs at 2.5 passes
    stored = Path(f"{config.out}-alone", "results.jsonl").read_text()
    assert '"who": "base"' not in stored


@pytest.mark.parametrize(("name", "kept"), [("base_tuned", True), ("expert_tuned", False)])
def test_what_the_search_trained_itself_is_not_trained_again(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch, name: str, kept: bool
) -> None:
    plain: Any = search(replace(config, out=f"{config.out}-plain", train="off")).result
    best = plain["best_single"] if name == "expert_tuned" else None
    weights = [float(expert == best) for expert in plain["coefficients"]]
    force(monkeypatch, weights, kept)
    trained = note_trainings(monkeypatch)
    result: Any = search(config).result
    same = result["models"][name]
    assert same == result["models"]["trained"]
    # base and best expert, without each of five folds and on all, whatever they score on dev
    assert len(trained) == 2 * (5 + 1)
    assert all("test" in result["models"][model] for model in ("base_tuned", "expert_tuned"))
    assert (same == result["models"]["best"]) is kept
    # It is in the table once, and what it would be if it were trained again.
    labels = [*score_rows(Result.from_json(result))]
    assert len([label for label in labels if "fine-tuned" in label]) == 2
    job = prepare(replace(config, out="unused"))
    start = job.pool.space.realise(torch.tensor(weights, dtype=torch.float64))
    assert sum(by_hand(job, start, "test")) / 12 == pytest.approx(same["test"]["value"])


def test_a_run_that_was_stopped_among_its_rivals_ends_as_one_that_was_not(
    config: SearchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mixture: None
) -> None:
    search(config)
    Path(config.out).rename(tmp_path / "whole")
    lines = (tmp_path / "whole" / "results.jsonl").read_text().splitlines(keepends=True)
    scored = [json.loads(line) for line in lines if '"model ' in line]
    who = [(row["what"].removeprefix("model "), row["who"]) for row in scored]
    rivals = [("dev", "base"), ("test", "base"), ("test", "base_tuned"), ("test", "expert_tuned")]
    assert who[-4:] == rivals

    # What is scored is not scored again, a line that was cut off is; nothing is trained again.
    stopped(config, 1, "closing")
    cut = "".join(lines[:-1]) + lines[-1][:40]
    (Path(config.out) / "results.jsonl").write_text(cut)
    trained = note_trainings(monkeypatch)
    resume(config.out)
    assert not trained
    ends_as(Path(config.out), tmp_path / "whole")


def test_a_damaged_result_is_said(config: SearchConfig) -> None:
    search(replace(config, train="off"))
    file = Path(config.out) / "result.json"
    result = json.loads(file.read_text())
    base = result["models"]["base"]
    for broken in ({**base, "dev": 1}, {**base, "weights": {}}, {"weights": base["weights"]}, []):
        models = {**result["models"], "base": broken}
        file.write_text(json.dumps({**result, "models": models}))
        with pytest.raises(UserError, match=r"result\.json: damaged \(models"):
            _ = Run(Path(config.out)).result


@pytest.mark.usefixtures("mixture")
def test_without_test_items_only_the_base_can_be_compared(config: SearchConfig) -> None:
    result: Any = search(replace(config, test=0)).result
    assert "base_dev" in result and "base_test" not in result
    assert "base_tuned" not in result["models"] and Result.from_json(result).lead("base") is None
    assert verdict(Result.from_json(result)).kind == "untested"


@pytest.mark.parametrize(
    "more",
    [
        {"train": "off"},
        {**DEFAULT, "particles": None, "max_iter": None, "dev": 4, "train": "auto"},
        {**DEFAULT, "particles": None, "max_iter": None, "quick": True, "train": "auto"},
        {"space": "factor", "train": "off", "max_iter": 1},
    ],
    ids=["training off", "too few to train", "quick", "published"],
)
def test_where_no_rival_is_trained_the_base_stands_beside_the_result_everywhere(
    config: SearchConfig, more: dict[str, Any]
) -> None:
    config = replace(config, **{"method": "auto", **more})
    result: Any = search(config).result
    base = result["models"]["base"]
    assert result["cost"]["passes_rivals"] == (config.dev or 8) + 12
    found = findings(Run(Path(config.out)).about, Result.from_json(result))
    row = f"{base['test']['value']:.3f} ["
    assert found.rows["base model"].test is not None and f"| base model | {row}" in card_of(config)
    few = "Nothing was trained: 4 dev examples, too few to train on: `auto` trains from 40 on; add"
    assert (few in " ".join(found.notes)) == (config.dev == 4)
    assert not [line for line in found.notes if "base model was not scored" in line]


def card_of(config: SearchConfig) -> str:
    return Path(config.out, "best", "README.md").read_text(encoding="utf-8")


def test_a_base_that_is_not_scored_is_said_to_be(config: SearchConfig) -> None:
    search(replace(config, no_rivals=True, train="off"))
    page = Path(config.out, "report.html").read_text(encoding="utf-8")
    for text in (card_of(config), page):
        assert "The base model was not scored" in text


def test_a_result_that_is_the_base_is_in_the_table_once(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    force(monkeypatch, [0.0, 0.0, 0.0])
    found = Result.from_json(search(replace(config, train="off")).result)
    labels = [*score_rows(found)]
    assert "base model (result)" in labels and "base model" not in labels
    said = verdict(found)
    assert said.kind == "same" and "the base model" in said.sentence


@pytest.mark.usefixtures("mixture")
def test_over_two_tasks_the_difference_is_that_of_the_combined_scores(
    config: SearchConfig, tmp_path: Path
) -> None:
    other = write_task(tmp_path / "more.json", questions(9, 3), questions(10, 4))
    result: Any = search(replace(config, tasks=(*config.tasks, str(other)))).result
    for name in ("base", "base_tuned", "expert_tuned"):
        lead = Result.from_json(result).lead(name)
        assert lead is not None and 0.0 < lead.p_value <= 1.0
        assert lead.difference == pytest.approx(result["best_test"] - result[f"{name}_test"])
        assert lead.interval[0] <= lead.difference <= lead.interval[1]
    page = Path(config.out, "report.html").read_text(encoding="utf-8")
    row = page.partition('<th scope="row">more</th>')[2].partition("</tr>")[0]
    names = [(name, split) for split in ("dev", "test") for name in ("base", "best_single", "best")]
    values = [result["models"][name][split]["tasks"]["more"]["value"] for name, split in names]
    assert re.findall(">([0-9.]+)</td>", row) == [f"{value:.3f}" for value in values]


@pytest.mark.parametrize(
    ("more", "scored"),
    [({}, 3), ({"test": 0}, 1), ({"no_rivals": True}, 0), ({"train": "off"}, 1)],
)
def test_a_dry_run_counts_them(config: SearchConfig, more: dict[str, Any], scored: int) -> None:
    """With two trainings on all 8 examples, four epochs of 2.5 passes each."""
    setting = replace(config, **more)
    assert make_plan(setting).rivals == scored
    plain, plan = dry_run_search(replace(setting, no_rivals=True)), dry_run_search(setting)
    test = 0 if more.get("test") == 0 else 12
    trained = 2 * 10 * 8 if scored == 3 else 0
    assert plan.passes - plain.passes == scored * (8 + test) + trained
