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
        # module -> the raw factors of all experts, (n, out, rank) and (n, rank, in)
        self._b: dict[str, Tensor] = {}
        self._a: dict[str, Tensor] = {}
        for module, shape in self._modules.items():
            outputs, inputs = shape.weight_shape
            self._b[module] = torch.empty(len(experts), outputs, shape.rank)
            self._a[module] = torch.empty(len(experts), shape.rank, inputs)
        for index, expert in enumerate(experts):
            for module, factors in expert.factors.items():
                self._b[module][index] = factors.b
                self._a[module][index] = factors.a

    def realise(self, position: Tensor) -> Patch:
        """The averaged adapter, float32."""
        weights = self.coefficients(position).to(torch.float32)

        def change(parameter: str) -> LowRank:
            module = parameter.removesuffix(".weight")
            b = torch.tensordot(weights, self._b[module], 1)
            a = torch.tensordot(weights, self._a[module], 1)
            return LowRank(b=b * self._modules[module].scale, a=a)

        return Patch(low_rank=Computed(self._shapes, change))


def require_equal_modules(infos: Sequence[AdapterInfo]) -> None:
    """Refuse adapters of different modules, ranks or scales.

    Raises:
        UserError: two experts differ.
    """
    first = infos[0]
    for info in infos[1:]:
        if dict(info.modules) != dict(first.modules):
            raise UserError(
                f"{info.name}: its rank, alpha or modules differ from those of {first.name}, so "
                "their factors cannot be averaged; set `space` to delta"
            )
