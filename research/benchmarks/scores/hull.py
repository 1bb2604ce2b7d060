"""Spaces for `--space` in which no search leaves the experts' convex or affine hull."""

from __future__ import annotations

from torch import Tensor

from pyswarmopt_llm.mix import SpaceKind
from pyswarmopt_llm.mix.delta import DeltaSpace


class ConvexSpace(DeltaSpace):
    """Coefficients are clipped at 0 and scaled to sum to 1."""

    name = "convex"

    def coefficients(self, position: Tensor) -> Tensor:
        """The shares of the experts, (n,); all 0, the base, where no coefficient is positive."""
        positive = super().coefficients(position).clamp(min=0.0)
        return positive / positive.sum().clamp(min=1e-9)


convex = SpaceKind(
    "convex", over=ConvexSpace, description="A LoRA adapter for {base}: an average of {experts}"
)


class AffineSpace(DeltaSpace):
    """Coefficients are shifted to sum to 1, as those of a swarm from segments always do."""

    name = "affine"

    def coefficients(self, position: Tensor) -> Tensor:
        """The shares of the experts, (n,); a share may be negative or above 1."""
        free = super().coefficients(position)
        return free + (1.0 - free.sum()) / len(free)


affine = SpaceKind(
    "affine", over=AffineSpace, description="A LoRA adapter for {base}: an affine sum of {experts}"
)
