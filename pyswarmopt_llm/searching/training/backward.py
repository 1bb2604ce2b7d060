"""Backward passes of their own for two steps whose recorded ones cost much more than the step
itself.

Autograd keeps each intermediate result and goes back through each operation. Both steps here have a
short derivative in terms of what is kept anyway, and the weights are frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.engine.batching import Batch
from pyswarmopt_llm.engine.passes import head_rows, normalisers

# Layers of transformers whose forward pass is `weight * (x / rms(x))`, the quotient in float32.
_NORMS = frozenset({"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm"})


def target_logprobs(batch: Batch, logits: Tensor) -> Tensor:
    """As the engine's, with a gradient.

    Args:
        batch: of a plan.
        logits: (M, V) at its heads.

    Returns:
        (T,) float64, on the CPU.
    """
    device = logits.device
    values: Tensor = _TargetLogprobs.apply(
        logits, batch.target_head.to(device), batch.target_token.to(device)
    )
    return values.cpu().double()


class _TargetLogprobs(torch.autograd.Function):
    """log softmax of logits at (row, token); the gradient is that at the token less the softmax."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, head: Tensor, token: Tensor) -> Tensor:
        normaliser = normalisers(logits)
        ctx.save_for_backward(logits, normaliser, head, token)
        return logits[head, token].float() - normaliser[head]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, normaliser, head, token = ctx.saved_tensors
        # Not `index_add_`, whose order of summation on a GPU changes from call to call.
        of_row = torch.zeros_like(normaliser).index_put_((head,), gradient, accumulate=True)
        slopes = torch.empty_like(logits)
        parts = (head_rows(x) for x in (logits, slopes, normaliser[:, None], of_row[:, None]))
        for row, out, subtracted, factor in zip(*parts, strict=True):
            out.copy_((row.float() - subtracted).exp_().mul_(factor).neg_())
        slopes.index_put_((head, token), gradient.to(slopes.dtype), accumulate=True)
        return slopes, None, None


@contextmanager
def short_norms(model: Any) -> Iterator[None]:
    """Within this context, RMSNorm layers on a CPU go back in one step (Zhang & Sennrich 2019, eq.
    4).

    Their weights have to be frozen: they get no gradient.
    """
    layers = [
        layer for layer in model.modules() if type(layer).__name__ in _NORMS and layer.weight.is_cpu
    ]
    try:
        for layer in layers:
            layer.forward = partial(_normed, layer)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _normed(layer: Any, x: Tensor) -> Tensor:
    normed: Tensor = _Norm.apply(x, layer.weight, layer.variance_epsilon)
    return normed


class _Norm(torch.autograd.Function):
    """weight * y with y = x / rms(x); dx = (dy - y mean(y dy)) / rms(x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = x.float()
        scale = wide.pow(2).mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        y = (wide * scale).to(x.dtype)
        ctx.save_for_backward(y, scale, weight)
        return weight * y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        y, scale, weight = ctx.saved_tensors
        of_y, wide = (gradient * weight).float(), y.float()
        along = (of_y * wide).mean(-1, keepdim=True)
        return of_y.sub_(wide.mul_(along)).mul_(scale).to(gradient.dtype), None, None


__all__ = ["short_norms", "target_logprobs"]
