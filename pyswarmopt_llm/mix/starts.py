"""Starting points of a search: the experts, and points that fill up the population.

``segments`` is the paper's way: points between two experts, whose coefficients sum to 1. ``sums``
adds weighted sums of all experts whose coefficients sum to anything from 1/2 to a few. Where
experts know different things, a sum that keeps more than a share of each is better than any average
(task arithmetic, Ilharco et al. 2023, arXiv 2212.04089), and a swarm that starts on averages finds
its way there late or never. ``even`` begins these sums with the base, the average and the sum of
the experts, ``base`` with the base.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.mix import SpaceKind

STARTS = ("auto", "segments", "sums", "even", "base")
_SUMS = ("sums", "even", "base")
LEAST_SUM = 0.5


def check_start(start: str, kind: SpaceKind) -> None:
    """Refuse what does not exist, and sums where there are no coefficients of weights.

    Raises:
        UserError: names the option.
    """
    if start not in STARTS:
        raise InvalidOption("start", start, f"no such start; use {', '.join(STARTS)}")
    if start in _SUMS and not kind.adapters:
        why = f"sums weight changes by coefficients, which `space` {kind.name} does not have"
        raise InvalidOption("start", start, f"{why}; remove it")


def starting_points(space: Space, start: str, count: int, seed: int) -> Tensor:
    """Positions to begin with, the experts first; a population that they do not fill is the
    optimizer's to fill.

    Args:
        space: what positions mean.
        start: ``segments``, ``sums``, ``even`` or ``base``.
        count: population.
        seed: of the draws.

    Returns:
        (at least n, size).
    """
    if start in _SUMS:
        vertices = space.vertices()
        n = len(vertices)
        begin = {"sums": 0, "base": 1, "even": 3}[start]
        vertices = torch.cat([vertices, even_sums(vertices)[:begin]])
        return torch.cat([vertices, sums(n, max(0, count - len(vertices)), seed)])
    return space.starts(count, seed)


def even_sums(vertices: Tensor) -> Tensor:
    """The base without these experts, their average and their sum: (3, size) float64.

    Example:
        >>> even_sums(torch.eye(4))[:, 0].tolist()
        [0.0, 0.25, 1.0]
    """
    return torch.stack([torch.zeros_like(vertices[0]), vertices.mean(0), vertices.sum(0)]).to(
        torch.float64
    )


def sums(experts: int, count: int, seed: int) -> Tensor:
    """Weighted sums, (count, experts) float64: shares uniform on the simplex, times totals ~ U(1/2,
    1 + experts / 3).

    Example:
        >>> sums(2, 3, seed=0).shape
        torch.Size([3, 2])
    """
    rng = np.random.default_rng([seed, 5])
    shares = rng.dirichlet(np.ones(experts), size=count)
    totals = rng.uniform(LEAST_SUM, 1 + experts / 3, size=(count, 1))
    return torch.from_numpy(totals * shares)
