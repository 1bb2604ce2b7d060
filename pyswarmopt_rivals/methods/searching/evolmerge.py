"""EvolMerge: CMA-ES over each expert's weight and density in a DARE-TIES merge.

Akiba et al. 2024, arXiv 2403.13187, merging in the parameter space, here with one weight and one density per expert
(the paper: per layer as well). A candidate's draws come from one seed, so that equal parameters give equal models.
CMA-ES moves in the unit box: weight = 2 u - 0.5 in [-0.5, 1.5], density = 0.1 + 0.9 u; outside it is reflected.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_rivals.methods.changes import combine
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.rules.sparsify import drop_and_rescale, elect_and_merge
from pyswarmopt_rivals.methods.searching.best_found import best_found

SPREAD = 1 / 6  # first step size, a sixth of the box


def decode(u: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and densities, (n,) float32 each, of a point of CMA-ES, (2 n,).

    Example:
        >>> weights, densities = decode(torch.tensor([0.75, 1.25, 0.0, 1.0]))  # 1.25 is reflected to 0.75
        >>> weights.tolist(), [round(d, 3) for d in densities.tolist()]
        ([1.0, 1.0], [0.1, 1.0])
    """
    folded = 1 - (u.to(torch.float64).remainder(2) - 1).abs()
    weights, densities = folded.chunk(2)
    return (2 * weights - 0.5).to(torch.float32), (0.1 + 0.9 * densities).to(torch.float32)


def dare_ties(changes: Tensor, weights: Tensor, densities: Tensor, generator: torch.Generator) -> Tensor:
    """DARE with a density per expert, (n,) in (0, 1], then election and mean of TIES, of changes (n, rows, columns)."""
    return elect_and_merge(drop_and_rescale(changes, densities[:, None, None], generator), weights)


def candidate(experts: Sequence[Adapter], settings: Settings, u: Tensor) -> Patch:
    """The merge at a point of CMA-ES, (2 n,)."""
    weights, densities = decode(u)
    generator = settings.generator()
    return combine(experts, settings, lambda changes, _: dare_ties(changes, weights, densities, generator)).patch


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Search from weight 0.5 and density 0.55."""
    from pyswarmopt.interop.pycma import PycmaOptimizer

    centre = torch.full((2 * len(experts),), 0.5, dtype=torch.float64)
    start = torch.stack([centre - SPREAD, centre + SPREAD])
    trial = settings.need_trial()
    optimizer = PycmaOptimizer(start, budget=max(trial.left, 1), seed=settings.seed, maximize=True)
    return Merged(best_found(optimizer, trial, lambda u: candidate(experts, settings, u)))
