"""TIES: trim what is small, elect a sign for each entry, average the experts that agree with it.

Yadav et al. 2023, arXiv 2306.01708, algorithm 1: (1) keep the largest share of each tau_i by magnitude, zero the rest;
(2) gamma = sgn(sum_i tau_i), entry by entry; (3) tau = mean of the tau_i whose sign is gamma; theta_0 + lambda tau.
Defaults as there without validation data: 20% kept, lambda = 1.

The paper trims over the whole model; here, as in peft, the share is of each module's matrix. An expert's weight
multiplies its entries after the election and before the mean, so that equal weights are lambda. A sum of exactly
zero elects plus.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.baselines.changes import combine
from pyswarmopt_llm.baselines.method import Merged, Method, Settings
from pyswarmopt_llm.baselines.rules.magnitude_prune import keep_largest
from pyswarmopt_llm.models.adapters.adapter import Adapter


def elect_and_merge(changes: Tensor, weights: Tensor) -> Tensor:
    """Steps 2 and 3: the elected sign of each entry, and the mean of the experts that have it.

    Args:
        changes: (n, ...), zeros where an expert abstains.
        weights: (n,), same dtype.

    Example:
        >>> elect_and_merge(torch.tensor([[4.0, -1.0], [-1.0, -3.0]]), torch.ones(2)).tolist()
        [4.0, -2.0]
    """
    elected = torch.where(changes.sum(0) >= 0, 1.0, -1.0)
    agree = (changes.sign() == elected).to(changes.dtype)
    return torch.tensordot(weights, changes * agree, dims=1) / agree.sum(0).clamp(min=1)


def ties(changes: Tensor, weights: Tensor, density: float) -> Tensor:
    """All three steps.

    Args:
        changes: (n, ...), one per expert.
        weights: (n,), same dtype; all equal to lambda in the paper.
        density: share of the entries of each expert that is kept.
    """
    return elect_and_merge(keep_largest(changes, density), weights)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """TIES of each module."""
    return combine(experts, settings, lambda changes, weights: ties(changes, weights, settings.density))


METHOD = Method(
    name="ties",
    paper="Yadav et al. 2023, arXiv 2306.01708",
    spaces=("delta", "factor"),
    execute=execute,
    weight=1.0,
    density=0.2,
)
