"""The baseline that gives always the commonest label, by hand."""

from __future__ import annotations

import pytest

from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.scores.metrics.metric import ACCURACY
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.searching.finish import commonest_label


def items(answers: str) -> tuple[Item, ...]:
    choices = {"A": "fine", "B": "fraud"}
    return tuple(Item(str(k), f"text {k}?", choices, answer) for k, answer in enumerate(answers))


def test_the_label_is_that_of_dev_and_both_splits_are_scored_and_combined() -> None:
    tasks = {"a": Task("a", items("AAAB"), items("AB")), "b": Task("b", items("BBBA"), items("BB"))}
    objectives = Objectives(tasks, dict.fromkeys(tasks, ACCURACY), {}, harmonic)
    found = commonest_label(objectives)
    assert found is not None and found.test is not None
    assert [found.test.tasks[name].per_item for name in "ab"] == [[1.0, 0.0], [1.0, 1.0]]
    assert found.weights == {} and not found.trained
    assert found.dev.value == pytest.approx(0.75)
    assert found.test.value == pytest.approx(2 * 0.5 * 1 / 1.5)
