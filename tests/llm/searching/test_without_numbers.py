"""A candidate without numbers counts as the worst before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from search_helpers import Hull, Position

from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.directory import RunJournal
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.scorer import CandidateEvaluator, Scorer


class Overflowing:
    """Half of the items are right; the expert of this number gives NaN."""

    def __init__(self, broken: int) -> None:
        self._broken = broken

    def __call__(self, engine: Any, indices: Sequence[int] | None = None) -> Score:
        if engine.x[self._broken] == 1:
            raise UndefinedModelError("gives NaN")
        return score_of([1.0] * 20 + [0.0] * 20)


def scored(broken: int) -> tuple[list[Row], Scorer]:
    evaluator = CandidateEvaluator(Hull(3), Position(), {"t": Overflowing(broken)}, harmonic)  # type: ignore[arg-type]
    scorer = Scorer(RunJournal(), evaluator)
    return scorer.score(list(torch.eye(3, dtype=torch.float64)), 0), scorer


def test_it_counts_as_the_worst_before_it_and_none_of_its_items_are_counted() -> None:
    rows, scorer = scored(1)
    assert rows[1].value == rows[0].value == 0.5
    assert [row.n for row in rows] == [40, 0, 40]
    assert scorer.item_evaluations == 2 * 40


def test_the_first_of_all_has_nothing_to_count_as() -> None:
    with pytest.raises(UserError, match=r"particle 0, iteration 0 \(the expert .*\): gives NaN"):
        scored(0)
