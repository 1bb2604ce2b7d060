"""Next-token distributions are averaged, P = sum c_i P_i, whatever the experts' architectures (Feng et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.side_by_side import Member
from pyswarmopt_llm.spaces.mixture.files import MixtureFile, read_mixture, write_mixture
from pyswarmopt_llm.spaces.mixture.mixing import mixing_weights
from pyswarmopt_llm.spaces.position import as_vector


class TokenSpace:
    """Coefficients of next-token distributions as positions: n numbers for n members, each member a unit vector.

    Args:
        members: models and adapters.
        contrast: let negative coefficients speak against a token; else they count as 0 (see `mixing_weights`).
    """

    name = "token"

    def __init__(self, members: Sequence[Member], contrast: bool = False) -> None:
        self._members, self._contrast = tuple(members), contrast
        self.expert_names = tuple(member.name for member in members)

    @property
    def size(self) -> int:
        """Number of coordinates: one per member."""
        return len(self._members)

    def vertices(self) -> Tensor:
        """The members as positions: the (n, n) identity, float64."""
        return torch.eye(self.size, dtype=torch.float64)

    def starts(self, count: int, seed: int) -> Tensor:
        """The members; the optimizer fills up the population."""
        return self.vertices()

    def coefficients(self, position: Tensor) -> Tensor:
        """The weights that the position stands for, (n,) float64, summing to 1."""
        return mixing_weights(as_vector(position, self.size), self._contrast)

    def realise(self, position: Tensor) -> Patch:
        """The mixture at `position`."""
        return Patch(mixture=tuple(self.coefficients(position).tolist()))

    def save(self, position: Tensor, out: Path) -> None:
        """Write a directory with ``mixture.json``: the members' names, places and fingerprints, and their weights.

        Raises:
            UserError: `out` exists already.
        """
        write_mixture(MixtureFile(self._members, self.realise(position).mixture), out)

    def read(self, folder: Path) -> Patch:
        """The mixture that `save` wrote, to the bit.

        Raises:
            UserError: the file is damaged, or a member is not what it was.
        """
        return Patch(mixture=read_mixture(folder).weights)
