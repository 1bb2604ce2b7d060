"""Labelled items for training, and the cost of training; imports no model code."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = -1  # the right option is unknown
# one forward and backward pass cost as much as 2.5 forward passes; see docs/how-to/baselines.md
PASSES = 2.5
EPOCHS = 4  # epochs of training on labelled items
RATE = 2e-3  # peak learning rate
MOST_STARTS = 3  # most models trained by a search: base, best expert, and perhaps a mixture


@dataclass(frozen=True)
class Choices:
    """An item for scoring its options.

    Attributes:
        pairs: (context, option); one pair, the answer, for an item without options.
        lengths: divisor of each log-likelihood.
        right: index of the right option, or `UNKNOWN`.
        weight: weight of the item's loss.
    """

    pairs: tuple[tuple[str, str], ...]
    lengths: tuple[float, ...]
    right: int
    weight: float = 1.0


def training_passes(items: int, epochs: int = EPOCHS) -> int:
    """Forward passes per item of one training on the items.

    Example:
        >>> training_passes(200)
        2000
    """
    return round(epochs * PASSES * items)


def fold_count(items: int) -> int:
    """Number of cross-validation folds: 2 from 67 items on, up to 5 for fewer.

    Half of a small set teaches much less than all of it, so two folds would underestimate the final
    model.

    Example:
        >>> [fold_count(items) for items in (40, 50, 66, 67, 200)]
        [5, 4, 3, 2, 2]
    """
    return max(2, min(5, 200 // items))


def fold_passes(items: int, epochs: int | None = None) -> int:
    """Forward passes per item of training without each fold; None: see `fold_epochs`.

    Example:
        >>> fold_passes(200), fold_passes(200, epochs=4)
        (1000, 2000)
    """
    if epochs is None:
        epochs = fold_epochs(items)
    return training_passes((fold_count(items) - 1) * items, epochs)


def fold_epochs(items: int) -> int:
    """Training epochs without each fold of a number of labelled items.

    For large folds, half the epochs measure as well (research/notes/without-iterations.md).

    Example:
        >>> fold_epochs(66), fold_epochs(67)
        (4, 2)
    """
    if fold_count(items) == 2:
        return EPOCHS // 2
    return EPOCHS
