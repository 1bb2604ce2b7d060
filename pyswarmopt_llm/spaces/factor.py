"""The paper's space: LoRA factors are averaged, A = sum c_i A_i and B = sum c_i B_i.

Model Swarms (Feng et al. 2024, arXiv 2410.11163) moves the adapters' weights themselves. With scalar random
factors a particle never leaves the affine hull of the n experts, so n coefficients that sum to 1 say where it
is, and moving those realises the same adapters, to rounding, as moving the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pyswarmopt.base.flat_view import FlatView
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Computed, LowRank, Patch, Space
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, Expert
from pyswarmopt_llm.spaces import register
from pyswarmopt_llm.spaces.coefficients import CoefficientSpace
from pyswarmopt_llm.spaces.one_base import AdapterKind, AdapterSpace


class _Stacked:
    """The experts' raw factors, one flat float32 row each, and the way back from a row to a patch."""

    def __init__(self, experts: Sequence[Expert]) -> None:
        require_equal_modules([expert.info for expert in experts])
        self.modules = experts[0].info.modules
        self.shapes = {f"{module}.weight": shape.weight_shape for module, shape in self.modules.items()}
        first = _named(experts[0])
        self.layout = FlatView(first)
        self.rows = torch.empty(len(experts), self.layout.size)
        self.layout.flatten(first, out=self.rows[0])
        del first  # one expert at a time beside the rows
        for row, expert in zip(self.rows[1:], experts[1:], strict=True):
            self.layout.flatten(_named(expert), out=row)

    def low_rank(self, parameter: str, part: Callable[[slice], Tensor]) -> LowRank:
        """The change of one weight; `part` gives a part of the flat vector, a new tensor."""
        module = parameter.removesuffix(".weight")
        b, a = (
            part(self.layout.spans[f"{module}.{factor}"]).view(self.layout.shapes[f"{module}.{factor}"])
            for factor in "BA"
        )
        return LowRank(b=b * self.modules[module].scale, a=a)


class FactorSpace(AdapterSpace, CoefficientSpace):
    """Coefficients of LoRA factors as positions.

    Args:
        experts: adapters with the same modules, ranks and scales, read one after another.

    Raises:
        UserError: ranks, scales or modules differ (`delta` can mix those).
    """

    name = "factor"

    def __init__(self, experts: Sequence[Expert]) -> None:
        self._infos = [expert.info for expert in experts]
        self._stacked = _Stacked(experts)
        super().__init__([info.name for info in self._infos])

    def realise(self, position: Tensor) -> Patch:
        """The averaged adapter, float32."""
        weights, stacked = self.coefficients(position).to(torch.float32), self._stacked

        def change(parameter: str) -> LowRank:
            return stacked.low_rank(parameter, lambda span: weights @ stacked.rows[:, span])

        return Patch(low_rank=Computed(stacked.shapes, change))


def _named(expert: Expert) -> dict[str, Tensor]:
    """``<module>.A`` and ``<module>.B`` -> raw factor, in the order of the modules."""
    named: dict[str, Tensor] = {}
    for module, factors in expert.factors.items():
        named[f"{module}.A"], named[f"{module}.B"] = factors.a, factors.b
    return named


def require_equal_modules(infos: Sequence[AdapterInfo]) -> None:
    first = infos[0]
    for info in infos[1:]:
        if dict(info.modules) != dict(first.modules):
            raise UserError(
                f"{info.name}: its rank, alpha or modules differ from those of {first.name}, so their "
                "factors cannot be averaged; use `space` delta"
            )


class Factor(AdapterKind):
    """Averages of LoRA factors."""

    name = "factor"
    published = True
    requires = "factor"

    def over_adapters(self, experts: Sequence[Expert]) -> Space:
        return FactorSpace(experts)

    def rank(self, ranks: Sequence[int]) -> int:
        """That of the experts, which is the same."""
        return max(ranks)


register(Factor())
