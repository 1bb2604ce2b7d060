"""LoraHub: weights of the experts' factors by a gradient-free search on the loss of a few examples.

Huang et al. 2023, arXiv 2307.13269: A = sum w_i A_i, B = sum w_i B_i with w in [-1.5, 1.5]^n, minimising
loss(w) + 0.05 (1/n) sum |w_i| from w = 0 by nevergrad's NGOpt, 40 steps for 20 experts and 5 examples. Bounds, start,
penalty and optimiser are those of the authors' released code (sail-sg/lorahub, lorahub/algorithm.py), and so is the
sequence of w for the same losses, seed and version of nevergrad.

The loss is that of the right dev answers, mean over items. (The released code divides by the number of examples once
more: with 100 instead of 5 the penalty would dominate.) The result is the best w evaluated, not NGOpt's recommendation.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_llm.spaces import build_space
from pyswarmopt_rivals.methods.method import Merged, Settings
from pyswarmopt_rivals.methods.searching.best_found import best_found

LIMIT = 1.5
PENALTY = 0.05


def penalty(weights: Tensor) -> float:
    """0.05 times the mean magnitude of the weights, (n,).

    Example:
        >>> import torch
        >>> round(penalty(torch.tensor([1.0, -1.0, 0.0, 0.0])), 6)
        0.025
    """
    return PENALTY * float(weights.abs().mean())


def execute(experts: Sequence[Adapter], settings: Settings) -> Merged:
    """Search with whatever budget there is (the paper: 40 steps)."""
    from pyswarmopt.interop.nevergrad import NevergradOptimizer

    trial = settings.need_trial()
    space = build_space(settings.space, experts)
    n = len(experts)
    optimizer = NevergradOptimizer(
        "NGOpt", [(-LIMIT, LIMIT)] * n, budget=max(trial.left, 1), seed=settings.seed, maximize=True
    )
    return Merged(best_found(optimizer, trial, space.realise, lambda w: -trial.loss(space.realise(w)) - penalty(w)))
