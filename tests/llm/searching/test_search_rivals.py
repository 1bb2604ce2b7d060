"""What a result stands beside: the base, and base and best expert fine-tuned on the same items."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import MakeSearch, ends_as, hand_over, keep_trained, note_trainings, stopped

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.paired import compare_paired
from pyswarmopt_llm.report.findings import verdict
from pyswarmopt_llm.run.record import unpack
from pyswarmopt_llm.run.result import RunResult
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.searching.dry_run import dry_run_search
from pyswarmopt_llm.searching.explore import Chosen
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.surrogate import Surrogate
from pyswarmopt_llm.training.trainer import fit, folds


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
    monkeypatch.setattr(Surrogate, "best", lambda self: Chosen(position, 0.5))
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
        lora = fit(job.engine, start, choices, job.pool.experts[0], job.config.seed)
        patch = start.with_low_rank(lora.low_rank)
    (utility,) = job.utilities(split, {"words": "likelihood"}).values()
    job.engine.load(patch)
    return utility(job.engine).per_item


def without_folds(job: Job, start: Patch) -> list[float]:
    """The values on dev of what is trained without each item's fold."""
    (utility,) = job.utilities("dev", {"words": "likelihood"}).values()
    choices = job.choices({"words": "likelihood"})
    values = [0.0] * len(choices)
    for fold in folds(choices, job.config.seed):
        rest = [item for place, item in enumerate(choices) if place not in fold]
        lora = fit(job.engine, start, rest, job.pool.experts[0], job.config.seed)
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
    models, found = result["models"], RunResult.from_json(result)
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
        lead, counts = found.leads["test"][name], ("difference", "n", "gained", "lost")
        assert all(getattr(lead, count) == getattr(expected, count) for count in counts)
        assert lead is not None and lead.p_value >= expected.p_value  # corrected for their number
        assert rival["trained"] is (start is not None)
    alone: Any = search(replace(config, out=f"{config.out}-alone", no_rivals=True)).result
    assert "base" not in alone["models"]
    assert alone["best_test"] == result["best_test"]
    folders = Path(f"{config.out}-alone", "trained").glob("*/all")
    (handed_over,) = [folder.parent.name for folder in folders]  # and no other on all examples
    more = len({"base", "expert"} - {handed_over})
    assert result["passes"] - alone["passes"] == more * 10 * 8  # four epochs at 2.5 passes
    stored = Path(f"{config.out}-alone", "results.jsonl").read_text()
    assert '"who": "base"' not in stored


def test_a_run_that_was_stopped_among_its_rivals_ends_as_one_that_was_not(
    config: SearchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mixture: None
) -> None:
    search(config)
    Path(config.out).rename(tmp_path / "whole")
    lines = (tmp_path / "whole" / "results.jsonl").read_text().splitlines(keepends=True)
    scored = [json.loads(line) for line in lines if '"model ' in line]
    who = [(row["what"].removeprefix("model "), row["who"]) for row in scored]
    rivals = [("test", "base"), ("test", "base_tuned"), ("test", "expert_tuned")]
    assert who[-3:] == rivals and ("dev", "base") not in who

    # What is scored is not scored again, a line that was cut off is; nothing is trained again.
    stopped(config, 1, "closing")
    cut = "".join(lines[:-1]) + lines[-1][:40]
    (Path(config.out) / "results.jsonl").write_text(cut)
    trained = note_trainings(monkeypatch)
    resume(config.out)
    assert not trained
    ends_as(Path(config.out), tmp_path / "whole")


@pytest.mark.usefixtures("mixture")
def test_without_test_items_only_the_base_can_be_compared(config: SearchConfig) -> None:
    result: Any = search(replace(config, test=0)).result
    assert "base_dev" in result and "base_test" not in result
    assert (
        "base_tuned" not in result["models"]
        and "base" not in RunResult.from_json(result).leads["test"]
    )
    assert verdict(RunResult.from_json(result)).kind == "untested"


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
