"""`search --train`: what the search found is trained on dev, and scored on what it has not seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from search_helpers import MakeSearch, ends_as, history, stopped

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.searching import train_on_labels as train


@pytest.fixture
def config(words_search: MakeSearch) -> SearchConfig:
    return words_search(8, 12, space="delta", train="on", dtype="float32", no_rivals=True)


def test_what_the_search_found_is_trained_and_its_files_are_what_is_scored(
    config: SearchConfig,
) -> None:
    events: list[Any] = []
    found: Any = search(config, events.append).result
    assert list(found["coefficients"]) == ["ant", "bee", "cat"]
    starts = len([*(Path(config.out) / "trained").iterdir()])
    whole = len([*(Path(config.out) / "trained").glob("*/all")])
    assert whole == 1  # what is handed over, as nothing is compared with it
    folds = 3 * 6 + 2 * 7
    assert found["passes"] == found["item_evaluations"] + 10 * (starts * folds + whole * 8)
    (planned,) = (event.data["evaluations_planned"] for event in events if event.kind == "start")
    assert found["evaluations"] <= planned == 5 * 4
    assert any("training on the 8" in event.data.get("text", "") for event in events)
    shares = [event.data["share"] for event in events if event.kind == "training"]
    # four epochs without each of the five folds, and on all of what is handed over
    done = most = starts * folds + whole * 8
    assert len(shares) == starts * 4 * 5 + whole * 4
    assert shares == sorted(shares) and shares[-1] == pytest.approx(done / most)
    assert shares[0] == pytest.approx(6 / (4 * most))
    rows = history(Path(config.out))
    trained = [row["coefficients"] for row in rows if row["phase"] == "trained"]
    assert all(len(row["coefficients"]) == 3 for row in rows if row["phase"] == "search")
    assert len(trained) == starts and [*found["coefficients"].values(), 1.0] in trained
    # its score on dev stays the cross-fitted one
    results = (Path(config.out) / "results.jsonl").read_text().splitlines()
    known = {(row["what"], row["who"]) for row in map(json.loads, results)}
    assert ("model test", "best") in known and ("model dev", "best") not in known


@pytest.mark.parametrize(("behind", "kept"), [(1.5, True), (2.5, False)])
def test_training_is_declined_where_it_is_behind_by_more_than_two_standard_errors(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch, behind: float, kept: bool
) -> None:
    """By one, graphs with 50 labels lost 9 points: research/notes/regret.md."""

    def scores(rows: Sequence[Any], objectives: Any) -> list[Score]:
        trained = Score(0.6 - behind * 0.04, (), 8, 0.04)
        return [*[trained] * (len(rows) - 1), Score(0.6, (), 8, 0.04)]

    monkeypatch.setattr(train, "expected", scores)
    assert search(config).result["trained"] is kept


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    config: SearchConfig, tmp_path: Path
) -> None:
    search(config)
    Path(config.out).rename(tmp_path / "whole")
    resume(stopped(config, 1, "training"))
    ends_as(Path(config.out), tmp_path / "whole")
