"""Products for few rows against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pyswarmopt_llm.models.engines.generation.few_rows import products_for_few_rows


class Model(nn.Module):
    """Two layers, one of them with a bias, and what a transformers model says of itself."""

    device = torch.device("cpu")

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.first, self.second = nn.Linear(64, 96, bias=False), nn.Linear(96, 32)
        self.to(dtype)

    def forward(self, x: torch.Tensor) -> Any:
        return self.second(self.first(x))


@pytest.mark.parametrize("n_rows", [1, 32])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_values_are_those_of_the_layers_and_the_layers_are_left_as_they_were(n_rows: int, dtype: torch.dtype) -> None:
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        model = Model(dtype)
        x = torch.randn(n_rows, 1, 64).to(dtype)
        expected = model(x)
        with products_for_few_rows(model, n_rows):
            changed = "forward" in vars(model.first)
            values = model(x)
    assert changed == (n_rows == 32 and dtype == torch.bfloat16)
    torch.testing.assert_close(values, expected, atol=0.02, rtol=0.02)
    assert values.shape == (n_rows, 1, 32) and values.is_contiguous()
    assert "forward" not in vars(model.first) and "forward" not in vars(model.second)


def test_layers_are_left_as_they_were_after_an_error() -> None:
    model = Model(torch.bfloat16)
    with pytest.raises(RuntimeError), products_for_few_rows(model, 32):
        model(torch.zeros(32, 7, dtype=torch.bfloat16))
    assert "forward" not in vars(model.first)
