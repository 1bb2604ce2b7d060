"""Surrogates: models of what was scored, which propose candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.evaluation.surrogate.surrogate import MOST_COEFFICIENTS, Surrogate
from pyswarmopt_llm.metrics.combine import Combine

LEAST_GAIN = 1.0  # standard errors that the model has to expect of a mixture


def make_surrogate(
    config: SearchConfig, items: Mapping[str, int], combine: Combine, noisy: bool = False
) -> Surrogate[Any]:
    """The surrogate of a search.

    Args:
        config: of the search.
        items: task name -> number of its dev items.
        combine: the tasks' scores into the value.
        noisy: whether the same candidate does not score the same again. The model of the items
            estimates its noise from the margins in any case.
    """
    if config.surrogate == "items":
        from pyswarmopt_llm.evaluation.surrogate.items import ItemSurrogate

        # Where all that is found is trained anyway, a mixture has to promise something.
        choosy = config.train == "on" and config.proposals is None
        return ItemSurrogate(items, config.most_proposals, LEAST_GAIN if choosy else -math.inf)
    from pyswarmopt_llm.evaluation.surrogate.scores import ScoreSurrogate

    noisy = noisy or config.temperature > 0
    return ScoreSurrogate(items, combine, config.most_proposals, noisy)


__all__ = ["MOST_COEFFICIENTS", "Surrogate", "make_surrogate"]
