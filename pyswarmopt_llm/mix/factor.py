"""The paper's space: averages LoRA factors, A = sum c_i A_i and B = sum c_i B_i.

Model Swarms (Feng et al. 2024, arXiv 2410.11163) moves the adapters' weights themselves. With
scalar random factors a particle never leaves the affine hull of the n experts, so n coefficients
that sum to 1 give its position, and moving these gives the same adapters, to rounding, as moving
the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt.base.flat_view import FlatView
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Computed, LowRank, Patch
from pyswarmopt_llm.experts.adapter import Adapter, AdapterInfo
from pyswarmopt_llm.mix.coefficients import AdapterSpace


class FactorSpace(AdapterSpace):
    """A space of coefficients of LoRA factors.

    Args:
        experts: adapters with equal modules, ranks and scales, read one at a time.

    Raises:
        UserError: ranks, scales or modules differ (`delta` can mix those).
    """

    name = "factor"

    def __init__(self, experts: Sequence[Adapter]) -> None:
        super().__init__([expert.info for expert in experts])
        require_equal_modules(self.infos)
        self._modules = self.infos[0].modules
        self._shapes = {
            f"{module}.weight": shape.weight_shape for module, shape in self._modules.items()
        }
        first = _named(experts[0])
        self._layout = FlatView(first)
        self._rows = torch.empty(len(experts), self._layout.size)  # raw factors of each expert
        self._rows[0] = self._layout.flatten(first)
        del first  # only one expert is held beside the rows
        for row, expert in zip(self._rows[1:], experts[1:], strict=True):
            row.copy_(self._layout.flatten(_named(expert)))

    def realise(self, position: Tensor) -> Patch:
        """The averaged adapter, float32."""
        weights = self.coefficients(position).to(torch.float32)

        def average(factor: str) -> Tensor:
            return (weights @ self._rows[:, self._layout.spans[factor]]).view(
                self._layout.shapes[factor]
            )

        def change(parameter: str) -> LowRank:
            module = parameter.removesuffix(".weight")
            return LowRank(
                b=average(f"{module}.B") * self._modules[module].scale, a=average(f"{module}.A")
            )

        return Patch(low_rank=Computed(self._shapes, change))


def _named(expert: Adapter) -> dict[str, Tensor]:
    """``<module>.A`` and ``<module>.B`` -> raw factor, in the order of the modules."""
    named: dict[str, Tensor] = {}
    for module, factors in expert.factors.items():
        named[f"{module}.A"] = factors.a
        named[f"{module}.B"] = factors.b
    return named


def require_equal_modules(infos: Sequence[AdapterInfo]) -> None:
    """Refuse adapters of different modules, ranks or scales.

    Raises:
        UserError: names two experts that differ.
    """
    first = infos[0]
    for info in infos[1:]:
        if dict(info.modules) != dict(first.modules):
            raise UserError(
                f"{info.name}: its rank, alpha or modules differ from those of {first.name}, so "
                "their factors cannot be averaged; use `space` delta"
            )
