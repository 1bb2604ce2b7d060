"""Labelled items for training, and what training on them costs; imports no model code."""

from __future__ import annotations

from dataclasses import dataclass

PASSES = 2.5  # forward passes that a forward and a backward pass with frozen weights take; see docs/baselines.md
EPOCHS = 4  # of what is trained on dev items


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


def training_passes(items: int) -> int:
    """Forward passes of an item that training on so many items takes, once.

    Example:
        >>> training_passes(200)
        2000
    """
    return round(EPOCHS * PASSES * items)


def cross_fitting_passes(items: int) -> int:
    """The same for training on all of them and on either half.

    Example:
        >>> cross_fitting_passes(200)
        4000
    """
    return 2 * training_passes(items)


__all__ = ["EPOCHS", "PASSES", "Choices", "cross_fitting_passes", "training_passes"]
