"""Adapters of random factors in place of the experts: do the experts matter at all?

Liu et al. 2026, arXiv 2602.12323, find that merging coefficients tuned on a task do about as well on random LoRAs as on
recycled ones. Here A and B are Gaussian, of the expert's shapes, scaled to the norms of its A and of s B A, so that
nothing but the directions differs (the paper's scale could not be found).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pyswarmopt_llm.models.adapters.adapter import Adapter, Factors
from pyswarmopt_llm.models.adapters.truncate import squared_norm


def random_adapters(experts: Sequence[Adapter], seed: int) -> list[Adapter]:
    """An adapter of random factors for each expert, as large as it is in every module."""
    generator = torch.Generator().manual_seed(seed)
    adapters = []
    for expert in experts:
        factors = {name: random_factors(part, generator) for name, part in expert.factors.items()}
        adapters.append(replace(expert, factors=factors))
    return adapters


def random_factors(factors: Factors, generator: torch.Generator) -> Factors:
    """Gaussian factors of the same shapes and scale, float32, with the norms of A and of B A."""
    a = torch.randn(factors.a.shape, generator=generator)
    b = torch.randn(factors.b.shape, generator=generator)
    a *= factors.a.norm() / a.norm()
    ratio = product_norm(factors.b, factors.a) / product_norm(b, a)
    return replace(factors, a=a, b=b * float(ratio))


def product_norm(b: Tensor, a: Tensor) -> Tensor:
    """The Frobenius norm of b @ a, float64.

    Example:
        >>> product_norm(torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0, 4.0]])).item()
        12.0
    """
    return squared_norm(b, a).clamp(min=0).sqrt()
