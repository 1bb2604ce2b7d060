"""Training on labelled items: the loss by hand, steps against torch's own, a LoRA against peft; and
the same where memory is short.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny
from torch import Tensor

from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.training.trainer import (
    Lora,
    checkpointed_layers,
    choice_losses,
    shuffled,
    train,
    training,
)

MODULES = {
    f"model.layers.{i}.self_attn.{name}": (32, 32)
    for i in range(2)
    for name in ("q_proj", "o_proj")
}
ITEMS = [
    Choices(
        tuple((f"Question {i}?", f" {word}") for word in ("left", "right", "upwards")),
        (4.0, 5.0, 7.0),
        i % 3,
    )
    for i in range(20)
]


@pytest.fixture
def engine(tiny_base: Path) -> TransformersEngine:
    return TransformersEngine(*load_tiny(tiny_base), batch_tokens=64)


def test_gradients_of_a_step_are_those_of_the_mean_over_its_items_whatever_the_batches(
    tiny_base: Path,
) -> None:
    def step(batch_tokens: int) -> Tensor:
        engine = TransformersEngine(*load_tiny(tiny_base), batch_tokens=batch_tokens)
        lora = Lora(MODULES, rank=2, scale=2.0, seed=1)
        train(engine, lora, shuffled(ITEMS[:7], 1, seed=0), 1e-3)
        return torch.cat([tensor.detach().flatten() for tensor in lora.tensors])

    torch.testing.assert_close(step(1), step(10**6), atol=2e-4, rtol=0)


# Where memory is short: checkpointed layers, then smaller batches, and the same steps

TWO = {"model.layers.0.mlp.up_proj": (64, 32), "model.layers.1.self_attn.q_proj": (32, 32)}


def new_lora() -> Lora:
    lora = Lora(TWO, rank=2, scale=2.0, seed=1)
    for tensor in lora.tensors:
        tensor.data += 0.05  # B, too, so that A has a gradient
    return lora


def gradients(engine: TransformersEngine, checkpointing: bool) -> tuple[list[Tensor], int]:
    """Of the items' losses, after a prefix that all share; and the bytes that autograd kept."""
    lora, kept = new_lora(), dict[int, int]()
    weights = {p.untyped_storage().data_ptr() for p in engine.model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage()
        if place.data_ptr() not in weights:
            kept[place.data_ptr()] = place.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with training(engine.model, lora.additions()):
        if checkpointing:
            with checkpointed_layers(engine.model), hooks:
                losses = torch.cat(list(choice_losses(engine, ITEMS[:8])))
                losses.sum().backward()
        else:
            with hooks:
                losses = torch.cat(list(choice_losses(engine, ITEMS[:8])))
            losses.sum().backward()
    return [tensor.grad for tensor in lora.tensors if tensor.grad is not None], sum(kept.values())


def test_checkpointed_layers_have_the_same_gradients_and_keep_less(
    engine: TransformersEngine,
) -> None:
    plain, all_kept = gradients(engine, checkpointing=False)
    saving, kept = gradients(engine, checkpointing=True)
    assert len(plain) == 4 and all(bool(g.abs().max() > 1e-4) for g in plain)
    for one, other in zip(plain, saving, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    assert kept < 0.6 * all_kept
    assert not any("forward" in vars(m) for m in engine.model.modules())


def short_of(engine: Any, fits: Callable[[], bool]) -> list[int]:
    """Let the forward passes of training run out of memory unless `fits` holds; their sizes."""
    logits, sizes = engine.passes.logits, list[int]()

    def limited(batch: Any, *rest: Any) -> Tensor:
        if torch.is_grad_enabled():
            sizes.append(len(batch.rows))
            if not fits():
                raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(batch, *rest)

    engine.passes.logits = limited
    return sizes


def trained(engine: TransformersEngine) -> Tensor:
    lora = new_lora()
    train(engine, lora, shuffled(ITEMS[:8], 2, seed=0), 1e-3)
    return torch.cat([tensor.detach().flatten() for tensor in lora.tensors])


@pytest.mark.parametrize("batch_tokens", [64, 16])
def test_a_step_without_room_is_made_again_with_checkpointing_then_smaller(
    engine: TransformersEngine, batch_tokens: int
) -> None:
    expected = trained(engine)
    layer = engine.model.model.layers[0]

    def fits() -> bool:
        return "forward" in vars(layer) and engine.batch_tokens <= batch_tokens

    sizes = short_of(engine, fits)
    torch.testing.assert_close(trained(engine), expected, atol=2e-5, rtol=0)
    assert engine.batch_tokens == batch_tokens and len(sizes) > 2
    assert "forward" not in vars(layer)
