"""Training on the dev items: two-fold cross-validation chooses learning rate and epochs, then all
of dev is used.

The criterion on a held-out half is the mean probability of the right option (or answer): smoother
than accuracy and, unlike the loss, not dominated by a few confident mistakes.

Fine-tuning is the baseline that every merge of experts has to beat: a new LoRA with the first
expert's rank, scale and modules, on the base or on the best expert on dev, trained on the
cross-entropy over each item's options, by which items are also scored. At a fixed rate, rate and
epochs are those of a search's trained expert.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import NO_ENDS
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.scores.choices import EPOCHS, PASSES, Choices, training_passes
from pyswarmopt_llm.training.trainer import (
    Addition,
    Lora,
    Trainable,
    choice_losses,
    fit,
    shuffled,
    train,
)
from pyswarmopt_rivals.bench import BudgetedBench
from pyswarmopt_rivals.methods.changes import mixture, side_by_side
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.searching.soups import best_single


def train_on_dev(
    trial: BudgetedBench, make: Callable[[], Trainable], rates: Sequence[float], seed: int
) -> Patch:
    """Train on all of dev, with the learning rate and number of epochs that are best on held-out
    halves.

    The trial has the start loaded; each item costs `PASSES` per epoch, and 1 per evaluation of a
    held-out item. `make` makes a new change, always the same. `rates` are tried in order (the most
    promising first) as far as the budget covers; if it does not cover one epoch, the change stays
    untrained.
    """
    items = random.Random(seed).sample(list(trial.choices), len(trial.choices))
    if not items:
        raise UserError(
            "training on dev needs examples with right answers; add answers, or choose another method"
        )
    epochs = min(EPOCHS, int(trial.items_left / (PASSES * len(items))))
    if epochs < 1:
        return make().patch()
    validation = epochs * (PASSES + 1) * len(items)
    tried = min(len(rates), int((trial.items_left - epochs * PASSES * len(items)) / validation))
    scores: dict[tuple[float, int], float] = {}
    for rate in rates[:tried]:
        trial.spend(round(validation))
        held_out = _held_out(trial, items, make, rate, epochs, seed)
        scores |= {(rate, epoch): score for epoch, score in enumerate(held_out, start=1)}
    rate, best = max(scores, key=lambda tried: scores[tried], default=(rates[0], epochs))
    trial.spend(round(best * PASSES * len(items)))
    change = make()
    train(trial.engine, change, shuffled(items, epochs, seed), rate, last=best)
    return change.patch()


def _held_out(
    trial: BudgetedBench,
    items: Sequence[Choices],
    make: Callable[[], Trainable],
    rate: float,
    epochs: int,
    seed: int,
) -> list[float]:
    """Mean probability of the right answer after each epoch, over both halves; each half is scored
    by the change trained on the other.
    """
    totals = [0.0] * epochs
    for held, rest in ((items[::2], items[1::2]), (items[1::2], items[::2])):

        def look(epoch: int, _epochs: int, _loss: float, held: Sequence[Choices] = held) -> None:
            totals[epoch - 1] += sum(_probabilities(trial.engine, held))

        train(trial.engine, make(), shuffled(rest, epochs, seed), rate, on_round=look)
    return [total / len(items) for total in totals]


def _probabilities(engine: TransformersEngine, items: Sequence[Choices]) -> Iterator[float]:
    with torch.no_grad():
        for values in choice_losses(engine, items):
            yield from values.neg().exp().tolist()


RATES = (2e-3, 5e-4)  # learning rates of a new LoRA
COEFFICIENT_RATES = (0.05, 0.15)
MODULE_RATES = (0.02, 0.005)


def finetune(from_best: bool, once: bool, settings: Settings) -> Merged:
    """Train a new LoRA on dev.

    Args:
        from_best: whether to start from the best single expert instead of the base; the result
            includes the start.
        once: whether to train once at a fixed rate (charged): from the best expert this is the
            expert of ``item-model+dev``, unless an even sum is better. Otherwise as `train_on_dev`.
        settings: settings of the method.
    """
    trial = settings.trial
    pattern = settings.experts[0].info
    seed = settings.seed
    start = Patch()
    if from_best:
        start = best_single(settings).patch
    if once:
        trial.spend(training_passes(len(trial.choices)))
        trained = fit(trial.engine, start, trial.choices, pattern, seed)
    else:
        trial.engine.load(start)
        make = partial(Lora.like, pattern, seed, trial.model.device)
        trained = train_on_dev(trial, make, RATES, seed)
    return Merged(start.with_low_rank(trained.low_rank))


class TrainableMixture:
    """A weighted sum of the experts' changes, dW = sum_i c_i s_i B_i A_i, with trainable
    coefficients.

    Coefficients are (1 or modules, n) float32: the candidates of a swarm in ``delta`` space.

    Args:
        experts: the experts.
        single: whether all modules share the coefficients.
        model: the model to add the mixture to.
        start: first value of every coefficient.
        bounds: range to which coefficients are clipped.
    """

    def __init__(
        self,
        experts: Sequence[Adapter],
        single: bool,
        model: Any,
        start: float,
        bounds: tuple[float, float] = NO_ENDS,
    ) -> None:
        self._bounds = bounds
        self._parts = side_by_side(experts)
        self._resident = [part.to(model.device, model.dtype) for part in self._parts.values()]
        shape = (1 if single else len(self._parts), len(experts))
        self.coefficients = torch.full(shape, start, device=model.device, requires_grad=True)
        self.tensors: Sequence[Tensor] = [self.coefficients]

    def additions(self) -> dict[str, Addition]:
        """Module name -> function that gives the mixture's contribution to its output."""
        names = [name.removesuffix(".weight") for name in self._parts]
        return {name: partial(self._output, number) for number, name in enumerate(names)}

    def _output(self, number: int, x: Tensor) -> Tensor:
        part = self._resident[number]
        weights = self._rows(self.coefficients)[number][part.owner].to(x.dtype)
        return ((x @ part.a.T) * weights) @ part.b.T

    def _rows(self, coefficients: Tensor) -> Tensor:
        """The coefficients of each module, (modules, n)."""
        return coefficients.clamp(*self._bounds).expand(len(self._parts), -1)

    def patch(self) -> Patch:
        """The candidate at the present coefficients."""
        return mixture(self._parts, self._rows(self.coefficients.detach().cpu()))


def gradient(single: bool, settings: Settings) -> Merged:
    """Coefficients by gradient descent: one for each expert, or one for each expert and module.

    They start at 1/n and follow AdamW on the cross-entropy over each item's options. Liu et al.
    2026 (arXiv 2602.12323) merge by gradient on as few items; loss, learning rates and stopping
    (see `train_on_dev`) are ours.
    """
    trial = settings.trial
    experts = settings.experts
    rates = MODULE_RATES
    if single:
        rates = COEFFICIENT_RATES
    trial.engine.load(Patch())
    make = partial(TrainableMixture, experts, single, trial.model, 1 / len(experts))
    return Merged(train_on_dev(trial, make, rates, settings.seed))
