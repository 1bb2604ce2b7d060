"""DARE, linear: drop entries of each expert at random, rescale the rest, then a weighted sum.

Yu et al. 2024, arXiv 2311.03099: m ~ Bernoulli(p), tau~ = (1 - m) * tau / (1 - p), which keeps the
expectation; merged by task arithmetic (Ilharco et al. 2023), so the default weight is that of `task_arithmetic`.
Density is 1 - p. The paper picks p on validation data between .1 and .9; the default here is the middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.baselines.changes import combine
from pyswarmopt_llm.baselines.method import Merged, Method, Settings
from pyswarmopt_llm.baselines.rules.task_arithmetic import weighted_sum
from pyswarmopt_llm.models.adapters.adapter import Adapter


def drop_and_rescale(changes: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Keep each entry with probability `density`, divided by it; zero the rest.

    Args:
        changes: (n, ...), one per expert.
        density: in (0, 1].
        generator: where the draws come from.

    Example:
        >>> drawn = drop_and_rescale(torch.ones(1, 1000), 0.25, torch.Generator().manual_seed(0))
        >>> sorted(set(drawn.flatten().tolist()))
        [0.0, 4.0]
    """
    kept = torch.rand(changes.shape, generator=generator, dtype=changes.dtype) < density
    return changes * kept / density


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """DARE and task arithmetic of each module."""
    generator = settings.generator()
    return combine(
        experts,
        settings,
        lambda changes, weights: weighted_sum(drop_and_rescale(changes, settings.density, generator), weights),
    )


METHOD = Method(
    name="dare-linear",
    paper="Yu et al. 2024, arXiv 2311.03099",
    spaces=("delta", "factor"),
    execute=execute,
    weight=0.4,
    density=0.5,
    needs=frozenset({"seed"}),
)
