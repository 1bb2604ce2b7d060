"""Spaces: the ways to mix experts. A new one is a new file and a line in `SPACES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Space
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.models.adapters.adapter import Expert
from pyswarmopt_llm.spaces.coefficients import check_granularity
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.spaces.factor import FactorSpace, FlatFactorSpace

SPACES: dict[str, Callable[[Sequence[Expert], str], Space]] = {"factor": FactorSpace, "delta": DeltaSpace}
SEVERAL = ("token", "graph")  # candidates are several models side by side, which need not have one base


def check_space(name: str, exact_flat: bool, granularity: str) -> None:
    """Refuse what no space offers.

    Raises:
        UserError: no such space or granularity, or `exact_flat` where it does not belong.
    """
    known = (*SPACES, "full", *SEVERAL)
    if name not in known:
        raise unknown("--space", name, known)
    check_granularity(granularity)
    if exact_flat and name != "factor":
        raise UserError(f"--exact-flat: goes with --space factor only, not with {name}; leave it out")
    if name in SEVERAL and granularity != "model":
        raise UserError(f"--granularity {granularity}: goes with spaces of weights only, not with {name}; leave it out")
    if exact_flat and granularity != "model":
        raise UserError(f"--exact-flat: has no coefficients, so no --granularity {granularity}; leave one of them out")


def build_space(name: str, experts: Sequence[Expert], exact_flat: bool = False, granularity: str = "model") -> Space:
    """The space of that name over these adapters.

    Args:
        name: a key of `SPACES`.
        experts: adapters; those of type `AdapterFile` are read one at a time.
        exact_flat: `factor` only: positions are the flat LoRA weights themselves instead of coefficients.
        granularity: which weights share their coefficients; see `CoefficientSpace`.

    Raises:
        UserError: no such space, no experts, or experts that it cannot mix.
    """
    check_space(name, exact_flat, granularity)
    if name not in SPACES:
        raise UserError(f"--space {name}: mixes whole models, not adapters; use one of: {', '.join(SPACES)}")
    if not experts:
        raise UserError("no experts given; name their directories with --experts")
    return FlatFactorSpace(experts) if exact_flat else SPACES[name](experts, granularity)


def uniform_position(space: Space) -> torch.Tensor:
    """The position of the uniform average of all experts, (size,): the mean of the vertices."""
    return space.vertices().mean(0)


__all__ = [
    "SEVERAL",
    "SPACES",
    "DeltaSpace",
    "FactorSpace",
    "FlatFactorSpace",
    "build_space",
    "check_space",
    "uniform_position",
]
