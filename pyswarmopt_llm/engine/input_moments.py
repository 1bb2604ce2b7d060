"""Second moments of the inputs of a model's linear layers, on texts that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn


@contextmanager
def input_moments(layers: Mapping[str, nn.Linear]) -> Iterator[dict[str, Tensor]]:
    """While it is open, add up the outer products of each layer's inputs, at every token that is read.

    Args:
        layers: name -> layer.

    Yields:
        Name -> (in_features, in_features) float32; empty before the first pass.

    Example:
        >>> import torch
        >>> layer = nn.Linear(2, 1)
        >>> with input_moments({"layer": layer}) as moments:
        ...     _ = layer(torch.tensor([[1.0, 2.0], [3.0, 0.0]]))
        >>> moments["layer"].tolist()
        [[10.0, 2.0], [2.0, 4.0]]
    """
    moments: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(partial(_add, moments, name))
        for name, layer in layers.items()
    ]
    try:
        yield moments
    finally:
        for hook in hooks:
            hook.remove()


def _add(moments: dict[str, Tensor], name: str, layer: nn.Linear, inputs: tuple[Any, ...]) -> None:
    """Add the outer products of a layer's inputs, (..., in_features)."""
    values = inputs[0].detach().reshape(-1, layer.in_features).float()
    products = values.T @ values
    moments[name] = moments[name] + products if name in moments else products
