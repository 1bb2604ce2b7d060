"""Train on labelled items as they are scored: by the cross-entropy over an item's options, or by its answer.

The options' scores are those that decide (log-likelihood per byte, or a letter's log-probability), times the mean
length of the item's options, so that they are of the size of log-likelihoods again; the loss is -log softmax of the
right option. An item without options has the negative log-likelihood of its answer. Everything here is for hundreds of
items: what is trained may be a handful of coefficients or a LoRA.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.training.gradients import Addition, Gradients
from pyswarmopt_llm.models.training.schedule import warmup_cosine

ITEMS_PER_STEP = 16
_CLIP = 1.0  # largest norm of the gradient


@dataclass(frozen=True)
class Trained:
    """Tensors that are trained.

    Attributes:
        tensors: leaves that require gradients.
        lr: their peak learning rate.
    """

    tensors: Sequence[Tensor]
    lr: float


def loss(choices: Choices, totals: Tensor) -> Tensor:
    """Loss of an item, in nats.

    Args:
        choices: the item.
        totals: (options,) log-likelihoods.

    Example:
        >>> item = Choices((("q", "a"), ("q", "bcd")), (1.0, 3.0), 0)  # scores -1 and -1, times 2
        >>> round(float(loss(item, torch.tensor([-1.0, -3.0]))), 4)  # ln 2
        0.6931
    """
    if len(choices.pairs) == 1:
        return -totals[0]
    lengths = torch.tensor(choices.lengths, dtype=totals.dtype)
    logits = totals / lengths * fmean(choices.lengths)
    return -logits.log_softmax(0)[choices.right]


def losses(gradients: Gradients, items: Sequence[Choices]) -> Iterator[tuple[list[int], Tensor]]:
    """Indices of items and their losses, (items,), batch by batch, with their graphs."""
    starts = [0]
    for item in items:
        starts.append(starts[-1] + len(item.pairs))
    owner = [i for i, item in enumerate(items) for _ in item.pairs]
    pairs = [pair for item in items for pair in item.pairs]
    for indices, values in gradients.loglikelihood_by_batch(pairs):
        place = {pair: k for k, pair in enumerate(indices)}
        there = list(dict.fromkeys(owner[k] for k in indices))
        rows = [[place[k] for k in range(starts[i], starts[i + 1])] for i in there]
        yield there, torch.stack([loss(items[i], values[row]) for i, row in zip(there, rows, strict=True)])


def fit(
    gradients: Gradients,
    items: Sequence[Choices],
    additions: Mapping[str, Addition],
    trained: Sequence[Trained],
    epochs: int,
    seed: int,
    last: int | None = None,
    after_epoch: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Minimise the mean loss by AdamW (Loshchilov & Hutter 2019) with linear warm-up and cosine decay.

    Args:
        gradients: of the engine, with the model to start from loaded.
        items: to train on.
        additions: module name -> what is added to its output; depends on the trained tensors.
        trained: changed in place.
        epochs: passes over the items, for which the learning rate is planned.
        seed: of the order.
        last: stop after so many; None: after all.
        after_epoch: called with the number of epochs done, from 1, and the last one's loss, while the additions are in
            place.

    Returns:
        Mean loss of each epoch, taken while it went on.
    """
    groups = [{"params": list(part.tensors), "lr": part.lr} for part in trained]
    tensors = [tensor for part in trained for tensor in part.tensors]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
    steps = epochs * math.ceil(len(items) / ITEMS_PER_STEP)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, steps))
    rng, history = random.Random(seed), []
    with gradients.training(additions):
        for epoch in range(1, (last or epochs) + 1):
            found = 0.0
            for batch in _batches(len(items), rng):
                optimizer.zero_grad(set_to_none=True)
                for _, values in losses(gradients, [items[i] for i in batch]):
                    (values.sum() / len(batch)).backward()
                    found += float(values.detach().sum())
                torch.nn.utils.clip_grad_norm_(tensors, _CLIP)
                optimizer.step()
                schedule.step()
            history.append(found / len(items))
            if after_epoch is not None:
                after_epoch(epoch, history[-1])
    return history


def _batches(count: int, rng: random.Random) -> Iterator[list[int]]:
    """One epoch, shuffled."""
    order = rng.sample(range(count), count)
    for start in range(0, count, ITEMS_PER_STEP):
        yield order[start : start + ITEMS_PER_STEP]


__all__ = ["Trained", "fit", "loss", "losses"]
