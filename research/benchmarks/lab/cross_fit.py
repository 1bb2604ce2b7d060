"""Outcomes of items by what was trained without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pyswarmopt_llm.searching.fitting import Fitting

T = TypeVar("T")


def cross_fit(fitting: Fitting, score: Callable[[list[int]], Sequence[T]]) -> list[T]:
    """The outcome of each item by what was trained without its fold.

    Args:
        fitting: with folds.
        score: indices of items -> their outcomes, by the model that is loaded.
    """
    outcomes: dict[int, T] = {}
    for fold, patch in fitting.without_folds():
        fitting.engine.load(patch)
        outcomes |= zip(fold, score(fold), strict=True)
    return [outcomes[index] for index in range(len(fitting.items))]
