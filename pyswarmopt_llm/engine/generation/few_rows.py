"""Linear layers over few rows in bfloat16 on a CPU: products in which oneDNN does not rearrange the
weights.

Before it multiplies, oneDNN rearranges the second factor of a product. In x W^T these are the
weights, however few the rows of x. There are two ways around that:

- W x^T, where x is rearranged: worth it from a dozen rows on, below some hundred;
- weights that are rearranged once and used for all texts of a candidate: a second copy of them,
  which takes as long to make as five to eight steps save. The products of a step then take 39 ms in
  place of 54 (x W^T) and 73 (W x^T) for 4 rows, 85 in place of 111 and 128 for 20 rows
  (SmolLM2-135M, one thread of a busy CPU with avx512_bf16 and no AMX).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear

_ROWS = range(12, 129)
_LEAST_STEPS = 16  # from which a copy of the weights pays
_MOST_BYTES = 2**32  # of the weights that are copied

Forward = Callable[[Tensor], Tensor]


@contextmanager
def products_for_few_rows(model: Any, n_rows: int) -> Iterator[None]:
    """Let a model's linear layers multiply in the faster order, for inputs of `n_rows` rows; undone
    at the end.

    Layers that have a copy of their weights keep to it.
    """
    layers = _layers(model) if n_rows in _ROWS else []
    with _forwards(
        {layer: partial(_reordered, layer) for layer in layers if "forward" not in vars(layer)}
    ):
        yield


@contextmanager
def rearranged_weights(model: Any, n_steps: int) -> Iterator[None]:
    """Let a model's linear layers multiply with a copy of their weights for so many steps; undone
    at the end.

    The weights must not change meanwhile.
    """
    layers = _layers(model) if n_steps >= _LEAST_STEPS else []
    if sum(layer.weight.nbytes for layer in layers) > _MOST_BYTES or not _has_packed_products():
        layers = []
    with torch.inference_mode():
        copies = {layer: torch.ops.mkldnn._reorder_linear_weight(layer.weight) for layer in layers}
    with _forwards({layer: partial(_packed, copy) for layer, copy in copies.items()}):
        yield


def _has_packed_products() -> bool:
    return torch.backends.mkldnn.is_available() and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _layers(model: Any) -> list[Linear]:
    """The linear layers without bias, in bfloat16 on a CPU."""
    if model.device.type != "cpu" or model.dtype != torch.bfloat16:
        return []
    return [module for module in model.modules() if type(module) is Linear and module.bias is None]


@contextmanager
def _forwards(replaced: Mapping[Linear, Forward]) -> Iterator[None]:
    for layer, forward in replaced.items():
        setattr(layer, "forward", forward)  # noqa: B010  # mypy refuses to assign to a method
    try:
        yield
    finally:
        for layer in replaced:
            del layer.forward


def _reordered(layer: Linear, x: Tensor) -> Tensor:
    """x W^T as (W x^T)^T, (..., in) -> (..., out)."""
    product = layer.weight @ x.flatten(0, -2).t()
    return product.t().contiguous().unflatten(0, x.shape[:-1])


def _packed(weight: Tensor, x: Tensor) -> Tensor:
    """x W^T with rearranged weights, (..., in) -> (..., out)."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return product
