"""Candidates added to the outputs of a model's layers at run time."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor
from torch.nn.functional import linear

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Patch
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
        self._model = model
        self._layers: dict[str, Any] = {
            f"{name}.weight": module
            for name, module in model.named_modules()
            if hasattr(module, "out_features")
        }
        self._hooks: list[Any] = []

    def load(self, patch: Patch) -> None:
        """See `Mixing.load`.

        Raises:
            InvalidOption: the patch replaces weights, has changes of full rank, or a format.
        """
        if patch.format is not None:
            why = (
                "leaves the weights apart, so `quantize` cannot round their sum; remove one of them"
            )
            raise InvalidOption("mix", "runtime", why)
        if patch.dense or patch.full_rank:
            why = "adds only low-rank changes; use an unquantised model and set `mix` to merged"
            raise InvalidOption("mix", "runtime", why)
        layers = self._layers.items()
        check_fits(patch, {name: (one.out_features, one.in_features) for name, one in layers})
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        for name, change in patch.low_rank.items():
            a, b = (x.to(self._model.device, self._model.dtype) for x in (change.a, change.b))
            hook = partial(_with_change, a, b)
            self._hooks.append(self._layers[name].register_forward_hook(hook))


def _with_change(
    a: Tensor, b: Tensor, layer: object, inputs: tuple[Tensor, ...], output: Tensor
) -> Tensor:
    """The output of a layer with a change."""
    x = inputs[0].to(output)
    return output + linear(linear(x, a.to(x)), b.to(x))
