"""Candidates added to the outputs of a model's layers at run time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.mixing import check_fits


class AddedOutputs:
    """Low-rank changes added to the outputs of linear layers, h = W x + B (A x), as in unmerged
    peft.

    W is only used in products, so it may be packed. A mixture in space ``delta`` is one change,
    [A_1; ...; A_n] with [w_1 B_1, ..., w_n B_n]. Products with A and B are in the dtype of the
    layer's output.

    Args:
        model: a torch module; its linear layers get forward hooks.
    """

    parameter_names: tuple[str, ...] = ()

    def __init__(self, model: Any) -> None:
        self._layers: dict[str, Any] = {
            f"{name}.weight": module
            for name, module in model.named_modules()
            if hasattr(module, "out_features")
        }
        self._hooks: list[Any] = []

    def load(self, patch: Patch) -> None:
        """See `Mixing.load`.

        Raises:
            InvalidOption: the patch replaces weights, or has changes of full rank.
        """
        if patch.dense or patch.full_rank:
            why = "adds only low-rank changes; use an unquantised model and set `mix` to merged"
            raise InvalidOption("mix", "runtime", why)
        layers = self._layers.items()
        check_fits(patch, {name: (one.out_features, one.in_features) for name, one in layers})
        added = {weight: _AddedOutput(change) for weight, change in patch.low_rank.items()}
        for hook in self._hooks:
            hook.remove()
        self._hooks = [self._layers[name].register_forward_hook(one) for name, one in added.items()]


class _AddedOutput:
    """A hook that adds a change to a layer's output; its factors are converted once."""

    def __init__(self, change: LowRank) -> None:
        self._change = change
        self._factors: tuple[Tensor, Tensor] | None = None

    def __call__(self, layer: object, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if self._factors is None:
            with torch.inference_mode(False):  # training uses them as well
                self._factors = self._change.a.to(output), self._change.b.to(output)
        a, b = self._factors
        return output + linear(linear(inputs[0].to(output), a), b)
