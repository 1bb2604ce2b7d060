"""The baseline that gives always the commonest label, by hand."""

from __future__ import annotations

import pytest

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


def test_a_question_that_is_asked_five_times_is_one_piece_of_evidence() -> None:
    once, often = (Task("mail", items("ABAA"), items("BBBA") * copies) for copies in (1, 5))
    found = [
        commonest_label({"mail": task}, harmonic, ("dev", "test"), ("x",)) for task in (once, often)
    ]
    tests = [model.test for model in found if model is not None]
    assert len({(test.value, test.interval) for test in tests if test is not None}) == 1


def test_of_several_tasks_it_is_combined_as_their_scores_are() -> None:
    tasks = {"a": Task("a", items("AAAB"), items("AB")), "b": Task("b", items("BBBA"), items("BB"))}
    found = commonest_label(tasks, harmonic, ("dev", "test"), ("x",))
    assert found is not None and found.test is not None
    assert found.dev.value == pytest.approx(0.75)
    assert found.test.value == pytest.approx(2 * 0.5 * 1 / 1.5)


def test_questions_with_choices_of_their_own_have_no_labels() -> None:
    other = items("AB") + items("A", {"A": "yes", "B": "no"})
    for dev in (other, (Item("1", "?", None, "7"),)):
        assert commonest_label({"t": Task("t", dev, dev)}, harmonic, ("dev",), ("x",)) is None
