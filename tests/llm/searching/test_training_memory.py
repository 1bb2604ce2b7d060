"""Training where memory is short: checkpointed layers, then smaller batches, and the same steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny
from torch import Tensor

from pyswarmopt_llm.common.errors import NoRoomError
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.searching.training.trainer import (
    Lora,
    checkpointed_layers,
    choice_losses,
    shuffled,
    train,
    training,
)

MODULES = {"model.layers.0.mlp.up_proj": (64, 32), "model.layers.1.self_attn.q_proj": (32, 32)}
ITEMS = [
    Choices(
        tuple((f"A question, {i}?", f" {word}") for word in ("left", "right", "up")),
        (4.0, 5.0, 2.0),
        i % 3,
    )
    for i in range(8)
]


@pytest.fixture
def engine(tiny_base: Path) -> TransformersEngine:
    return TransformersEngine(*load_tiny(tiny_base), batch_tokens=64)


def new_lora() -> Lora:
    lora = Lora(MODULES, rank=2, scale=2.0, seed=1)
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
                losses = torch.cat(list(choice_losses(engine, ITEMS)))
                losses.sum().backward()
        else:
            with hooks:
                losses = torch.cat(list(choice_losses(engine, ITEMS)))
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


def short_of(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, fits: Callable[[], bool]
) -> list[int]:
    """Let the forward passes of training run out of memory unless `fits` holds; their sizes."""
    logits, sizes = engine.passes.logits, list[int]()

    def limited(batch: Any, *rest: Any) -> Tensor:
        if torch.is_grad_enabled():
            sizes.append(len(batch.rows))
            if not fits():
                raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(batch, *rest)

    monkeypatch.setattr(engine.passes, "logits", limited)
    return sizes


def trained(engine: TransformersEngine) -> Tensor:
    lora = new_lora()
    train(engine, lora, shuffled(ITEMS, 2, seed=0), 1e-3)
    return torch.cat([tensor.detach().flatten() for tensor in lora.tensors])


@pytest.mark.parametrize("batch_tokens", [64, 16])
def test_a_step_without_room_is_made_again_with_checkpointing_then_smaller(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, batch_tokens: int
) -> None:
    expected = trained(engine)
    layer = engine.model.model.layers[0]

    def fits() -> bool:
        return "forward" in vars(layer) and engine.batch_tokens <= batch_tokens

    sizes = short_of(engine, monkeypatch, fits)
    torch.testing.assert_close(trained(engine), expected, atol=2e-5, rtol=0)
    assert engine.batch_tokens == batch_tokens and len(sizes) > 2
    assert "forward" not in vars(layer)


def test_what_never_fits_is_an_error_and_leaves_the_model_alone(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_of(engine, monkeypatch, lambda: False)
    with pytest.raises(NoRoomError, match="out of memory with a single example"):
        trained(engine)
    assert not any("forward" in vars(m) for m in engine.model.modules())


def test_another_error_is_not_repeated(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Tensor:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(engine.passes, "logits", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        trained(engine)
