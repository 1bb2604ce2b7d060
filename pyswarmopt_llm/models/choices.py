"""Labelled items for training, and what training on them costs; imports no model code."""

from __future__ import annotations

from dataclasses import dataclass

# forward passes that a forward and a backward pass take, whatever is trained; see docs/baselines.md
PASSES = 2.5
EPOCHS = 4  # of what is trained on labelled items


@dataclass(frozen=True)
class Choices:
    """An item as its options are scored.

    Attributes:
        pairs: (context, option); one pair, the answer, for an item without options.
        lengths: what each log-likelihood is divided by.
        right: index of the right option.
    """

    pairs: tuple[tuple[str, str], ...]
    lengths: tuple[float, ...]
    right: int


def training_passes(items: int, epochs: int = EPOCHS) -> int:
    """Forward passes of an item that training on so many items takes, once.

    Example:
        >>> training_passes(200)
        2000
    """
    return round(epochs * PASSES * items)


def fold_count(items: int) -> int:
    """Number of folds of cross-fitting: 2 from 67 items on, up to 5 where there are fewer.

    Half of a small set teaches much less than all of it, so that what is trained on all would be
    underrated.

    Example:
        >>> [fold_count(items) for items in (40, 50, 66, 67, 200)]
        [5, 4, 3, 2, 2]
    """
    return max(2, min(5, 200 // items))


def fold_epochs(items: int) -> int:
    """Epochs of what is trained without a fold, to tell what training on all items is worth.

    Half as many tell as much where folds are large (docs/research/without-iterations.md).

    Example:
        >>> fold_epochs(66), fold_epochs(67)
        (4, 2)
    """
    return EPOCHS // 2 if fold_count(items) == 2 else EPOCHS


def cross_fitting_passes(items: int, without_fold: int = EPOCHS) -> int:
    """Forward passes for training on all items, and without each fold for so many epochs.

    Example:
        >>> cross_fitting_passes(200), cross_fitting_passes(200, 2), cross_fitting_passes(50)
        (4000, 3000, 2000)
    """
    left_out = (fold_count(items) - 1) * items
    return training_passes(items) + round(without_fold * PASSES * left_out)


__all__ = [
    "EPOCHS",
    "PASSES",
    "Choices",
    "cross_fitting_passes",
    "fold_count",
    "fold_epochs",
    "training_passes",
]
