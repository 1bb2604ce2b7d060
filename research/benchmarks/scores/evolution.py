"""Evolution strategies on a fresh LoRA, under a budget of replies.

Salimans et al. 2017, arXiv 1703.03864 (algorithm 1, section 2.1): the search distribution is a
Gaussian around theta with standard deviation sigma; noise is antithetic, the scores of an update
become centred ranks, the gradient of the mean score is estimated from them and followed by Adam.
All candidates of an update see the same dev items. theta is all of A and B.

With `noise_rank` the noise of each matrix is E = U V^T / sqrt(r), U and V standard normal, as in
EGGROLL (arXiv 2511.16652), where it saves memory and products of whole weights. On a LoRA it saves
next to nothing, its matrices being low-rank already; it is here to see whether it harms or helps.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from grpo import batches
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.searching.training.trainer import Lora
from pyswarmopt_rivals.bench import Trial


@dataclass(frozen=True)
class EvolutionOptions:
    """Sizes and rates.

    Attributes:
        pairs: antithetic pairs of candidates per update.
        items: dev items that each of them answers.
        sigma: standard deviation of the noise.
        lr: learning rate of Adam.
        noise_rank: of the noise of each matrix; None: full.
    """

    pairs: int
    items: int
    sigma: float
    lr: float
    noise_rank: int | None = None


def centred_ranks(values: Tensor) -> Tensor:
    """Ranks of (n,) values from -0.5, the lowest, to 0.5; equal values share their mean rank.

    Example:
        >>> centred_ranks(torch.tensor([3.0, 1.0, 9.0])).tolist()
        [0.0, -0.5, 0.5]
    """
    below = (values[:, None] > values).sum(1)
    equal = (values[:, None] == values).sum(1)
    ranks = below + (equal - 1) / 2
    return ranks / (len(values) - 1) - 0.5


def estimated_gradient(above: Tensor, below: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Gradient of the mean score, (d,): sum_i F_i e_i / (n sigma) over the n = 2 P candidates.

    Args:
        above: scores of theta + sigma e, (P,).
        below: scores of theta - sigma e, (P,).
        noise: e, (P, d).
        sigma: standard deviation of the noise.
    """
    return (above - below) @ noise / (2 * len(noise) * sigma)


def draw_noise(shapes: Sequence[torch.Size], rank: int | None, draws: torch.Generator) -> Tensor:
    """Noise of matrices of these shapes, one after the other, (d,); of that rank, or full."""
    parts = []
    for rows, columns in shapes:
        if rank is None:
            parts.append(torch.randn(rows * columns, generator=draws))
            continue
        left = torch.randn(rows, rank, generator=draws)
        right = torch.randn(rank, columns, generator=draws)
        parts.append((left @ right / math.sqrt(rank)).flatten())
    return torch.cat(parts)


@torch.no_grad()
def evolve(
    trial: Trial,
    start: Patch,
    info: AdapterInfo,
    options: EvolutionOptions,
    seed: int,
) -> Patch:
    """Move a fresh LoRA on top of a model until the budget of replies is spent.

    Args:
        trial: the dev items and what is left of the budget.
        start: the model to start from.
        info: the expert whose modules, rank and scale the LoRA has.
        options: sizes and rates.
        seed: of the LoRA, the noise and the order of items.

    Returns:
        The model at the last theta.
    """
    lora, draws = Lora.like(info, seed), torch.Generator().manual_seed(seed)
    shapes = [tensor.shape for tensor in lora.tensors]
    theta = parameters_to_vector(lora.tensors).detach().clone()
    optimizer = torch.optim.Adam([theta], lr=options.lr)

    def model(point: Tensor) -> Patch:
        vector_to_parameters(point, lora.tensors)
        return start.with_low_rank(lora.patch().low_rank)

    order = batches(trial.bench.dev_items, options.items, random.Random(seed))
    while trial.items_left >= 2 * options.pairs * options.items:
        items = next(order)
        drawn = [draw_noise(shapes, options.noise_rank, draws) for _ in range(options.pairs)]
        noise = torch.stack(drawn)
        points = torch.cat([theta + options.sigma * noise, theta - options.sigma * noise])
        scores = torch.tensor([trial.score(model(point), items).value for point in points])
        above, below = centred_ranks(scores).chunk(2)
        theta.grad = -estimated_gradient(above, below, noise, options.sigma)
        optimizer.step()
    return model(theta)
