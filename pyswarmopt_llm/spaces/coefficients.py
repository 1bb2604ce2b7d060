"""What spaces have in common whose positions are coefficients of experts: one per expert, or one per expert and group.

A group is a set of weights that shares its coefficients: all of them (granularity ``model``), those of one layer block
(``block``: what belongs to no numbered layer, such as embeddings and the last norm, goes by its first word), or those
of one type of module (``module``: all q_proj, all input_layernorm, ...).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.flat_view import layer_of, module_type_of
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.spaces.kind import BaseSpace

GRANULARITIES: dict[str, Callable[[str], str]] = {
    "model": lambda parameter: "all",
    "block": layer_of,
    "module": module_type_of,
}


def as_vector(position: Tensor, size: int) -> Tensor:
    """The position, proven to be one vector of `size` numbers.

    Raises:
        ValueError: another shape.
    """
    if position.shape != (size,):
        raise ValueError(f"a position has the shape ({size},), got {tuple(position.shape)}")
    return position.detach().cpu()


class CoefficientSpace(BaseSpace):
    """n numbers for n experts in each of G groups, (G * n) in all, each expert the same unit vector in every group.

    Args:
        expert_names: the experts.
        parameters: names of the weights that are mixed, which the granularity puts into groups.
        granularity: a key of `GRANULARITIES`.

    Attributes:
        granularity: as given.

    Raises:
        UserError: no such granularity.
    """

    name: str

    def __init__(self, expert_names: Sequence[str], parameters: Iterable[str], granularity: str = "model") -> None:
        check_granularity(granularity)
        self.expert_names, self.granularity = tuple(expert_names), granularity
        labels = {parameter: GRANULARITIES[granularity](parameter) for parameter in parameters}
        self.group_names = tuple(dict.fromkeys(labels.values()))
        places = {label: k for k, label in enumerate(self.group_names)}
        self._group = {parameter: places[label] for parameter, label in labels.items()}

    @property
    def size(self) -> int:
        """Number of coordinates: experts times groups."""
        return len(self.expert_names) * len(self.group_names)

    def vertices(self) -> Tensor:
        """The experts as positions: (n, G * n) float64, the identity repeated for every group."""
        return torch.eye(len(self.expert_names), dtype=torch.float64).repeat(1, len(self.group_names))

    def by_group(self, position: Tensor) -> Tensor:
        """The coefficients, (G, n) float64."""
        vector = as_vector(position, self.size).to(torch.float64)
        return vector.view(len(self.group_names), len(self.expert_names))

    def coefficients(self, position: Tensor) -> Tensor:
        """The mean of the groups' coefficients, (n,) float64; with one group the position itself."""
        return self.by_group(position).mean(0)

    def coefficients_by_group(self, position: Tensor) -> dict[str, dict[str, float]]:
        """Group of weights -> expert -> coefficient; empty with one group."""
        if len(self.group_names) == 1:
            return {}
        rows = zip(self.group_names, self.by_group(position).tolist(), strict=True)
        return {group: dict(zip(self.expert_names, row, strict=True)) for group, row in rows}

    def starts(self, count: int, seed: int) -> Tensor:
        """Positions to begin with, (at least n, size): the experts, and with several groups `count` - n crossings.

        A crossing takes t x_a + (1 - t) x_b with a, b and t ~ U(0, 1) drawn anew for each group. With one group that
        is the paper's way to fill up a population, which is left to the optimizer. With several it is necessary: a
        swarm with scalar random factors never leaves the affine hull of its starting points, and that of the experts
        alone has equal coefficients in all groups.
        """
        experts, groups = len(self.expert_names), len(self.group_names)
        if groups == 1 or count <= experts:
            return self.vertices()
        rng = np.random.default_rng([seed, 2])
        crossings = np.zeros((count - experts, groups, experts))
        for crossing in crossings:
            for row in crossing:
                a, b = rng.choice(experts, size=2, replace=False)
                row[a] = rng.random()
                row[b] = 1 - row[a]
        return torch.cat([self.vertices(), torch.from_numpy(crossings).flatten(1)])

    def _weights(self, position: Tensor) -> Callable[[str], Tensor]:
        """From a parameter's name to the experts' coefficients for it, (n,) float32."""
        weights = self.by_group(position).to(torch.float32)
        return lambda parameter: weights[self._group[parameter]]

    @abstractmethod
    def realise(self, position: Tensor) -> Patch:
        """The candidate at `position`."""


def check_granularity(granularity: str) -> None:
    """Refuse an unknown granularity.

    Raises:
        UserError: with the ones there are.
    """
    if granularity not in GRANULARITIES:
        raise unknown("--granularity", granularity, GRANULARITIES)
