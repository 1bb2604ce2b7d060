"""Train a LoRA on labelled items, and divide items into folds for cross-fitting.

The items of a fold can be scored with what was trained on the others, so that all of them tell how
well training on such items does on unseen ones (cross-fitting; stacked generalisation, Wolpert
1992, Neural Networks 5).
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from itertools import chain

from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.engine.transformers import on_transformers
from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.scores.choices import EPOCHS, RATE, Choices, fold_count
from pyswarmopt_llm.searching.training.choice_losses import shuffled
from pyswarmopt_llm.searching.training.lora import Lora
from pyswarmopt_llm.searching.training.trainer import OnRound, train


def fit(
    engine: Engine,
    start: Patch,
    items: Sequence[Choices],
    pattern: AdapterInfo,
    seed: int,
    after_epoch: OnRound | None = None,
    epochs: int = EPOCHS,
) -> Patch:
    """A new LoRA, trained at `RATE` on top of `start`; the trained model is both together.

    Args:
        engine: the one on transformers.
        start: the model to start from.
        items: to train on.
        pattern: an adapter whose modules, rank and scale it has.
        seed: of the start and the order.
        after_epoch: see `train`.
        epochs: over the items, for which the learning rate is planned.

    Raises:
        TypeError: another engine, through which no gradients flow.
    """
    engine.load(start)
    trainable = on_transformers(engine, "an adapter is trained")
    lora = Lora.like(pattern, seed, trainable.model.device)
    train(trainable, lora, shuffled(items, epochs, seed), RATE, on_round=after_epoch)
    return lora.patch()


def folds(
    items: Sequence[Choices], seed: int, identities: Sequence[Hashable] | None = None
) -> list[list[int]]:
    """The places of each fold's items, ascending, stratified by answer: of two items with the same
    one, each fold has one.

    A label whose only examples are in one fold would look unlearnable from the other. Items that
    are the same are in one fold, unless there are fewer different ones than folds.

    Args:
        items: at least two.
        seed: of the order.
        identities: of each item what it is known by; None: its options, with their prompt, and
            which of them is right.

    Example:
        >>> items = [Choices(((q, "yes" if q < "e" else "no"),), (1.0,), 0) for q in "aabcdefgh"]
        >>> [[items[place].pairs[0][0] for place in fold] for fold in folds(items, seed=0)]
        [['c', 'e'], ['a', 'a', 'f'], ['d', 'h'], ['g'], ['b']]
    """
    count = fold_count(len(items))
    known_by = identities or [(item.pairs, item.right) for item in items]
    if len(set(known_by)) < count:
        known_by = range(len(items))
    places: dict[Hashable, list[int]] = {}
    for place, identity in enumerate(known_by):
        places.setdefault(identity, []).append(place)
    groups = list(places.values())
    random.Random(seed).shuffle(groups)
    groups.sort(key=lambda group: _answer(items[group[-1]]))
    return [sorted(chain.from_iterable(groups[k::count])) for k in range(count)]


def _answer(item: Choices) -> str:
    return item.pairs[item.right][1]


__all__ = ["fit", "folds"]
