"""PSO-Merging: a particle swarm of the base, the experts and sparsified experts.

Zhang, Zhang & Feng 2025, arXiv 2508.19839: 2 n + 1 particles, the base, the n experts and the n experts after DARE with
drop rate 0.8; v <- w v + c1 r1 (p - x) + c2 r2 (g - x), x <- x + v with w = 0.2, c1 = c2 = 2 and v = 0 at first; the
global best is the merged model. (Swarm, drop rate and coefficients as a public review of the paper reports them; the
paper's text was not available.) r1 and r2 are one number per particle here, so that a particle is a mixture of the
2 n + 1 starting points and the swarm can move its coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.baselines.method import Merged, Settings
from pyswarmopt_llm.baselines.rules.sparsify import drop_and_rescale
from pyswarmopt_llm.baselines.searching.best_found import best_found
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.spaces import build_space

DENSITY = 0.2
INERTIA, COGNITIVE, SOCIAL = 0.2, 2.0, 2.0


def recipe() -> pso.Recipe:
    """The published velocity rule."""
    return pso.compose(
        name="pso_merging",
        terms=(pso.inertia(INERTIA), pso.cognitive(COGNITIVE, "scalar"), pso.social(SOCIAL, "scalar")),
        launch=pso.initialise.at_rest,
    )


def sparsified(expert: Adapter, generator: torch.Generator) -> Adapter:
    """The expert after DARE on its factors A and B."""

    def drop(factor: Tensor) -> Tensor:
        return drop_and_rescale(factor[None], DENSITY, generator)[0]

    return replace(expert, factors={m: replace(f, a=drop(f.a), b=drop(f.b)) for m, f in expert.factors.items()})


def zero(expert: Adapter) -> Adapter:
    """An adapter of the same shapes that changes nothing: the base."""
    factors = {m: replace(f, a=torch.zeros_like(f.a), b=torch.zeros_like(f.b)) for m, f in expert.factors.items()}
    return replace(expert, factors=factors)


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Search until the budget is spent (the paper: 5 to 50 steps)."""
    trial, generator = settings.need_trial(), settings.generator()
    particles = [zero(experts[0]), *experts, *(sparsified(expert, generator) for expert in experts)]
    space = build_space(settings.space, particles)
    swarm = pso.Swarm(positions=space.vertices(), recipe=recipe(), maximize=True, seed=settings.seed)
    return Merged(best_found(swarm, trial, space.realise))
