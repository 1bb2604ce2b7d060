"""`search --curve`: the training of the result on a quarter, half and all of the labels."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from result_helpers import result_of
from search_helpers import MakeSearch, ends_as, stopped

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.report.curve import curve_note
from pyswarmopt_llm.run.result import CurvePoint, Outcome, RunResult, Scores
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.training.trainer import fit


@pytest.fixture
def config(words_search: MakeSearch) -> SearchConfig:
    return words_search(
        9, 12, space="delta", train="on", dtype="float32", no_rivals=True, curve=True
    )


def test_a_curve_is_of_trainings_on_fewer_labels_from_the_same_start(
    config: SearchConfig, tmp_path: Path
) -> None:
    """Against a training by hand on the half; a run that was stopped has the same curve."""
    found: Any = search(config).result
    assert [trial["labels"] for trial in found["curve"]] == [2, 4, 9]
    assert found["curve"][-1]["test"] == found["models"]["trained"]["test"]
    job = prepare(replace(config, out=str(tmp_path / "alone")))
    choices = random.Random(config.seed).sample(job.choices({"words": "likelihood"}), 9)
    start = job.pool.space.realise(job.starts.new_tensor([*found["coefficients"].values()]))
    lora = fit(job.engine, start, choices[:4], job.pool.experts[0], config.seed)
    job.engine.load(start.with_low_rank(lora.low_rank))
    (test,) = job.utilities("test", {"words": "likelihood"}).values()
    right = test(job.engine).per_item
    assert found["curve"][1]["test"]["value"] == pytest.approx(sum(right) / 12)
    Path(config.out).rename(tmp_path / "whole")
    resume(stopped(config, 1, "training"))
    ends_as(Path(config.out), tmp_path / "whole")


def test_a_curve_costs_its_trainings_and_scores(config: SearchConfig) -> None:
    """Ten passes for each of 2 and 4 labels, and 12 test items twice; less than a fifth of a search
    of the default size.
    """
    plan = make_plan(config)
    assert plan.passes["curve"] == 10 * 2 + 10 * 4 + 2 * 12
    plain = make_plan(replace(config, curve=False))
    assert sum(plan.passes.values()) == sum(plain.passes.values()) + plan.passes["curve"]
    usual = make_plan(replace(config, no_rivals=False, particles=None, max_iter=None))
    assert usual.passes["curve"] < sum(usual.passes.values()) / 5


@pytest.mark.parametrize(
    "changes",
    [{"train": "off"}, {"test": 0}, {"quantize": "q4_1"}],
    ids=lambda given: next(iter(given)),
)
def test_a_curve_is_refused_without_what_it_needs(
    config: SearchConfig, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidOption, match=r"^curve"):
        make_plan(replace(config, **changes))


@pytest.mark.parametrize(
    ("right", "word"),
    [
        ((20, 50, 80), "rising"),
        ((20, 85, 80), "whether it rises cannot be told"),  # half of them did as well
        ((70, 70, 75), "whether it rises cannot be told"),  # 5 of 100 gained: [0, 10] points
        ((80, 75, 40), "flat"),
    ],
)
def test_a_curve_is_told_in_one_of_three_words(right: tuple[int, ...], word: str) -> None:
    """Of 100 test items, the first ones right."""
    trials = [
        CurvePoint(labels, scores(count))
        for labels, count in zip((25, 50, 100), right, strict=True)
    ]
    text = curve_note(replace(result(), curve=trials))
    assert text.endswith(f"; {word}.") and f"25 labels 0.{right[0]}0 [0." in text


def result() -> RunResult:
    return result_of(task="t")


def scores(right: int) -> Scores:
    items = "1" * right + "0" * (100 - right)
    return Scores(right / 100, {"t": Outcome(right / 100, items)}, (right / 100 - 0.1, 0.99))
