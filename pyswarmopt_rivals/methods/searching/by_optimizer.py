"""Coefficients found by an optimizer within a budget: LoraHub and EvolMerge.

LoraHub, Huang et al. 2023, arXiv 2307.13269: A = sum w_i A_i, B = sum w_i B_i with w in [-1.5,
1.5]^n, minimising loss(w) + 0.05 (1/n) sum |w_i| from w = 0 by nevergrad's NGOpt, 40 steps for 20
experts and 5 examples. Bounds, start, penalty and optimiser come from the authors' released code
(sail-sg/lorahub, lorahub/algorithm.py), and the sequence of w is the same for equal losses, seed
and version of nevergrad. The loss is that of the right dev answers, mean over items. (The released
code divides by the number of examples once more: with 100 instead of 5 the penalty would dominate.)
The result is the best w evaluated, not NGOpt's recommendation.

EvolMerge, Akiba et al. 2024, arXiv 2403.13187, merging in the parameter space: CMA-ES over each
expert's weight and density in a DARE-TIES merge (the paper also searches per layer, and a path
through the layers of several models, not done here, in 1,000 trials; a budget of 8,000 covers 40 on
200 items). A candidate's draws come from one seed, so equal parameters give equal models. CMA-ES
moves in the unit box: weight = 2 u - 0.5 in [-0.5, 1.5], density = 0.1 + 0.9 u, our own ranges;
points outside are reflected.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.searching.optimizers import released
from pyswarmopt_rivals.bench import BudgetedBench
from pyswarmopt_rivals.methods.changes import combine
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.rules.sparsify import drop_and_rescale, elect_and_merge

LIMIT = 1.5  # LoraHub, like the next line
PENALTY = 0.05
SPREAD = 1 / 6  # first step size of EvolMerge, a sixth of the box


def best_found(
    optimizer: pso.Optimizer,
    trial: BudgetedBench,
    realise: Callable[[Tensor], Patch],
    value: Callable[[Tensor], float] | None = None,
) -> Patch:
    """Maximise until the budget is spent or the optimizer stops; return the candidate with the best
    value.

    Candidates of the last round beyond the budget count as failed. `value` maps a position to the
    objective, for one pass over dev; default: the dev score.
    """
    judge = value or (lambda x: trial.score(realise(x)).value)
    with released(optimizer):
        while trial.left > 0 and not optimizer.stop():
            positions = optimizer.ask()
            points = map(torch.as_tensor, positions)  # some optimizers use arrays
            values = [judge(x) if trial.left > 0 else math.nan for x in points]
            optimizer.tell(positions, values)
        return realise(torch.as_tensor(optimizer.best.x))


def lorahub(settings: Settings) -> Merged:
    """Search with the available budget (the paper: 40 steps)."""
    from pyswarmopt.interop.nevergrad import NevergradOptimizer

    trial = settings.trial
    space = build_space(settings.space, settings.experts)
    n = len(settings.experts)
    optimizer = NevergradOptimizer(
        "NGOpt", [(-LIMIT, LIMIT)] * n, budget=max(trial.left, 1), seed=settings.seed, maximize=True
    )

    def value(weights: Tensor) -> float:
        penalty = PENALTY * float(weights.abs().mean())
        return -trial.loss(space.realise(weights)) - penalty

    with warnings.catch_warnings():  # of NGOpt's own COBYLA
        warnings.filterwarnings("ignore", ".*RHOEND")
        return Merged(best_found(optimizer, trial, space.realise, value))


def decode(u: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and densities, (n,) float32 each, from a point of CMA-ES, (2 n,).

    Example:
        >>> weights, densities = decode(torch.tensor([0.75, 1.25, 0.0, 1.0]))  # 1.25 is reflected to 0.75
        >>> weights.tolist(), [round(d, 3) for d in densities.tolist()]
        ([1.0, 1.0], [0.1, 1.0])
    """
    folded = 1 - (u.to(torch.float64).remainder(2) - 1).abs()
    weights, densities = folded.chunk(2)
    return (2 * weights - 0.5).to(torch.float32), (0.1 + 0.9 * densities).to(torch.float32)


def dare_ties(
    changes: Tensor, weights: Tensor, densities: Tensor, generator: torch.Generator
) -> Tensor:
    """DARE with a density per expert, (n,) in (0, 1], then TIES' election and mean, on changes (n,
    rows, columns).
    """
    return elect_and_merge(drop_and_rescale(changes, densities[:, None, None], generator), weights)


def candidate(settings: Settings, u: Tensor) -> Patch:
    """The merge at a point of CMA-ES, (2 n,)."""
    weights, densities = decode(u)
    generator = settings.generator()

    def rule(changes: Tensor, _: Tensor) -> Tensor:
        return dare_ties(changes, weights, densities, generator)

    return combine(settings, rule).patch


def evolmerge(settings: Settings) -> Merged:
    """Search from weight 0.5 and density 0.55."""
    from pyswarmopt.interop.nevergrad import NevergradOptimizer

    centre = torch.full((2 * len(settings.experts),), 0.5, dtype=torch.float64)
    start = torch.stack([centre - SPREAD, centre + SPREAD])
    trial = settings.trial
    budget = max(trial.left, 1)
    optimizer = NevergradOptimizer("CMA", None, start, 1, budget, settings.seed, maximize=True)
    return Merged(best_found(optimizer, trial, lambda u: candidate(settings, u)))
