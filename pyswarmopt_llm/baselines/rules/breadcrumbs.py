"""Model breadcrumbs: drop the few largest entries and the many small ones, sum what lies between.

Davari & Belilovsky 2023, arXiv 2312.06795: a mask per layer keeps the entries whose magnitude lies between
two percentiles, beta and gamma; theta = theta_0 + alpha sum_i m_i * tau_i. Outliers are 0.6% here, density is the
share between the percentiles (15%), the weight alpha (0.2): the values from which the authors' released code searches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.baselines.changes import combine
from pyswarmopt_llm.baselines.method import Merged, Method, Settings
from pyswarmopt_llm.baselines.rules.task_arithmetic import weighted_sum
from pyswarmopt_llm.models.adapters.adapter import Adapter

OUTLIERS = 0.006


def keep_middle(changes: Tensor, density: float, outliers: float = OUTLIERS) -> Tensor:
    """Zero the largest entries by magnitude and all that follow the next `density`, each expert for itself.

    Args:
        changes: (n, ...), one per expert.
        density: share of the entries of each that is kept.
        outliers: share of the entries of each that is dropped from the top.

    Example:
        >>> keep_middle(torch.tensor([[3.0, -4.0, 1.0, 2.0]]), density=0.5, outliers=0.25).tolist()
        [[3.0, 0.0, 0.0, 2.0]]
    """
    flat = changes.flatten(1)
    first = int(outliers * flat.shape[1])
    kept = flat.abs().argsort(dim=1, descending=True)[:, first : first + max(1, int(density * flat.shape[1]))]
    return torch.zeros_like(flat).scatter(1, kept, flat.gather(1, kept)).view_as(changes)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """The masked sum of each module."""
    return combine(
        experts, settings, lambda changes, weights: weighted_sum(keep_middle(changes, settings.density), weights)
    )


METHOD = Method(
    name="breadcrumbs",
    paper="Davari & Belilovsky 2023, arXiv 2312.06795",
    spaces=("delta", "factor"),
    execute=execute,
    weight=0.2,
    density=0.15,
)
