"""Surrogates: models of what was scored, which propose candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.surrogate.surrogate import MOST_COEFFICIENTS, Surrogate

LEAST_GAIN = 1.0  # standard errors that the model has to expect of a mixture


def make_surrogate(
    of: str,
    items: Mapping[str, int],
    combine: Combine,
    most: int,
    *,
    choosy: bool = False,
    noisy: bool = False,
) -> Surrogate[Any]:
    """The surrogate of a search.

    Args:
        of: ``items`` or ``scores``, what it models.
        items: task name -> number of its dev items.
        combine: the tasks' scores into the value.
        most: candidates that it proposes.
        choosy: whether a mixture has to promise something, for a model of the items.
        noisy: whether the same candidate does not score the same again. The model of the items
            estimates its noise from the margins in any case.
    """
    if of == "items":
        from pyswarmopt_llm.searching.surrogate.items import ItemSurrogate

        return ItemSurrogate(items, most, LEAST_GAIN if choosy else -math.inf)
    from pyswarmopt_llm.searching.surrogate.scores import ScoreSurrogate

    return ScoreSurrogate(items, combine, most, noisy)


__all__ = ["MOST_COEFFICIENTS", "Surrogate", "make_surrogate"]
