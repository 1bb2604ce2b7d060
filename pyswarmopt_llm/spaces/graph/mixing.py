"""Models at the nodes of a graph that are mixed from experts: dW = sum c_i dW_i, as in the space `delta`."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.adapter import AdapterFile, load_factors
from pyswarmopt_llm.models.side_by_side import Member
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.spaces.graph.engine import Mix, Model


def mixable(members: Sequence[Member]) -> bool:
    """Whether all are adapters of one base."""
    adapters = all(member.adapter is not None for member in members)
    return adapters and len({member.base.fingerprint for member in members}) == 1


def mixer(members: Sequence[Member]) -> Mix | None:
    """From coefficients to a patch on the members' base; None unless they are `mixable`."""
    if not mixable(members):
        return None
    infos = [member.adapter for member in members if member.adapter is not None]
    space = DeltaSpace([AdapterFile(info) for info in infos])

    def mix(model: Model) -> Patch:
        if model.count(0.0) == len(model) - 1 and 1.0 in model:  # an expert as it is, to the bit
            return Patch(low_rank=load_factors(infos[model.index(1.0)]))
        return space.realise(torch.tensor(model, dtype=torch.float64))

    return mix
