"""The search that searching methods share."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.optimizers import maximise, released
from pyswarmopt_rivals.methods.method import Trial


def best_found(
    optimizer: pso.Optimizer,
    trial: Trial,
    realise: Callable[[Tensor], Patch],
    value: Callable[[Tensor], float] | None = None,
) -> Patch:
    """Maximise until the budget is spent or the optimizer stops; the candidate with the best value.

    Candidates of the last round that the budget does not cover count as failed. `value` maps a position to what is
    maximised, for one pass over dev; default: the dev score.
    """
    judge = value or (lambda x: trial.score(realise(x)).value)

    def values(positions: Tensor) -> list[float]:
        return [judge(x) if trial.left > 0 else math.nan for x in positions]

    with released(optimizer):
        return realise(maximise(optimizer, values, lambda: trial.left > 0).x)
