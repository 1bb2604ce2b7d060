"""Weight changes are averaged, dW = sum c_i s_i B_i A_i: exact for experts of unequal rank, alpha
or modules.

The sum needs no dense matrix: the factors side by side, [c_1 s_1 B_1 | c_2 s_2 B_2 | ...] and [A_1;
A_2; ...], are a LoRA of rank sum r_i. This is adding task vectors (Ilharco et al. 2023, arXiv
2212.04089) on LoRA experts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Computed, LowRank, Patch
from pyswarmopt_llm.experts.adapter import AdapterInfo, Expert
from pyswarmopt_llm.mix.coefficients import AdapterSpace


class DeltaSpace(AdapterSpace):
    """Coefficients of weight changes as positions.

    Args:
        experts: adapters of one base, read one after another. A module that one does not adapt
            counts as unchanged by it.

    Attributes:
        infos: the experts.
        shapes: parameter name -> shape of its change.
    """

    name = "delta"

    def __init__(self, experts: Sequence[Expert]) -> None:
        super().__init__([expert.info for expert in experts])
        shapes = {
            f"{m}.weight": s.weight_shape for info in self.infos for m, s in info.modules.items()
        }
        self.shapes = dict(sorted(shapes.items()))
        self._modules = {
            name: _Concatenated(self.infos, name.removesuffix(".weight")) for name in self.shapes
        }
        for i, expert in enumerate(experts):
            for module, factors in expert.factors.items():
                self._modules[f"{module}.weight"].fill(i, factors.b * factors.scale, factors.a)

    def realise(self, position: Tensor) -> Patch:
        """The mixed change, float32, of rank sum r_i; the patches share their `a`."""
        weights = self.coefficients(position).to(torch.float32)

        def change(parameter: str) -> LowRank:
            return self._modules[parameter].low_rank(weights)

        return Patch(low_rank=Computed(self.shapes, change))


class _Concatenated:
    """The experts' factors of one module side by side."""

    def __init__(self, infos: Sequence[AdapterInfo], module: str) -> None:
        ranks = {
            i: info.modules[module].rank for i, info in enumerate(infos) if module in info.modules
        }
        out, into = next(
            info.modules[module].weight_shape for info in infos if module in info.modules
        )
        # whose each column of b is
        self._owner = torch.cat([torch.full((rank,), i) for i, rank in ranks.items()])
        self._b = torch.empty(out, len(self._owner))
        self._a = torch.empty(len(self._owner), into)

    def fill(self, expert: int, b: Tensor, a: Tensor) -> None:
        """Put in the factors of one expert."""
        columns = self._owner == expert
        self._b[:, columns], self._a[columns] = b, a

    def low_rank(self, weights: Tensor) -> LowRank:
        """The change at the given weights of the experts, (n,) float32."""
        return LowRank(b=self._b * weights[self._owner], a=self._a)
