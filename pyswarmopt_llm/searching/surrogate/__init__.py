"""Surrogates: models of what was scored, which propose candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.surrogate.surrogate import MOST_COEFFICIENTS, Candidate, Surrogate

LEAST_LEAD = 1.0  # standard errors that the model has to expect of a mixture


def make_surrogate(
    of: str,
    tasks: Sequence[str],
    combine: Combine,
    most: int,
    *,
    choosy: bool = False,
    noisy: bool = False,
) -> Surrogate:
    """The surrogate of a search.

    Args:
        of: ``items`` or ``scores``, what it models.
        tasks: their names.
        combine: the tasks' scores into the value.
        most: candidates that it proposes.
        choosy: whether a mixture has to promise something, for a model of the items.
        noisy: whether the same candidate does not score the same again. The model of the items
            estimates its noise from the margins in any case.
    """
    if of == "scores":
        from pyswarmopt_llm.searching.surrogate.scores import ScoreModel

        def of_scores(seen: Sequence[Candidate], begun: int) -> ScoreModel:
            return ScoreModel(seen, combine, noisy, begun)

        return Surrogate(of_scores, tasks, combine, most)
    from pyswarmopt_llm.searching.surrogate.items import ItemModel, as_cube

    def of_items(seen: Sequence[Candidate], begun: int) -> ItemModel:
        positions = np.stack([candidate.position for candidate in seen])
        margins = as_cube([candidate.margins for candidate in seen])
        least_lead = LEAST_LEAD if choosy and len(seen) == begun else -math.inf
        return ItemModel(positions, margins, least_lead=least_lead)

    return Surrogate(of_items, tasks, combine, most)


__all__ = ["MOST_COEFFICIENTS", "Surrogate", "make_surrogate"]
