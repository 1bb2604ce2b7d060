"""Labelled items for training, and what training on them costs; imports no model code."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = -1  # right option
# forward passes that a forward and a backward pass take, whatever is trained; see docs/how-to/baselines.md
PASSES = 2.5
EPOCHS = 4  # of what is trained on labelled items
RATE = 2e-3  # its peak learning rate
MOST_STARTS = 3  # models that a search trains: base, best expert, and perhaps a mixture


@dataclass(frozen=True)
class Choices:
    """An item as its options are scored.

    Attributes:
        pairs: (context, option); one pair, the answer, for an item without options.
        lengths: what each log-likelihood is divided by.
        right: index of the right option; `UNKNOWN`: nobody says.
        weight: weight of its loss.
    """

    pairs: tuple[tuple[str, str], ...]
    lengths: tuple[float, ...]
    right: int
    weight: float = 1.0


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


@dataclass(frozen=True)
class Schedule:
    """The epochs of a LoRA that is trained on items, and of those that tell what it is worth.

    Attributes:
        epochs: over all items.
        without_fold: passes of each LoRA that is trained without a fold; 0: there are no folds.

    Example:
        >>> Schedule().passes(200), Schedule(without_fold=2).passes(200), Schedule(2, 0).passes(200)
        (4000, 3000, 1000)
    """

    epochs: int = EPOCHS
    without_fold: int = EPOCHS

    def passes(self, items: int) -> int:
        """Forward passes of an item that training on so many items takes."""
        return self.whole_passes(items) + self.fold_passes(items)

    def whole_passes(self, items: int) -> int:
        """Passes of the LoRA that is trained on all items."""
        return training_passes(items, self.epochs)

    def fold_passes(self, items: int) -> int:
        """Passes of the LoRAs that are trained without a fold.

        Example:
            >>> labelled(200).fold_passes(200)
            1000
        """
        left_out = (fold_count(items) - 1) * items
        return round(self.without_fold * PASSES * left_out)


FULL = Schedule()  # the same epochs without each fold


def labelled(items: int) -> Schedule:
    """The schedule of so many labelled items.

    Half the epochs tell as much where folds are large (research/notes/without-iterations.md).

    Example:
        >>> labelled(66).without_fold, labelled(67).without_fold
        (4, 2)
    """
    return Schedule(without_fold=EPOCHS // 2 if fold_count(items) == 2 else EPOCHS)
