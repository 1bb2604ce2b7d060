"""DELLA: drop small entries more often than large ones, rescale, elect signs, average the experts that agree.

Deep, Bhardwaj & Poria 2024, arXiv 2406.11617. Drop (MAGPRUNE): within a row, entries are ranked by
magnitude; drop rates rise linearly from p - epsilon/2 for the largest to p + epsilon/2 for the smallest, and what
stays is divided by 1 - p_i. Elect and fuse are those of TIES, times lambda.

The ranks are per output row, as the paper recommends. The paper tunes epsilon; here it is min(p, 1 - p), half of the
widest range that leaves all rates within [0, 1]. Density is 1 - p, by default that of `dare_linear`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.baselines.changes import combine
from pyswarmopt_llm.baselines.method import Merged, Method, Settings
from pyswarmopt_llm.baselines.rules.ties import elect_and_merge
from pyswarmopt_llm.models.adapters.adapter import Adapter


def drop_rates(changes: Tensor, density: float) -> Tensor:
    """The probability with which each entry is dropped: lowest for the largest of its row, 1 - density on average.

    Args:
        changes: (..., entries of a row).
        density: in (0, 1].

    Example:
        >>> drop_rates(torch.tensor([1.0, -9.0, 5.0]), density=0.5).tolist()
        [0.75, 0.25, 0.5]
    """
    places = changes.abs().argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)  # 0 for the largest
    last = max(1, changes.shape[-1] - 1)
    middle = 0.5 if changes.shape[-1] > 1 else 0.0
    mean = 1 - density
    return mean + min(mean, density) * (places.to(changes.dtype) / last - middle)


def magprune(changes: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Drop at the rates of `drop_rates` and divide the rest by the probability of staying."""
    stay = 1 - drop_rates(changes, density)
    kept = torch.rand(changes.shape, generator=generator, dtype=changes.dtype) < stay
    return changes * kept / stay


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """DELLA of each module."""
    generator = settings.generator()
    return combine(
        experts,
        settings,
        lambda changes, weights: elect_and_merge(magprune(changes, settings.density, generator), weights),
    )


METHOD = Method(
    name="della",
    paper="Deep, Bhardwaj & Poria 2024, arXiv 2406.11617",
    spaces=("delta", "factor"),
    execute=execute,
    weight=1.0,
    density=0.5,
    needs=frozenset({"seed"}),
)
