"""Task arithmetic: a weighted sum of the experts' changes.

Ilharco et al. 2023, arXiv 2212.04089: theta = theta_0 + lambda sum_i tau_i with tau_i = theta_i - theta_0.
The default lambda = 0.4 is what Yadav et al. (2023, arXiv 2306.01708) use where there are no validation data. In
``factor`` space it is the combination that peft calls ``linear``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.baselines.changes import combine, mix
from pyswarmopt_llm.baselines.method import Merged, Method, Settings
from pyswarmopt_llm.models.adapters.adapter import Adapter


def weighted_sum(changes: Tensor, weights: Tensor) -> Tensor:
    """sum_i w_i x_i.

    Args:
        changes: (n, ...), one per expert.
        weights: (n,), same dtype.

    Example:
        >>> weighted_sum(torch.tensor([[1.0, 2.0], [10.0, 20.0]]), torch.tensor([1.0, 0.5])).tolist()
        [6.0, 12.0]
    """
    return torch.tensordot(weights, changes, dims=1)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """The sum: exact in ``delta`` space, without a dense matrix."""
    if settings.space == "factor":
        return combine(experts, settings, weighted_sum)
    return mix(experts, settings, lambda gram: settings.weights)


METHOD = Method(
    name="task-arithmetic",
    paper="Ilharco et al. 2023, arXiv 2212.04089",
    spaces=("delta", "factor"),
    execute=execute,
    weight=0.4,
)
