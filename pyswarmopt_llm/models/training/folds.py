"""Train a LoRA on the labelled items, and one without each fold of them: cross-fitting.

The items of a fold can be scored with what was trained on the others, so that all of them tell how
well training on such items does on unseen ones (cross-fitting; stacked generalisation, Wolpert
1992, Neural Networks 5).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pyswarmopt_llm.common.interfaces import Engine, LowRank, Patch
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo
from pyswarmopt_llm.models.choices import EPOCHS, FULL, RATE, Choices, Schedule, fold_count
from pyswarmopt_llm.models.engines.transformers import on_transformers
from pyswarmopt_llm.models.training.choice_losses import choice_trainer
from pyswarmopt_llm.models.training.lora import Lora
from pyswarmopt_llm.models.training.trainer import OnRound


@dataclass(frozen=True)
class Share:
    """A LoRA that was trained on a share of the items.

    Attributes:
        contexts: prompts of the items that it was trained on.
        changes: parameter name -> weight change.
        loss: mean loss of the last epoch, in nats.
    """

    contexts: frozenset[str]
    changes: Mapping[str, LowRank]
    loss: float


def train_folds(
    engine: Engine,
    start: Patch,
    choices: Sequence[Choices],
    pattern: AdapterInfo,
    seed: int,
    after_epoch: Callable[[float], None] | None = None,
    schedule: Schedule = FULL,
) -> list[Share]:
    """For each fold a LoRA that is trained without it, then one that is trained on all items; they
    begin alike.

    Args:
        engine: the one on transformers.
        start: the change that they are trained on top of.
        choices: at least two items with different contexts; those with the same context are in the
            same fold.
        pattern: an adapter whose modules, rank and scale they have.
        seed: of the LoRAs' start, the folds and the order.
        after_epoch: called with the share of the training that is done, in 0..1.
        schedule: epochs, and whether there are folds.

    Raises:
        TypeError: another engine, through which no gradients flow.
    """
    left_out = folds(choices, seed) if schedule.without_fold else []
    # items of all epochs: each is left out of one LoRA
    epochs_in_all = schedule.epochs + schedule.without_fold * max(len(left_out) - 1, 0)
    total = epochs_in_all * len(choices)
    everything = frozenset(item.pairs[0][0] for item in choices)
    trained_on = 0

    def train(contexts: frozenset[str], epochs: int) -> Share:
        items = [item for item in choices if item.pairs[0][0] in contexts]

        def note(_epoch: int, _epochs: int, _loss: float) -> None:
            nonlocal trained_on
            trained_on += len(items)
            if after_epoch is not None:
                after_epoch(trained_on / total)

        engine.load(start)
        patch, loss = train_once(engine, items, pattern, seed, note, epochs)
        return Share(contexts, patch.low_rank, loss)

    shares = [train(everything - fold, schedule.without_fold) for fold in left_out]
    return [*shares, train(everything, schedule.epochs)]


def train_once(
    engine: Engine,
    choices: Sequence[Choices],
    pattern: AdapterInfo,
    seed: int,
    after_epoch: OnRound | None = None,
    epochs: int = EPOCHS,
) -> tuple[Patch, float]:
    """A new LoRA, trained at `RATE`, and the mean loss of the last epoch, in nats.

    Args:
        engine: the one on transformers, with the model to start from loaded.
        choices: to train on.
        pattern: an adapter whose modules, rank and scale it has.
        seed: of the start and the order.
        after_epoch: see `Trainer.run`.
        epochs: over the items, for which the learning rate is planned.

    Raises:
        TypeError: another engine, through which no gradients flow.
    """
    trainable = on_transformers(engine, "an adapter is trained")
    lora = Lora.like(pattern, seed, trainable.model.device)
    history = choice_trainer(trainable, choices, lora, RATE, epochs, seed).run(on_round=after_epoch)
    return lora.patch(), history[-1]


def folds(choices: Sequence[Choices], seed: int) -> list[frozenset[str]]:
    """The contexts of each fold, stratified by answer: of two items with the same one, each fold
    has one.

    A label whose only examples are in one fold would look unlearnable from the other.

    Example:
        >>> items = [Choices(((q, "yes" if q < "e" else "no"),), (1.0,), 0) for q in "aabcdefgh"]
        >>> [sorted(fold) for fold in folds(items, seed=0)]
        [['c', 'e'], ['a', 'f'], ['d', 'h'], ['g'], ['b']]
    """
    answers = {item.pairs[0][0]: item.pairs[item.right][1] for item in choices}
    contexts = list(answers)
    random.Random(seed).shuffle(contexts)
    contexts.sort(key=answers.__getitem__)
    count = fold_count(len(choices))
    return [frozenset(contexts[k::count]) for k in range(count)]


__all__ = ["Share", "folds", "train_folds", "train_once"]
