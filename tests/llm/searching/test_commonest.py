"""The baseline that gives always the commonest label, by hand."""

from __future__ import annotations

from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.searching.scoring.commonest import commonest_label

CHOICES = {"A": "fine", "B": "fraud"}


def items(answers: str, choices: dict[str, str] = CHOICES) -> tuple[Item, ...]:
    return tuple(Item(str(k), f"text {k}?", choices, answer) for k, answer in enumerate(answers))


def test_the_label_is_that_of_dev_and_both_splits_are_scored() -> None:
    mail = Task("mail", items("ABAA"), items("BBBA"))
    found = commonest_label({"mail": mail}, harmonic, ("dev", "test"), ("x", "y"))
    assert found is not None and found.test is not None
    assert (found.dev.value, found.test.value) == (0.75, 0.25)
    assert found.test.items == {"mail": [0.0, 0.0, 0.0, 1.0]}
    assert found.weights == {"x": 0.0, "y": 0.0} and not found.trained
    untested = commonest_label({"mail": mail}, harmonic, ("dev",), ("x",))
    assert untested is not None and untested.test is None
