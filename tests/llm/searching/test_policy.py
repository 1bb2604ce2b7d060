"""Dropped evaluations and budgets."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import Hull, MakeSearch, Position, history

import pyswarmopt as pso
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.explore import Search
from pyswarmopt_llm.searching.loop import search
from pyswarmopt_llm.searching.plan import Budget
from pyswarmopt_llm.searching.scoring.dropout import Dropout
from pyswarmopt_llm.searching.scoring.run_directory import Journal
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Scorer
from pyswarmopt_llm.searching.surrogate import make_surrogate


class Thresholds:
    """Item k is right where w_k . x > b_k: a smooth task, cheap enough for whole searches."""

    def __init__(self, n: int, dim: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.n, self.calls = n, 0
        self._w = torch.randn(n, dim, generator=generator, dtype=torch.float64)
        self._b = 0.7 * torch.randn(n, generator=generator, dtype=torch.float64)

    def __call__(self, engine: Any) -> Score:
        self.calls += 1
        return score_of((self._w @ engine.x > self._b).double().tolist())


# Drops and budgets


def test_dropped_evaluations_are_as_frequent_as_asked_for_and_spare_the_start() -> None:
    dropout = Dropout(0.3, 0.2, seed=0)
    table = np.array([dropout.dropped(iteration, 50) for iteration in range(2000)])
    assert not table[0].any()
    whole = table[1:].all(axis=1)
    assert abs(whole.mean() - 0.3) < 0.04
    assert abs(table[1:][~whole].mean() - 0.2) < 0.01


def test_a_dropped_iteration_moves_on_without_a_single_evaluation(
    words_search: MakeSearch,
) -> None:
    config = words_search(8, 4, max_iter=6, drop_k=0.5, seed=1)
    dropout = Dropout(0.5, 0.0, config.seed)
    expected = [k for k in range(7) if not dropout.dropped(k, 5).any()]
    found = search(config)
    assert sorted({row["iteration"] for row in history(found.run)}) == expected
    assert 1 < len(expected) < 7 and found.result["stop"] == {"max_iter": 6}


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_proposals_are_scored_in_batches_and_within_the_budget(at_once: int) -> None:
    """Six of 60 items each, of two tasks; all of a batch are proposed before the first of it is
    scored.
    """
    utilities = {f"t{k}": Thresholds(60, 4, 1 + 100 * k) for k in range(2)}
    scorer = Scorer(Journal(), Evaluator(Hull(4), Position(), utilities, harmonic))  # type: ignore[arg-type]
    surrogate = make_surrogate("scores", ["t0", "t1"], harmonic, 6)
    asked: list[int] = []
    propose = surrogate.propose

    def watched(seed: int, at_once: int) -> Any:
        for batch in propose(seed, at_once):
            asked.append(utilities["t0"].calls)
            yield batch

    surrogate.propose = watched  # type: ignore[method-assign]
    recipe = pso.recipes.model_swarms(max_iter=0)
    vertices = torch.eye(4, dtype=torch.float64)
    swarm = pso.Swarm(positions=vertices, population=7, recipe=recipe, maximize=True, seed=1)
    budget = Budget(None, (7 + 5) * 120)
    more = {"population": 7, "items": 120, "seed": 1, "at_once": at_once}
    steps = Search(Hull(4), scorer, swarm, budget, surrogate=surrogate, **more)  # type: ignore[arg-type]
    steps.run()
    whole = {1: 5, 2: 4, 5: 5}[at_once]  # a batch that the budget does not cover is not begun
    assert steps.proposed == whole and asked[: whole // at_once] == list(
        range(7, 7 + whole, at_once)
    )
    rows = [row for row in scorer.rows if row.particle >= 7]
    assert [row.particle for row in rows] == list(range(7, 7 + whole))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(1, 400))
def test_the_item_budget_is_kept_if_iterations_do_not_grow(steps: list[int], budget: int) -> None:
    steps = sorted(steps, reverse=True)
    totals = list(itertools.accumulate(steps))
    stop = next(
        (k for k, step in enumerate(steps) if Budget(None, budget).exceeded(totals[k], 1.0, step)),
        len(steps) - 1,
    )
    assert totals[stop] <= max(budget, steps[0])
    assert stop == len(steps) - 1 or totals[stop] + steps[stop] > budget


def test_a_search_keeps_within_its_budget_and_says_so(words_search: MakeSearch) -> None:
    config = words_search(10, 4, max_iter=9)
    found = search(replace(config, budget_items=170))
    assert 50 < found.result["item_evaluations"] <= 170
    assert found.result["stop"] == {"budget_items": found.result["item_evaluations"]}
    found = search(replace(config, out=f"{config.out}-timed", budget_minutes=1e-6))
    assert list(found.result["stop"]) == ["budget_minutes"]
    assert {row["iteration"] for row in history(found.run)} == {0}  # the start is always evaluated
