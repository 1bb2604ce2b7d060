"""Labelled items in steps and folds, and their losses: cross-entropy over the options, or of the
answer.

The options' scores are those that decide (log-likelihood per byte, or a letter's log-probability),
times the mean length of the item's options, so that they are of the size of log-likelihoods again;
the loss is -log softmax of the right option. An item without options has the negative
log-likelihood of its answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain
from statistics import fmean

import torch
from torch import Tensor

from pyswarmopt_llm.engine.passes import target_logprobs
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.choices import Choices, fold_count

ITEMS_PER_STEP = 16


def shuffled(items: Sequence[Choices], epochs: int, seed: int) -> list[list[list[Choices]]]:
    """The items of each step of each epoch, `ITEMS_PER_STEP` a step."""
    draws = random.Random(seed)
    rounds = []
    for _ in range(epochs):
        order = draws.sample(items, len(items))
        starts = range(0, len(items), ITEMS_PER_STEP)
        rounds.append([order[start : start + ITEMS_PER_STEP] for start in starts])
    return rounds


def folds(
    items: Sequence[Choices], seed: int, identities: Sequence[Hashable] | None = None
) -> list[list[int]]:
    """The places of each fold's items, ascending, stratified by answer: of two items with the same
    one, each fold has one.

    The items of a fold can be scored with what was trained on the others (cross-fitting; stacked
    generalisation, Wolpert 1992, Neural Networks 5). A label whose only examples are in one fold
    would look unlearnable from the other. Items that are the same are in one fold, unless there are
    fewer different ones than folds.

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

    def answer(item: Choices) -> str:
        return item.pairs[item.right][1]

    count = fold_count(len(items))
    known_by = identities or [(item.pairs, item.right) for item in items]
    if len(set(known_by)) < count:
        known_by = range(len(items))
    places: dict[Hashable, list[int]] = {}
    for place, identity in enumerate(known_by):
        places.setdefault(identity, []).append(place)
    groups = list(places.values())
    random.Random(seed).shuffle(groups)
    groups.sort(key=lambda group: answer(items[group[-1]]))
    return [sorted(chain.from_iterable(groups[k::count])) for k in range(count)]


def choice_losses(engine: TransformersEngine, items: Sequence[Choices]) -> Iterator[Tensor]:
    """Losses of all items in nats, (items of a batch,) float64 on the CPU, with their graphs."""
    owners = [number for number, item in enumerate(items) for _ in item.pairs]
    pairs = [pair for item in items for pair in item.pairs]
    for indices, values in loglikelihoods(engine, pairs):
        counts = Counter(owners[index] for index in indices)
        parts = zip(counts, values.split(list(counts.values())), strict=True)
        yield torch.stack([choice_loss(items[number], part) for number, part in parts])


def choice_loss(item: Choices, totals: Tensor) -> Tensor:
    """Loss of an item, in nats, times its weight.

    Args:
        item: with its options.
        totals: (options,) log-likelihoods.

    Example:
        >>> item = Choices((("q", "a"), ("q", "bcd")), (1.0, 3.0), 0)  # scores -1 and -1, times 2
        >>> round(float(choice_loss(item, torch.tensor([-1.0, -3.0]))), 4)  # ln 2
        0.6931
    """
    if len(item.pairs) == 1:
        return -totals[0] * item.weight
    lengths = torch.tensor(item.lengths, dtype=totals.dtype)
    logits = totals / lengths * fmean(item.lengths)
    return -logits.log_softmax(0)[item.right] * item.weight


def loglikelihoods(
    engine: TransformersEngine, pairs: Sequence[tuple[str, str]]
) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """`TransformersEngine.loglikelihood` of the model as it is, batch by batch, with gradients.

    See `trainer.training`. The prefix that all contexts share is computed once per batch, and
    gradients flow through its keys and values. Pairs with the same context are in the same batch.

    Yields:
        The indices of the pairs of a batch, ascending, and their values, (P,) float64 on the CPU.

    Raises:
        UserError: a pair exceeds the context window.
    """
    encoded = [engine.encode_continuation(*pair) for pair in pairs]
    plan = engine.passes.plan(encoded, engine.batch_tokens)
    for batch in plan.batches:
        # Anew for each batch: differentiating its values frees the graph of the prefix, too.
        prefix = engine.passes.prefix(plan.prefix)
        values = target_logprobs(batch, engine.passes.logits(batch, prefix))
        engine.tokens_fed += len(plan.prefix) + batch.n_tokens
        totals = torch.zeros(len(pairs), dtype=torch.float64)
        totals = totals.index_add(0, batch.target_pair, values)
        yield tuple(batch.pairs.tolist()), totals[batch.pairs]


__all__ = ["ITEMS_PER_STEP", "choice_loss", "choice_losses", "folds", "loglikelihoods", "shuffled"]
