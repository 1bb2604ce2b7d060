"""Bases of spaces: any, and those whose positions are coefficients, one per expert."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch


class BaseSpace(ABC):
    """Defaults of `interfaces.Space`."""

    @abstractmethod
    def vertices(self) -> Tensor:
        """See `interfaces.Space`."""

    def starts(self, count: int, seed: int) -> Tensor:
        """The experts; the optimizer fills up the population."""
        return self.vertices()


def as_vector(position: Tensor, size: int) -> Tensor:
    """The position, proven to be one vector of `size` numbers.

    Raises:
        ValueError: another shape.
    """
    if position.shape != (size,):
        raise ValueError(f"a position has the shape ({size},), got {tuple(position.shape)}")
    return position.detach().cpu()


class CoefficientSpace(BaseSpace):
    """A number for each of n experts; an expert is a unit vector.

    Args:
        expert_names: the experts.
    """

    name: str

    def __init__(self, expert_names: Sequence[str]) -> None:
        self.expert_names = tuple(expert_names)

    @property
    def size(self) -> int:
        """Number of coordinates: experts."""
        return len(self.expert_names)

    def vertices(self) -> Tensor:
        """The experts as positions: the identity, (n, n) float64."""
        return torch.eye(self.size, dtype=torch.float64)

    def coefficients(self, position: Tensor) -> Tensor:
        """The position itself, (n,) float64."""
        return as_vector(position, self.size).to(torch.float64)

    @abstractmethod
    def realise(self, position: Tensor) -> Patch:
        """The candidate at `position`."""
