"""A LoRA of a resident model, trained through additions to its linear layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import Engine, LowRank, Patch
from pyswarmopt_llm.engine.transformers import on_transformers
from pyswarmopt_llm.experts.adapter import Adapter, AdapterInfo
from pyswarmopt_llm.scores.choices import EPOCHS, RATE, Choices
from pyswarmopt_llm.searching.training.choice_losses import shuffled
from pyswarmopt_llm.searching.training.trainer import Addition, OnRound, train


class Lora:
    """``x -> scale * B A x`` in each of several modules (Hu et al. 2021, arXiv 2106.09685, section
    4.1).

    A is drawn uniformly from +- 1 / sqrt(in), as peft does, and B is zero.

    Args:
        shapes: module name -> (out, in) of its weight.
        rank: r.
        scale: alpha / r.
        seed: of A.
        device: where the model is.

    Attributes:
        tensors: all A and B, float32 leaves.
        scale: as given.

    Example:
        >>> lora = Lora({"layer": (3, 4)}, rank=2, scale=2.0, seed=0)
        >>> lora.patch().low_rank["layer.weight"].dense().abs().sum().item()
        0.0
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        rank: int,
        scale: float,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        draws = torch.Generator().manual_seed(seed)
        self.scale = scale
        self._a: dict[str, Tensor] = {}
        self._b: dict[str, Tensor] = {}
        for module, (out, into) in shapes.items():
            a = (2 * torch.rand(rank, into, generator=draws) - 1) / math.sqrt(into)
            self._a[module] = a.to(device).requires_grad_()
            self._b[module] = torch.zeros(out, rank, device=device, requires_grad=True)
        self.tensors: Sequence[Tensor] = [*self._a.values(), *self._b.values()]

    @classmethod
    def like(cls, info: AdapterInfo, seed: int, device: torch.device | str = "cpu") -> Lora:
        """A new one on the modules of an adapter, with the rank and scale of the first of them."""
        first = next(iter(info.modules.values()))
        shapes = {module: shape.weight_shape for module, shape in info.modules.items()}
        return cls(shapes, first.rank, first.scale, seed, device)

    @classmethod
    def going_on(cls, adapter: Adapter, device: torch.device | str) -> Lora:
        """An adapter to be trained further: its modules and ranks, and the scale of the first
        module, to which other scales are brought in B.
        """
        lora = cls({}, 0, next(iter(adapter.factors.values())).scale, 0, device)
        for module, part in adapter.factors.items():
            lora._a[module] = part.a.clone().to(device).requires_grad_()
            lora._b[module] = (part.b * (part.scale / lora.scale)).to(device).requires_grad_()
        lora.tensors = [*lora._a.values(), *lora._b.values()]
        return lora

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


def fit(
    engine: Engine,
    start: Patch,
    items: Sequence[Choices],
    pattern: AdapterInfo,
    seed: int,
    after_epoch: OnRound | None = None,
    epochs: int = EPOCHS,
) -> Patch:
    """A new LoRA, trained at `RATE` on top of `start`; the trained model is both together.

    Args:
        engine: the one on transformers.
        start: the model to start from.
        items: to train on.
        pattern: an adapter whose modules, rank and scale it has.
        seed: of the start and the order.
        after_epoch: see `train`.
        epochs: over the items, for which the learning rate is planned.

    Raises:
        TypeError: another engine, through which no gradients flow.
    """
    trainable = on_transformers(engine, "an adapter is trained")
    trainable.load(start)
    lora = Lora.like(pattern, seed, trainable.model.device)
    train(trainable, lora, shuffled(items, epochs, seed), RATE, on_round=after_epoch)
    return lora.patch()


__all__ = ["Lora", "fit"]
