"""`search --train`: what the search found is trained on dev, and scored on what it has not seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import ends_as, history, louder, questions, small, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter, load_factors, read_adapter
from pyswarmopt_llm.report.findings import score_rows
from pyswarmopt_llm.report.run import resume, search
from pyswarmopt_llm.report.summary import mixture_name
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.searching import train
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scoring.result import Result
from pyswarmopt_llm.searching.training.trainer import fit, folds


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> SearchConfig:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "words.json", questions(16, 1), questions(12, 2))
    more: dict[str, Any] = {
        "space": "delta",
        "train": "on",
        "dtype": "float32",
        "no_rivals": True,
    }
    return small(tiny_base, experts, [task], tmp_path / "run", **more)


def run_of(config: SearchConfig, found: Any) -> Path:
    """Where a search keeps what it trained on top of what it found."""
    start = train.start_name(found["coefficients"], found["best_single"])
    return Path(config.out) / "trained" / start


@pytest.fixture(autouse=True)
def found_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mixture that was found is handed over, whatever base and best expert would have."""
    monkeypatch.setattr(train, "_untrained", lambda job, found: found.chosen)
    monkeypatch.setattr(
        train, "best_start", lambda values: "mixture" if "mixture" in values else "expert"
    )


def dense(experts: list[Adapter], weights: list[float], lora: Any) -> dict[str, torch.Tensor]:
    """The weighted sum of the experts plus a LoRA, as matrices."""
    found = {name: change.dense() for name, change in lora.items()}
    for expert, weight in zip(experts, weights, strict=True):
        for module, part in expert.factors.items():
            found[f"{module}.weight"] = (
                found[f"{module}.weight"] + weight * part.scale * part.b @ part.a
            )
    return found


def test_what_the_search_found_is_trained_and_its_files_are_what_is_scored(
    config: SearchConfig,
) -> None:
    events: list[Any] = []
    found: Any = search(config, events.append).result
    assert list(found["coefficients"]) == ["ant", "bee", "cat"]
    starts = len([*(Path(config.out) / "trained").iterdir()])
    whole = len([*(Path(config.out) / "trained").glob("*/all")])  # not of what is clearly behind
    folds = 12 + 4 * 13
    assert found["passes"] == found["item_evaluations"] + 10 * (starts * folds + whole * 16)
    (planned,) = (event.data["evaluations_planned"] for event in events if event.kind == "start")
    assert found["evaluations"] <= planned == 5 * 4
    assert any(
        "training on the 16 dev items, on top of" in event.data.get("text", "") for event in events
    )
    shares = [event.data["share"] for event in events if event.kind == "training"]
    # four epochs without each of the five folds, and on all; what is behind has no more to do
    assert len(shares) >= starts * 4 * 5 + whole * 4
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert shares[0] == pytest.approx(12 / (4 * (folds + 16)) / starts)
    rows = history(Path(config.out))
    trained = [row["coefficients"] for row in rows if row["phase"] == "trained"]
    assert all(len(row["coefficients"]) == 3 for row in rows if row["phase"] == "search")
    assert len(trained) == starts and [*found["coefficients"].values(), 1.0] in trained
    # The value on test is that of the files, by themselves.
    job = prepare(replace(config, out="unused"))
    job.engine.load(Patch(low_rank=load_factors(read_adapter(Path(config.out) / "best"))))
    (utility,) = job.utilities("test", {"words": "likelihood"}).values()
    assert utility(job.engine).value == found["best_test"]


@pytest.mark.parametrize("kept", [True, False])
def test_the_result_has_what_was_found_before_and_after_training(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    monkeypatch.setattr(train, "not_worse", lambda trained, mixture: kept)
    found: Any = search(config).result
    plain: Any = search(replace(config, train="off", out=f"{config.out}-plain")).result
    assert found["trained"] is kept and not plain["trained"]
    for split in ("dev", "test"):
        assert found[f"mixture_{split}"] == plain[f"best_{split}"]
        assert found[f"best_{split}"] == found[f"{'trained' if kept else 'mixture'}_{split}"]
        difference = found[f"trained_{split}"] - found[f"mixture_{split}"]
        lead = Result.from_json(found).lead("mixture", split, of="trained")
        assert lead is not None
        assert lead.difference == pytest.approx(difference)
    assert (
        found["coefficients"] == plain["coefficients"]
        and found["best_single"] == plain["best_single"]
    )
    assert found["uniform_test"] == plain["uniform_test"] and found["experts"] == plain["experts"]
    experts = [load_adapter(read_adapter(Path(path))) for path in config.experts]
    weights = [found["coefficients"][name] for name in ("ant", "bee", "cat")]
    job = prepare(replace(config, out="unused"))
    (utility,) = job.utilities("test", {"words": "likelihood"}).values()
    lora = load_factors(read_adapter(run_of(config, found) / "all"))
    job.engine.load(Patch(full_rank=dense(experts, weights, lora)))
    assert utility(job.engine).value == found["trained_test"]
    # The LoRA was trained with the mixture in place.
    nothing = {name: replace(change, b=torch.zeros_like(change.b)) for name, change in lora.items()}
    choices = job.choices({"words": "likelihood"})
    start = Patch(full_rank=dense(experts, weights, nothing))
    again = fit(job.engine, start, choices, experts[0].info, config.seed).low_rank
    assert all(
        torch.allclose(again[name].dense(), change.dense(), atol=1e-4)
        for name, change in lora.items()
    )
    name = mixture_name(Result.from_json(found))
    names = [f"{name}, before training", f"{name}, trained"] if kept else [f"{name}, trained", name]
    labels = [
        f"best single expert: {found['best_single']}",
        "uniform average (space delta)",
        *names,
    ]
    assert [*score_rows(Result.from_json(found))] == labels


def test_on_dev_each_fold_is_scored_by_what_was_trained_without_it(config: SearchConfig) -> None:
    found: Any = search(config).result
    job = prepare(replace(config, out="unused"))
    (utility,) = job.utilities("dev", {"words": "likelihood"}).values()
    assert isinstance(utility, Accuracy)
    seen = folds(utility.choices(), config.seed)
    assert [len(fold) for fold in seen] == [4, 3, 3, 3, 3]
    assert sorted(place for fold in seen for place in fold) == list(range(16))
    experts = [load_adapter(read_adapter(Path(path))) for path in config.experts]
    weights = [found["coefficients"][name] for name in ("ant", "bee", "cat")]
    values = []
    for k in range(5):
        lora = load_factors(read_adapter(run_of(config, found) / f"without-{k + 1}"))
        job.engine.load(Patch(full_rank=dense(experts, weights, lora)))
        values.append(utility(job.engine).per_item)
    places = [next(k for k, fold in enumerate(seen) if i in fold) for i in range(16)]
    expected = [values[k][i] for i, k in enumerate(places)]
    assert found["trained_dev"] == pytest.approx(sum(expected) / 16)
    shifted = [values[(k + 1) % 5][i] for i, k in enumerate(places)]
    assert sum(shifted) != sum(expected)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    config: SearchConfig, tmp_path: Path
) -> None:
    def stop(event: Any, kind: str) -> None:
        if event.kind == kind:
            raise KeyboardInterrupt

    search(config)
    Path(config.out).rename(tmp_path / "whole")
    for kind in ("iteration", "training"):
        with pytest.raises(KeyboardInterrupt):
            search(config, lambda event, kind=kind: stop(event, kind))
        resume(config.out)
        ends_as(Path(config.out), tmp_path / "whole")
        Path(config.out).rename(tmp_path / f"after-{kind}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"space": "factor"}, "goes with space delta only"),
        ({"workers": "2"}, "one worker"),
        (
            {"metrics": ("mc2",)},
            "learns from the scores of options, .* words is scored by mc2",
        ),
        ({"dev": 6}, "6 dev items are too few"),
    ],
)
def test_what_it_does_not_go_with_is_said_before_anything_is_written(
    config: SearchConfig, words: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        search(replace(config, **words))
    assert not Path(config.out).exists()


def test_a_budget_that_pays_for_no_round_of_the_swarm_is_left_to_the_proposals(
    config: SearchConfig,
) -> None:
    """Five candidates: three experts, and one is kept for a proposal; a round may cost three."""
    found: Any = search(
        replace(config, particles=3, max_iter=9, proposals=10, budget_items=5 * 16)
    ).result
    later = [
        row
        for row in history(Path(config.out))
        if row["phase"] == "search" and row["iteration"] > 0
    ]
    assert later and all(row["particle"] >= 3 for row in later)
    assert found["item_evaluations"] <= (5 + 3) * 16  # and what was trained
