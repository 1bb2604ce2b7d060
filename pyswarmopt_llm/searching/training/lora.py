"""A LoRA of a resident model, trained through additions to its linear layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.experts.adapter import Adapter, AdapterInfo
from pyswarmopt_llm.searching.training.trainer import Addition

Device = torch.device | str


class Lora:
    """``x -> scale * B A x`` in each of several modules (Hu et al. 2021, arXiv 2106.09685, section
    4.1).

    Args:
        factors: module name -> A, (r, in), and B, (out, r), float32.
        scale: alpha / r.
        device: where the model is.

    Attributes:
        tensors: all A and B, the leaves.
        scale: as given.
    """

    def __init__(
        self, factors: Mapping[str, tuple[Tensor, Tensor]], scale: float, device: Device
    ) -> None:
        self.scale = scale
        self._a = {name: a.to(device).requires_grad_() for name, (a, _) in factors.items()}
        self._b = {name: b.to(device).requires_grad_() for name, (_, b) in factors.items()}
        self.tensors: Sequence[Tensor] = [*self._a.values(), *self._b.values()]

    @classmethod
    def new(
        cls,
        shapes: Mapping[str, tuple[int, int]],
        rank: int,
        scale: float,
        seed: int,
        device: Device = "cpu",
    ) -> Lora:
        """An untrained one: A is drawn uniformly from +- 1 / sqrt(in), as peft does, and B is zero.

        Args:
            shapes: module name -> (out, in) of its weight.
            rank: r.
            scale: alpha / r.
            seed: of A.
            device: where the model is.

        Example:
            >>> lora = Lora.new({"layer": (3, 4)}, rank=2, scale=2.0, seed=0)
            >>> lora.patch().low_rank["layer.weight"].dense().abs().sum().item()
            0.0
        """
        draws = torch.Generator().manual_seed(seed)
        factors = {}
        for module, (out, into) in shapes.items():
            a = (2 * torch.rand(rank, into, generator=draws) - 1) / math.sqrt(into)
            factors[module] = a, torch.zeros(out, rank)
        return cls(factors, scale, device)

    @classmethod
    def like(cls, info: AdapterInfo, seed: int, device: Device = "cpu") -> Lora:
        """A new one on the modules of an adapter, with the rank and scale of the first of them."""
        first = next(iter(info.modules.values()))
        shapes = {module: shape.weight_shape for module, shape in info.modules.items()}
        return cls.new(shapes, first.rank, first.scale, seed, device)

    @classmethod
    def going_on(cls, adapter: Adapter, device: Device) -> Lora:
        """An adapter to be trained further: its modules and ranks, and the scale of the first
        module, to which other scales are brought in B.
        """
        scale = next(iter(adapter.factors.values())).scale
        factors = {
            module: (part.a.clone(), part.b * (part.scale / scale))
            for module, part in adapter.factors.items()
        }
        return cls(factors, scale, device)

    def additions(self) -> dict[str, Addition]:
        """Module name -> the LoRA's part of its output."""
        return {module: partial(self._output, module) for module in self._a}

    def _output(self, module: str, x: Tensor) -> Tensor:
        return (x @ self._a[module].T.to(x.dtype)) @ (self._b[module] * self.scale).T.to(x.dtype)

    def patch(self) -> Patch:
        """The change of weights as it is now, float32 on the CPU, the scale folded into B."""
        changes = {}
        for module, a in self._a.items():
            b = self._b[module].detach().cpu() * self.scale
            changes[f"{module}.weight"] = LowRank(b=b, a=a.detach().cpu())
        return Patch(low_rank=changes)


__all__ = ["Lora"]
