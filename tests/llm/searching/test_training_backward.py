"""The short backward passes against those that autograd records."""

from __future__ import annotations

import pytest
import torch
from engine_reference import random_model
from torch import Tensor

from pyswarmopt_llm.engine import passes
from pyswarmopt_llm.engine.batching import build_row, make_batch
from pyswarmopt_llm.searching.training.backward import short_norms, target_logprobs


def gradient(model: torch.nn.Module, x: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    found = model(x)
    (slope,) = torch.autograd.grad(found, x, upstream)
    return found.detach(), slope


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "mistral"])
def test_norms_have_the_values_and_gradients_of_transformers(architecture: str) -> None:
    model = random_model(architecture, 50).requires_grad_(False)
    norm = model.model.norm
    x, upstream = 3 * torch.randn(2, 5, 32), torch.randn(2, 5, 32)
    expected = gradient(norm, x, upstream)
    with short_norms(model):
        assert "forward" in vars(norm)
        found = gradient(norm, x, upstream)
    torch.testing.assert_close(found, expected)
    assert not any("forward" in vars(layer) for layer in model.modules())


def test_log_probabilities_have_the_gradient_of_log_softmax() -> None:
    row = build_row([5, 6], [(0, [7, 8]), (1, [7, 9]), (2, [4])])
    batch = make_batch([row], 0, pad=0)
    logits = torch.randn(len(batch.heads), 12, requires_grad=True)
    weights = torch.randn(len(batch.target_head), dtype=torch.float64)
    values = logits.double().log_softmax(-1)[batch.target_head, batch.target_token]
    (expected,) = torch.autograd.grad((values * weights).sum(), logits)
    found = target_logprobs(batch, logits)
    (slope,) = torch.autograd.grad((found * weights).sum(), logits)
    torch.testing.assert_close(slope, expected)
    torch.testing.assert_close(found.detach(), passes.target_logprobs(batch, logits.detach()))
