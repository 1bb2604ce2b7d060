"""The item model in a comparison: it is the search of users, and the budget holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import fmean as mean
from typing import Any

import pytest
from search_helpers import DEFAULT, history, small, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.run.record import unpack
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_rivals.bench import Bench
from pyswarmopt_rivals.comparison.contestants import contestant, run
from pyswarmopt_rivals.methods.searching.optimizers import KIND, most_trained


@pytest.mark.parametrize("budget", [1500, 4000])
def test_training_is_the_searchs_own_as_far_as_the_budget_goes(
    bench: Bench, words_task: Path, tmp_path: Path, budget: int
) -> None:
    """With a budget for all of it the result is what `search` hands over, example by example."""
    outcome = run(contestant("item-model+dev"), bench, 3, budget)
    assert 500 < outcome["items"] <= budget
    trained = len(bench.store.all(f"words {KIND} trained"))
    affordable = most_trained(bench, budget, 3)
    assert 0 < trained <= affordable == {1500: 1, 4000: 3}[budget]
    if affordable == 1:
        return
    experts = [expert.info.path for expert in bench.experts]
    how: dict[str, Any] = dict.fromkeys(("particles", "max_iter", "patience"))
    how |= {**DEFAULT, "space": "delta", "dtype": "float32", "seed": 3, "test": 0}
    how |= {"train": "on", "no_rivals": True}
    result = search(small(bench.base.path, experts, [words_task], tmp_path / "run", **how)).result
    assert mean(unpack(outcome["dev"])) == pytest.approx(result["best_dev"])


@pytest.mark.parametrize("budget", [200, 400])
def test_a_comparison_scores_candidate_by_candidate_what_a_search_does(
    budget: int, bench: Bench, words_task: Path, tmp_path: Path
) -> None:
    run(contestant("item-model"), bench, 3, budget)
    scored = [row["key"] for row in bench.store.all("words modelled")]
    experts = [expert.info.path for expert in bench.experts]
    how = dict.fromkeys(("particles", "max_iter", "patience"))
    how |= {**DEFAULT, "space": "delta", "dtype": "float32", "seed": 3, "test": 0}
    how["budget_items"] = budget
    search(small(bench.base.path, experts, [words_task], tmp_path / "run", **how))
    assert 6 < len(scored) <= budget / 20
    assert scored == [row["key"] for row in history(tmp_path / "run")]


def test_written_replies_are_searched_as_a_search_does(
    bench: Bench, words_task: Path, tmp_path: Path
) -> None:
    written = replace(bench, answer_format="generate")
    written.replayed_seconds = 1e6  # of other methods
    outcome = run(contestant("item-model"), written, 3, 300)
    scored = [row["key"] for row in bench.store.all("words modelled")]
    experts = [expert.info.path for expert in bench.experts]
    how = dict.fromkeys(("particles", "max_iter", "patience"))
    how |= {**DEFAULT, "space": "delta", "dtype": "float32", "seed": 3, "test": 0}
    how |= {"budget_items": 300, "scoring": "generate"}
    search(small(bench.base.path, experts, [words_task], tmp_path / "run", **how))
    assert len(scored) > 4
    assert scored == [row["key"] for row in history(tmp_path / "run")][: len(scored)]
    assert outcome["seconds"] < 1e5


def test_prompts_without_options_are_searched_by_a_score_of_which_lower_is_better(
    bench: Bench, tmp_path: Path
) -> None:
    items = [{"question": f"Tell {k}", "answer": "7"} for k in range(10)]
    task = load_task(str(write_task(tmp_path / "a.json", items[:6], items[6:])))
    metric = find_metric("tokens", new_tokens=5)
    written = replace(bench, task=task, metric=metric, answer_format="generate")
    outcome = run(contestant("item-model"), written, 0, 60)
    assert 30 <= outcome["items"] <= 60
    rows = written.store.all("a modelled")
    best = max(row["tasks"]["a"]["value"] for row in rows)
    assert mean(unpack(outcome["dev"])) == pytest.approx(best)
    assert best < 0


def test_model_swarms_is_the_published_search_over_weights(
    bench: Bench, words_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidate by candidate what `search --compat paper` scores."""
    space = type(build_space("delta", bench.experts))
    asked: list[list[float]] = []
    realise = space.realise

    def noted(own, x):
        asked.append(x.tolist())
        return realise(own, x)

    monkeypatch.setattr(space, "realise", noted)
    outcome = run(contestant("model-swarms"), bench, 1, 800)
    assert outcome["items"] == 800 and [sum(x) for x in asked] == pytest.approx([1.0] * len(asked))
    experts = [expert.info.path for expert in bench.experts]
    given = {"paper": True, "draws": 1, "space": "delta", "dtype": "float32", "seed": 1, "test": 0}
    given |= {"particles": 20, "max_iter": 1}
    search(small(bench.base.path, experts, [words_task], tmp_path / "run", **given))
    rows = [row["coefficients"] for row in history(tmp_path / "run")]
    assert len(rows) == 40 and asked[:40] == [pytest.approx(row) for row in rows]
