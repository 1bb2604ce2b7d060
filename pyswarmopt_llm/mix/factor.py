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
from pyswarmopt_llm.experts.compatibility import differences
from pyswarmopt_llm.mix.delta import DeltaSpace


class FactorSpace(DeltaSpace):
    """A space of coefficients of LoRA factors.

    Args:
        experts: adapters with equal modules, ranks and scales, read one at a time.

    Raises:
        UserError: ranks, scales or modules differ (`delta` can mix those).
    """

    name = "factor"

    def __init__(self, experts: Sequence[Adapter]) -> None:
        require_equal_modules([expert.info for expert in experts])
        super().__init__(experts)

    def realise(self, position: Tensor) -> Patch:
        """The averaged adapter, float32."""
        weights = self.coefficients(position).to(torch.float32)

        def change(parameter: str) -> LowRank:
            b, a, _ = self._modules[parameter]
            factors_b = b.view(len(b), self.size, -1)  # (out, n, rank)
            factors_a = a.view(self.size, -1, a.shape[1])  # (n, rank, in)
            return LowRank(
                b=torch.einsum("n,onr->or", weights, factors_b),
                a=torch.einsum("n,nri->ri", weights, factors_a),
            )

        return Patch(low_rank=Computed(self.shapes, change))


def require_equal_modules(infos: Sequence[AdapterInfo]) -> None:
    """Refuse adapters of different modules, ranks or scales.

    Raises:
        UserError: two experts differ.
    """
    for info in infos:
        for problem in differences(info, infos[0]):
            raise UserError(str(problem))
