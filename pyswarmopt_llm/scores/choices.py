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


@dataclass(frozen=True)
class Schedule:
    """Training epochs: of the LoRA on all items, and of the LoRAs for cross-validation.

    Attributes:
        epochs: epochs over all items.
        without_fold: epochs of each LoRA trained without a fold; 0: no folds.

    Example:
        >>> Schedule().passes(200), Schedule(without_fold=2).passes(200), Schedule(2, 0).passes(200)
        (4000, 3000, 1000)
    """

    epochs: int = EPOCHS
    without_fold: int = EPOCHS

    def passes(self, items: int) -> int:
        """Forward passes per item of all training."""
        return self.whole_passes(items) + self.fold_passes(items)

    def whole_passes(self, items: int) -> int:
        """Passes of the LoRA trained on all items."""
        return training_passes(items, self.epochs)

    def fold_passes(self, items: int) -> int:
        """Passes of the LoRAs trained without a fold.

        Example:
            >>> labelled(200).fold_passes(200)
            1000
        """
        left_out = (fold_count(items) - 1) * items
        return round(self.without_fold * PASSES * left_out)


FULL = Schedule()  # as many epochs without each fold


def labelled(items: int) -> Schedule:
    """The schedule for a number of labelled items.

    For large folds, half the epochs measure as well (research/notes/without-iterations.md).

    Example:
        >>> labelled(66).without_fold, labelled(67).without_fold
        (4, 2)
    """
    return Schedule(without_fold=EPOCHS // 2 if fold_count(items) == 2 else EPOCHS)
