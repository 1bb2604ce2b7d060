"""PSO-Merging: a particle swarm of the base, the experts and sparsified experts.

Zhang, Zhang & Feng 2025, arXiv 2508.19839: 2 n + 1 particles, the base, the n experts and the n experts after DARE with
drop rate 0.8; v <- w v + c1 r1 (p - x) + c2 r2 (g - x), x <- x + v with w = 0.2, c1 = c2 = 2 and v = 0 at first; the
global best is the merged model. (Swarm, drop rate and coefficients as a public review of the paper reports them; the
paper's text was not available.) r1 and r2 are one number per particle here, so that a particle is a mixture of the
2 n + 1 starting points and the swarm can move its coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.spaces import build_space
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.rules.sparsify import drop_and_rescale
from pyswarmopt_rivals.methods.searching.best_found import best_found

DENSITY = 0.2
INERTIA, COGNITIVE, SOCIAL = 0.2, 2.0, 2.0


def recipe() -> pso.Recipe:
    """The published velocity rule."""
    return pso.compose(
        name="pso_merging",
        terms=(pso.inertia(INERTIA), pso.cognitive(COGNITIVE, "scalar"), pso.social(SOCIAL, "scalar")),
        launch=pso.initialise.at_rest,
    )


def changed(expert: Adapter, change: Callable[[Tensor], Tensor]) -> Adapter:
    """The expert with a function of its factors A and B in their places."""
    return replace(expert, factors={m: replace(f, a=change(f.a), b=change(f.b)) for m, f in expert.factors.items()})


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Search until the budget is spent (the paper: 5 to 50 steps)."""
    trial, generator = settings.need_trial(), settings.generator()

    def dare(factor: Tensor) -> Tensor:
        return drop_and_rescale(factor[None], DENSITY, generator)[0]

    base = changed(experts[0], torch.zeros_like)
    particles = [base, *experts, *(changed(expert, dare) for expert in experts)]
    space = build_space(settings.space, particles)
    swarm = pso.Swarm(positions=space.vertices(), recipe=recipe(), maximize=True, seed=settings.seed)
    return Merged(best_found(swarm, trial, space.realise))
