"""Training on the dev items: learning rate and number of epochs by two-fold cross-validation, then on all of dev.

The criterion on a held-out half is the mean probability of the right option (or of the answer): smoother than accuracy
and, unlike the loss, not dominated by a few confident mistakes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.choices import EPOCHS, PASSES, Choices
from pyswarmopt_llm.models.training.fit import Trained, fit, losses
from pyswarmopt_llm.models.training.gradients import Addition, Gradients
from pyswarmopt_rivals.methods.method import Trial


class Trainable(Protocol):
    """A change of the resident model that is being trained; `tensors` are its leaves."""

    tensors: Sequence[Tensor]

    def additions(self) -> dict[str, Addition]:
        """Module name -> what is added to its output."""

    def patch(self) -> Patch:
        """The change of weights as it is now."""


def train_on_dev(trial: Trial, make: Callable[[], Trainable], rates: Sequence[float], seed: int) -> Patch:
    """Train on all of dev, with the learning rate and the number of epochs that are best on held-out halves.

    The trial has the model to start from loaded; `PASSES` is charged for each item of each epoch, and 1 for each
    evaluation of a held-out item. `make` makes a new change, always the same. Of `rates`, the most promising first, as
    many are tried as the budget covers; if it does not cover an epoch, the change stays untrained.
    """
    items = random.Random(seed).sample(list(trial.choices), len(trial.choices))
    if not items:
        raise UserError("training on dev: no item has a right answer; give answers, or choose another method")
    epochs = min(EPOCHS, int(trial.items_left / (PASSES * len(items))))
    if epochs < 1:
        return make().patch()
    validation = epochs * (PASSES + 1) * len(items)
    tried = min(len(rates), int((trial.items_left - epochs * PASSES * len(items)) / validation))
    scores: dict[tuple[float, int], float] = {}
    for rate in rates[:tried]:
        trial.spend(round(validation))
        held_out = _held_out(trial, items, make, rate, epochs, seed)
        scores |= {(rate, epoch): value for epoch, value in enumerate(held_out, start=1)}
    rate, best = max(scores, key=lambda setting: scores[setting]) if scores else (rates[0], epochs)
    trial.spend(round(best * PASSES * len(items)))
    change = make()
    fit(Gradients(trial.engine), items, change.additions(), [Trained(change.tensors, rate)], epochs, seed, last=best)
    return change.patch()


def _held_out(
    trial: Trial, items: Sequence[Choices], make: Callable[[], Trainable], rate: float, epochs: int, seed: int
) -> list[float]:
    """Mean probability of the right answer after each epoch, over both halves, each by what the other trained."""
    gradients, totals = Gradients(trial.engine), [0.0] * epochs
    for held, rest in ((items[::2], items[1::2]), (items[1::2], items[::2])):

        def look(epoch: int, loss: float, held: Sequence[Choices] = held) -> None:
            totals[epoch - 1] += sum(_probabilities(gradients, held))

        change = make()
        fit(gradients, rest, change.additions(), [Trained(change.tensors, rate)], epochs, seed, after_epoch=look)
    return [total / len(items) for total in totals]


def _probabilities(gradients: Gradients, items: Sequence[Choices]) -> Iterator[float]:
    with torch.no_grad():
        for _, values in losses(gradients, items):
            yield from values.neg().exp().tolist()
