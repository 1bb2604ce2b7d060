"""Magnitude pruning: keep the largest entries of each expert, then a weighted sum.

The trimming of TIES (Yadav et al. 2023, arXiv 2306.01708) without its election, and the combination that
peft calls ``magnitude_prune``: sum_i w_i keep(tau_i). Nothing is rescaled. The default weight is that of
`task_arithmetic`, the default density that of `ties`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.baselines.changes import combine
from pyswarmopt_llm.baselines.method import Merged, Method, Settings
from pyswarmopt_llm.baselines.rules.task_arithmetic import weighted_sum
from pyswarmopt_llm.models.adapters.adapter import Adapter


def keep_largest(changes: Tensor, density: float) -> Tensor:
    """Zero all but the largest entries of each expert by magnitude; their number is rounded down, but one stays.

    Args:
        changes: (n, ...), one per expert.
        density: share of the entries of each that is kept.

    Example:
        >>> keep_largest(torch.tensor([[3.0, -4.0, 1.0, 2.0]]), density=0.5).tolist()
        [[3.0, -4.0, 0.0, 0.0]]
    """
    flat = changes.flatten(1)
    kept = max(1, int(density * flat.shape[1]))
    largest = flat.abs().topk(kept, dim=1).indices
    return torch.zeros_like(flat).scatter(1, largest, flat.gather(1, largest)).view_as(changes)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """The pruned sum of each module."""
    return combine(
        experts, settings, lambda changes, weights: weighted_sum(keep_largest(changes, settings.density), weights)
    )


METHOD = Method(
    name="magnitude-prune",
    paper="the trimming of Yadav et al. 2023, arXiv 2306.01708, without election; peft's magnitude_prune",
    spaces=("delta", "factor"),
    execute=execute,
    weight=0.4,
    density=0.2,
)
