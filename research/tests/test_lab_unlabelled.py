"""`research/benchmarks/lab/unlabelled.py`: soft labels, who is sure, and a teacher without the items that it
is scored on.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from laboratory import script
from search_helpers import questions

from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.training.trainer import choice_losses

unlabelled = script("unlabelled")


@pytest.fixture(scope="module")
def choices(engine: Any) -> list[Choices]:
    items = [Item(**item) for item in questions(6, seed=3)]
    return Accuracy(items, "likelihood", engine.chat).choices()


def test_a_soft_loss_is_the_mean_of_the_losses_of_the_options(
    engine: Any, choices: list[Choices]
) -> None:
    targets = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labelled = [unlabelled.Labelled(*pair) for pair in zip(choices, targets, strict=True)]
    (soft,) = unlabelled.soft_losses(engine, labelled)
    expected = torch.zeros(6, dtype=torch.float64)
    for option in range(4):
        taken = [Choices(item.pairs, item.lengths, option) for item in choices]
        (losses,) = choice_losses(engine, taken)
        expected += targets[:, option] * losses
    torch.testing.assert_close(soft, expected)
    log_probs = unlabelled.log_probabilities(engine, choices)
    torch.testing.assert_close(soft, -(targets * log_probs).sum(1), rtol=1e-4, atol=1e-4)


def test_teachers_are_averaged_in_log_probabilities() -> None:
    first, second = torch.tensor([[0.5, 0.5], [0.9, 0.1]]), torch.tensor([[0.8, 0.2], [0.1, 0.9]])
    probabilities = unlabelled.together([first.log(), second.log()], 1.0).exp()
    # the geometric means are .632 and .316, and equal
    torch.testing.assert_close(probabilities, torch.tensor([[2 / 3, 1 / 3], [0.5, 0.5]]))
    sharper = unlabelled.together([first.log(), second.log()], 0.5).exp()
    torch.testing.assert_close(sharper[0], torch.tensor([0.8, 0.2]))


def test_hard_labels_are_of_those_that_the_teachers_are_sure_of(choices: list[Choices]) -> None:
    probabilities = torch.full((6, 4), 0.1)
    for place, option in ((0, 3), (4, 1)):
        probabilities[place] = 0.02
        probabilities[place, option] = 0.94
    method = unlabelled.Method((), labels="hard")
    labelled = unlabelled.labels(choices, probabilities, method)
    assert [label.item for label in labelled] == [choices[0], choices[4]]
    assert [label.target.tolist() for label in labelled] == [[0, 0, 0, 1], [0, 1, 0, 0]]
    true = unlabelled.labels(choices, probabilities, unlabelled.Method((), labels="true"))
    assert [int(label.target.argmax()) for label in true] == [item.right for item in choices]
