"""The weights of a model that a format may change: matrices of linear layers, and embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError


@dataclass(frozen=True)
class Matrix:
    """A matrix of a model.

    Attributes:
        name: parameter, as in `named_parameters()`.
        width: length of its rows.
        head: whether it gives the output's logits; embeddings that are tied to the head, too.
        linear: whether it is of a linear layer; if not, it holds the input embeddings only.
    """

    name: str
    width: int
    head: bool
    linear: bool


def matrices(model: Any) -> list[Matrix]:
    """The matrices of linear layers and the input embeddings, in the model's order, each once.

    Biases, norms and learnt positions are not among them: the formats' own tools leave them alone.

    Raises:
        UserError: the model fuses its experts into one parameter, whose layout differs in a file.
    """
    fused = [name for name, value in model.named_parameters() if value.dim() > 2]
    if fused:
        raise UserError(
            f"{fused[0]} is not a matrix, so `quantize` cannot tell how a file holds it; quantise this "
            "model with the format's own tool, and score the result"
        )
    own = dict(model.named_parameters())
    head = model.get_output_embeddings()
    head_weight = None if head is None else head.weight
    words = model.get_input_embeddings()
    found = []
    for name, module in model.named_modules():
        linear = isinstance(module, torch.nn.Linear)
        weight = f"{name}.weight"
        if weight in own and (linear or module is words):
            value = own[weight]
            found.append(Matrix(weight, value.shape[1], value is head_weight, linear))
    return found
