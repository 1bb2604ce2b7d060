"""Averages weight changes, dW = sum c_i s_i B_i A_i: exact for experts of unequal rank, alpha or
modules.

The sum needs no dense matrix: the concatenated factors, [c_1 s_1 B_1 | c_2 s_2 B_2 | ...] and [A_1;
A_2; ...], are a LoRA of rank sum r_i. This is task arithmetic (Ilharco et al. 2023, arXiv
2212.04089) on LoRA experts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Computed, LowRank, Patch
from pyswarmopt_llm.experts.adapter import Adapter, load_factors, read_adapter
from pyswarmopt_llm.mix.coefficients import CoefficientSpace, save_patch


class DeltaSpace(CoefficientSpace):
    """A space of coefficients of weight changes; candidates are LoRA adapters, saved with the rank
    from `realise`.

    Args:
        experts: adapters for one base, read one at a time. A module missing in an adapter counts as
            unchanged.

    Attributes:
        infos: experts.
        shapes: parameter name -> shape.
    """

    name = "delta"

    def __init__(self, experts: Sequence[Adapter]) -> None:
        self.infos = [expert.info for expert in experts]
        super().__init__([info.name for info in self.infos])
        shapes = {
            f"{m}.weight": s.weight_shape for info in self.infos for m, s in info.modules.items()
        }
        self.shapes = dict(sorted(shapes.items()))
        parts: dict[str, list[tuple[int, LowRank]]] = {name: [] for name in self.shapes}
        for i, expert in enumerate(experts):
            for module, change in expert.factors.items():
                parts[f"{module}.weight"].append((i, change))
        # Popped, so that only one module's factors are held twice.
        self._modules = {name: _side_by_side(parts.pop(name)) for name in self.shapes}

    def realise(self, position: Tensor) -> Patch:
        """The mixed change, float32, of rank sum r_i over experts with non-zero weight; patches of
        all experts share `a`.
        """
        weights = self.coefficients(position).to(torch.float32)

        def change(parameter: str) -> LowRank:
            b, a, owner = self._modules[parameter]
            shares = weights[owner]
            used = shares != 0
            used[0] |= not used.any()  # of a zero change a column is kept
            if not used.all():  # of many experts a few columns
                b, a, shares = b[:, used], a[used], shares[used]
            return LowRank(b=b * shares, a=a).without_zeros()

        return Patch(low_rank=Computed(self.shapes, change))

    def save(self, position: Tensor, out: Path) -> None:
        """Write a PEFT adapter; see `interfaces.Space`.

        Raises:
            UserError: `out` exists already.
        """
        save_patch(self.realise(position), self.infos, out)

    def read(self, folder: Path) -> Patch:
        """The patch of a saved adapter.

        Raises:
            UserError: the files are not an adapter.
        """
        return Patch(low_rank=load_factors(read_adapter(folder)))


def _side_by_side(parts: Sequence[tuple[int, LowRank]]) -> tuple[Tensor, Tensor, Tensor]:
    """A module's concatenated factors, b and a, and the expert of each column of b."""
    b = torch.cat([change.b for _, change in parts], dim=1)
    a = torch.cat([change.a for _, change in parts])
    return b, a, torch.cat([torch.full((len(change.a),), i) for i, change in parts])
