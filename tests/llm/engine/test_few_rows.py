"""Products for few rows against torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pyswarmopt_llm.engine.generation.few_rows import (
    products_for_few_rows,
    rearranged_weights,
)

LONG, SHORT = 16, 15  # steps
BF16, FLOAT = torch.bfloat16, torch.float32


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


@pytest.mark.parametrize(
    ("dtype", "n_rows", "n_steps", "changes"),
    [
        (BF16, 32, SHORT, True),
        (BF16, 1, SHORT, False),
        (BF16, 1, LONG, True),
        (BF16, 32, LONG, True),
        (BF16, 200, LONG, True),
        (FLOAT, 32, LONG, False),
    ],
)
def test_values_are_those_of_the_layers_and_the_layers_are_left_as_they_were(
    dtype: torch.dtype, n_rows: int, n_steps: int, changes: bool
) -> None:
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        model = Model(dtype)
        x = torch.randn(n_rows, 1, 64).to(dtype)
        expected = model(x)
        with rearranged_weights(model, n_steps), products_for_few_rows(model, n_rows):
            changed = "forward" in vars(model.first)
            values = model(x)
    assert changed == changes
    torch.testing.assert_close(values, expected, atol=0.02, rtol=0.02)
    assert values.shape == (n_rows, 1, 32) and values.is_contiguous()
    assert "forward" not in vars(model.first) and "forward" not in vars(model.second)


def test_layers_with_a_copy_of_their_weights_keep_to_it() -> None:
    model = Model(BF16)
    with rearranged_weights(model, LONG):
        forward = model.first.forward
        with products_for_few_rows(model, 32):
            assert model.first.forward is forward
        assert model.first.forward is forward


@pytest.mark.parametrize("n_steps", [SHORT, LONG])
def test_layers_are_left_as_they_were_after_an_error(n_steps: int) -> None:
    model = Model(BF16)
    with (
        pytest.raises(RuntimeError),
        rearranged_weights(model, n_steps),
        products_for_few_rows(model, 32),
    ):
        model(torch.zeros(32, 7, dtype=BF16))
    assert "forward" not in vars(model.first)


def test_large_weights_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyswarmopt_llm.engine.generation.few_rows._MOST_BYTES", 2 * 64 * 96 - 1)
    model = Model(BF16)
    with rearranged_weights(model, LONG):
        assert "forward" not in vars(model.first)
