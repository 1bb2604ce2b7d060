"""The paper's space: LoRA factors are averaged, A = sum c_i A_i and B = sum c_i B_i.

Model Swarms (Feng et al. 2024, arXiv 2410.11163) moves the adapters' weights themselves. With scalar random
factors a particle never leaves the affine hull of the n experts, so n coefficients that sum to 1 say where it
is; `FactorSpace` moves those, `FlatFactorSpace` the weights, and both realise the same adapters to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pyswarmopt.base.flat_view import FlatView
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.interfaces import Computed, LowRank, Patch, Space
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, Expert
from pyswarmopt_llm.spaces import register
from pyswarmopt_llm.spaces.coefficients import CoefficientSpace, as_vector
from pyswarmopt_llm.spaces.one_base import AdapterKind, AdapterSpace


class _Stacked:
    """The experts' raw factors, one flat float32 row each, and the way back from a row to a patch."""

    def __init__(self, experts: Sequence[Expert]) -> None:
        _require_equal_modules([expert.info for expert in experts])
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
        granularity: see `CoefficientSpace`.

    Raises:
        UserError: ranks, scales or modules differ (`delta` can mix those).
    """

    name = "factor"

    def __init__(self, experts: Sequence[Expert], granularity: str = "model") -> None:
        self._infos = [expert.info for expert in experts]
        self._stacked = _Stacked(experts)
        super().__init__([info.name for info in self._infos], self._stacked.shapes, granularity)

    def realise(self, position: Tensor) -> Patch:
        """The averaged adapter, float32."""
        weights, stacked = self._weights(position), self._stacked

        def change(parameter: str) -> LowRank:
            return stacked.low_rank(parameter, lambda span: weights(parameter) @ stacked.rows[:, span])

        return Patch(low_rank=Computed(stacked.shapes, change))


class FlatFactorSpace(AdapterSpace):
    """The experts' raw factors as positions: the search of the paper to the letter, on P weights.

    Args:
        experts: loaded adapters with the same modules, ranks and scales.

    Raises:
        UserError: ranks, scales or modules differ.
    """

    name = "factor"

    def __init__(self, experts: Sequence[Expert]) -> None:
        self._infos = [expert.info for expert in experts]
        self.expert_names = tuple(info.name for info in self._infos)
        self._stacked = _Stacked(experts)
        self._rows = self._stacked.rows
        # Offsets from the mean make the least squares keep sum(c) = 1: the vector of ones is in the null space
        # of their Gram matrix, and the pseudo-inverse leaves it out.
        self._mean = self._rows.mean(0, dtype=torch.float64)
        n = len(experts)
        gram = torch.empty(n, n, dtype=torch.float64)
        offsets = [row.to(torch.float64) - self._mean for row in self._rows]
        for i in range(n):
            for j in range(n):
                gram[i, j] = offsets[i] @ offsets[j]
        self._inverse = torch.linalg.pinv(gram, hermitian=True, rtol=1e-10)

    @property
    def size(self) -> int:
        """Number of coordinates: all LoRA weights of one expert."""
        return self._stacked.layout.size

    def vertices(self) -> Tensor:
        """The experts' raw factors, (n, P) float32."""
        return self._rows.clone()

    def coefficients(self, position: Tensor) -> Tensor:
        """The (n,) weights, summing to 1, whose mix is nearest to the position in the least-squares sense."""
        offset = as_vector(position, self.size).to(torch.float64) - self._mean
        products = torch.stack([(row.to(torch.float64) - self._mean) @ offset for row in self._rows])
        return 1 / len(self._rows) + self._inverse @ products

    def realise(self, position: Tensor) -> Patch:
        """The adapter with these raw factors, float32."""
        flat, stacked = as_vector(position, self.size).to(torch.float32), self._stacked
        return Patch(
            low_rank={name: stacked.low_rank(name, lambda span: flat[span].clone()) for name in stacked.shapes}
        )


def _named(expert: Expert) -> dict[str, Tensor]:
    """``<module>.A`` and ``<module>.B`` -> raw factor, in the order of the modules."""
    named: dict[str, Tensor] = {}
    for module, factors in expert.factors.items():
        named[f"{module}.A"], named[f"{module}.B"] = factors.a, factors.b
    return named


def _require_equal_modules(infos: Sequence[AdapterInfo]) -> None:
    first = infos[0]
    for info in infos[1:]:
        if dict(info.modules) != dict(first.modules):
            raise UserError(
                f"{info.name}: its rank, alpha or modules differ from those of {first.name}, so their "
                "factors cannot be averaged; use --space delta"
            )


class Factor(AdapterKind):
    """Averages of LoRA factors; with `exact_flat` their flat weights."""

    name = "factor"
    published = True
    options = frozenset({"granularity", "exact_flat"})
    requires = "factor"

    def check_options(self, values: Mapping[str, Any]) -> None:
        """See `SpaceKind.check_options`; flat weights have no granularity."""
        super().check_options(values)
        if values["exact_flat"] and values["granularity"] != "model":
            text = f"has no coefficients, so no `granularity` {values['granularity']}; remove one of them"
            raise InvalidOption("exact_flat", True, text)

    def over_adapters(self, experts: Sequence[Expert], exact_flat: bool = False, granularity: str = "model") -> Space:
        return FlatFactorSpace(experts) if exact_flat else FactorSpace(experts, granularity)

    def rank(self, ranks: Sequence[int]) -> int:
        """That of the experts, which is the same."""
        return max(ranks)


register(Factor())
