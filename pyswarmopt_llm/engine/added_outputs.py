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
    [A_1; ...; A_n] with [w_1 B_1, ..., w_n B_n]: A stays on the model's device, and each candidate
    brings a new B. Products with A and B are in the dtype of the layer's output.

    Args:
        model: a torch module; its linear layers get forward hooks.
    """

    parameter_names: tuple[str, ...] = ()

    def __init__(self, model: Any) -> None:
        linear_layers = {
            f"{name}.weight": module
            for name, module in model.named_modules()
            if hasattr(module, "out_features")
        }
        self._layers: dict[str, Any] = linear_layers
        self._shapes = {
            weight: (layer.out_features, layer.in_features)
            for weight, layer in linear_layers.items()
        }
        self._added: dict[str, _AddedOutput] = {}

    def load(self, patch: Patch) -> None:
        """See `Mixing.load`.

        Raises:
            InvalidOption: the patch replaces weights, or has changes of full rank.
        """
        if patch.dense or patch.full_rank:
            why = "adds changes of low rank only; use a base with plain weights, and `mix` merged"
            raise InvalidOption("mix", "runtime", why)
        check_fits(patch, self._shapes)
        for weight in self._added.keys() - patch.low_rank.keys():
            self._added.pop(weight).remove()
        for weight, change in patch.low_rank.items():
            if weight in self._added:
                self._added[weight].change = change
            else:
                self._added[weight] = _AddedOutput(self._layers[weight], change)


class _AddedOutput:
    """One layer's change.

    Attributes:
        change: the change to add from now on.
    """

    def __init__(self, layer: Any, change: LowRank) -> None:
        self.change = change
        # factor -> the given tensor and the converted one
        self._converted: dict[str, tuple[Any, Tensor]] = {}
        self._handle = layer.register_forward_hook(self._add)

    def remove(self) -> None:
        """Stop adding the change."""
        self._handle.remove()

    def _add(self, layer: object, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        a = self._like("a", self.change.a, output)
        b = self._like("b", self.change.b, output)
        return output + linear(linear(inputs[0].to(output), a), b)

    def _like(self, name: str, factor: Tensor, output: Tensor) -> Tensor:
        """A factor on the output's device, in its dtype, converted once."""
        source, converted = self._converted.get(name, (None, None))
        if source is not factor or converted is None:
            with torch.inference_mode(False):  # training uses it as well
                converted = factor.to(output)
            self._converted[name] = (factor, converted)
        return converted
