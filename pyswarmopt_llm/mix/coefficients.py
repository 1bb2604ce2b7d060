"""Spaces whose positions are coefficients, one per expert, and their starting points.

``segments`` is the paper's way: points between two experts, with coefficients that sum to 1.
``sums`` adds weighted sums of all experts, with coefficients that sum to between 1/2 and a few. If
experts know different things, a sum that keeps most of each is better than any average (task
arithmetic, Ilharco et al. 2023, arXiv 2212.04089), and a swarm that starts from averages gets there
late or never. ``even`` starts from the base, the average and the sum of the experts; ``base`` from
the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.common.config import SUMS
from pyswarmopt_llm.common.interfaces import MixtureSpace, Patch
from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.experts.files import write_adapter


class CoefficientSpace:
    """A number for each of n experts; an expert is a unit vector.

    Args:
        expert_names: names of the experts.
    """

    name: str

    def __init__(self, expert_names: Sequence[str]) -> None:
        self.expert_names = tuple(expert_names)

    @property
    def size(self) -> int:
        """Number of coordinates, one per expert."""
        return len(self.expert_names)

    def vertices(self) -> Tensor:
        """The experts as positions: the identity, (n, n) float64."""
        return torch.eye(self.size, dtype=torch.float64)

    def starts(self, count: int, seed: int) -> Tensor:
        """The experts; the optimizer adds the rest of the population."""
        return self.vertices()

    def coefficients(self, position: Tensor) -> Tensor:
        """The position itself, (n,) float64."""
        return position.detach().to("cpu", torch.float64)


def save_patch(
    patch: Patch, experts: Sequence[AdapterInfo], out: Path, card: str | None = None
) -> None:
    """Write the low-rank part of a patch as a PEFT adapter, without zero factors.

    alpha equals the rank, so peft's scale is exactly 1 and its merged weights equal `LowRank.dense`
    to the bit: B already contains the experts' scale.

    Args:
        patch: from `realise`.
        experts: experts of the patch; they name the base.
        out: directory to create.
        card: text of README.md.

    Raises:
        UserError: `out` exists already.
    """
    bases = (expert.base or expert.base_model_name for expert in experts)
    changed = {name: change for name, change in patch.low_rank.items() if change.b.any()}
    factors = {}
    for name, change in (changed or patch.low_rank).items():
        kept = change.without_zeros()
        factors[name.removesuffix(".weight")] = (kept.b, kept.a)
    write_adapter(out, factors, base_model_name=next(filter(None, bases), ""), card=card)


def starting_points(space: MixtureSpace, start: str, count: int, seed: int) -> Tensor:
    """Starting positions, the experts first; an optimizer may add the rest of the population.

    Args:
        space: space of the positions.
        start: ``segments``, ``sums``, ``even`` or ``base``.
        count: population.
        seed: seed of the draws.

    Returns:
        (at least n, size).
    """
    if start not in SUMS:
        return space.starts(count, seed)
    vertices = space.vertices()
    fixed = with_sums(vertices, start)
    return torch.cat([fixed, sums(len(vertices), max(0, count - len(fixed)), seed)])


def with_sums(experts: Tensor, start: str) -> Tensor:
    """Experts, (n, D), and those of the base, their average and their sum that a start includes.

    Example:
        >>> with_sums(torch.eye(3, dtype=torch.float64)[:2], "even").tolist()[2:]
        [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1.0, 1.0, 0.0]]
    """
    even = torch.stack([0 * experts[0], experts.mean(0), experts.sum(0)])
    return torch.cat([experts, even[: SUMS.get(start, 0)]])


def between(points: Tensor, count: int, seed: int) -> Tensor:
    """`points`, (n, D), and points between two of them: (count, D).

    Example:
        >>> between(torch.eye(3, dtype=torch.float64), 7, seed=0).sum(1).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    size = (count - len(points), 1)
    rng = np.random.default_rng([seed, 9])
    first = points[rng.integers(len(points), size=size[0])]
    second = points[rng.integers(len(points), size=size[0])]
    share = torch.from_numpy(rng.random(size))
    return torch.cat([points, share * first + (1 - share) * second])


def sums(experts: int, count: int, seed: int) -> Tensor:
    """Weighted sums, (count, experts) float64: shares uniform on the simplex, times totals ~ U(1/2,
    1 + experts / 3).

    Example:
        >>> sums(2, 3, seed=0).shape
        torch.Size([3, 2])
    """
    rng = np.random.default_rng([seed, 5])
    shares = rng.dirichlet(np.ones(experts), size=count)
    totals = rng.uniform(0.5, 1 + experts / 3, size=(count, 1))
    return torch.from_numpy(totals * shares)
