"""Linear layers over few rows in bfloat16 on a CPU: the product in the order in which weights are not copied.

oneDNN rearranges the second factor of a product before it multiplies. In x W^T these are the weights, however few the
rows of x; in W x^T it is x. For 32 rows, the second takes five sixths of the first's time (SmolLM2-135M, a CPU with
avx512_bf16 and no AMX); below a dozen rows and above some hundred the first is as fast or faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear

_ROWS = range(12, 129)


@contextmanager
def products_for_few_rows(model: Any, n_rows: int) -> Iterator[None]:
    """Let a model's linear layers multiply in the faster order, for inputs of `n_rows` rows; undone at the end."""
    if n_rows not in _ROWS or model.device.type != "cpu" or model.dtype != torch.bfloat16:
        yield
        return
    layers = [module for module in model.modules() if type(module) is Linear and module.bias is None]
    for layer in layers:
        layer.forward = partial(_linear, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _linear(layer: Linear, x: Tensor) -> Tensor:
    """x W^T as (W x^T)^T, (..., in) -> (..., out)."""
    product = layer.weight @ x.flatten(0, -2).t()
    return product.t().contiguous().unflatten(0, x.shape[:-1])
