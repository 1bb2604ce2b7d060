"""The training loop: AdamW on a change of a frozen model, whatever the change is.

A change is a function of a linear layer's input that is added to its output, so that the resident
model stays as it is. Where memory runs out, layers keep their inputs only and are computed again in
the backward pass (gradient checkpointing, Chen et al. 2016, arXiv 1604.06174), then batches shrink.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from pyswarmopt_llm.common.hardware import give_back_memory, out_of_memory
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.attention import PrefixCache
from pyswarmopt_llm.engine.packed_attention import NAME as PACKED
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.searching.training.choice_losses import choice_losses

log = logging.getLogger(__name__)

_CLIP = 1.0  # largest norm of the gradient
_WARMUP = 0.05  # fraction of the steps
_FLOOR = 0.05  # fraction of the peak learning rate at the last step

Addition = Callable[[Tensor], Tensor]
"""Input of a linear layer, (..., in) -> what is added to its output, (..., out)."""

OnRound = Callable[[int, int, float], None]
"""Called with the number of rounds done, of all rounds, and the mean loss of the last one."""

Losses = Callable[[TransformersEngine, Sequence[Any]], Iterable[Tensor]]
"""The items of a step -> their losses, part by part, each (items of the part,) with its graph."""


class Trainable(Protocol):
    """A change of a model that is being trained; `tensors` are its leaves, changed in place."""

    tensors: Sequence[Tensor]

    def additions(self) -> dict[str, Addition]:
        """Module name -> what is added to its output."""

    def patch(self) -> Patch:
        """The change of weights as it is now."""


def train(
    engine: TransformersEngine,
    change: Trainable,
    rounds: Sequence[Sequence[Sequence[Any]]],
    lr: float,
    losses: Losses = choice_losses,
    last: int | None = None,
    on_round: OnRound | None = None,
) -> list[float]:
    """Minimise the mean loss by AdamW (Loshchilov & Hutter 2019) with warm-up and cosine decay.

    Args:
        engine: with the model to start from loaded.
        change: what is trained.
        rounds: the items of each step of each round; the learning rate is planned for all of them.
        lr: peak learning rate.
        losses: of the items of a step.
        last: stop after so many rounds; None: after all.
        on_round: called while the change is in place.

    Returns:
        The mean loss of each round, taken while it went on.
    """
    tensors = list(change.tensors)
    groups = [{"params": tensors, "lr": lr}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
    factor = partial(warmup_cosine, steps=sum(map(len, rounds)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    history = []
    savings = _less_memory(engine)
    with training(engine.model, change.additions()), closing(savings):
        for number, steps in enumerate(rounds[:last], start=1):
            sums = []
            for items in steps:
                sums += _gradients(tensors, partial(losses, engine, items), len(items), savings)
                torch.nn.utils.clip_grad_norm_(tensors, _CLIP)
                optimizer.step()
                schedule.step()
                give_back_memory()
            history.append(sum(map(float, sums)) / sum(map(len, steps)))
            if on_round is not None:
                on_round(number, len(rounds), history[-1])
    return history


def _gradients(
    tensors: Sequence[Tensor],
    losses: Callable[[], Iterable[Tensor]],
    count: int,
    savings: Iterator[bool],
) -> list[Tensor]:
    """The sums of a step's losses, part by part; their gradients are in the tensors then.

    Where memory runs out it is done again with less.
    """
    for tensor in tensors:
        tensor.grad = None
    sums = []  # on their device, which need not be waited for
    try:
        for values in losses():
            (values.sum() / count).backward()
            sums.append(values.detach().sum())
        return sums
    except RuntimeError as error:
        if not (out_of_memory(error) and next(savings, False)):
            raise
    return _gradients(tensors, losses, count, savings)


def _less_memory(engine: TransformersEngine) -> Generator[bool]:
    """Take one measure against a lack of memory after the other, until it is closed."""
    with checkpointed_layers(engine.model):
        log.warning("out of memory: training goes on with gradient checkpointing")
        yield True
        while engine.halve_batches():
            log.warning("out of memory: training goes on with smaller batches")
            yield True


@contextmanager
def checkpointed_layers(model: Any) -> Iterator[None]:
    """Checkpoint the layers of a model in this context.

    That of transformers drops the keys and values that a layer is given: no shared prefix.
    """
    layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer.forward = partial(_checkpointed, layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _checkpointed(forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """A layer's pass; one that fills a cache, as that of a shared prefix does, is made once."""
    caches = [value for value in (*inputs, *options.values()) if isinstance(value, Cache)]
    if all(isinstance(cache, PrefixCache) for cache in caches):
        options |= {"use_reentrant": False, "preserve_rng_state": False}
        return checkpoint(forward, *inputs, **options)
    return forward(*inputs, **options)


def warmup_cosine(step: int, steps: int) -> float:
    """Fraction of the peak learning rate: linear warm-up, then cosine decay to a small floor."""
    warmup = max(1, int(_WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


@contextmanager
def training(model: Any, additions: Mapping[str, Addition]) -> Iterator[None]:
    """Add these to the outputs of linear layers, by module name, and let gradients flow.

    It is undone at the end. The weights of the model are frozen. On a CPU the backward pass of
    plain matrix products is faster than that of the fused attention kernel.

    Raises:
        AttributeError: the model has no such module.
    """
    attention = model.config._attn_implementation
    unfrozen = [parameter for parameter in model.parameters() if parameter.requires_grad]
    hooks = [
        model.get_submodule(name).register_forward_hook(partial(_add, addition))
        for name, addition in additions.items()
    ]
    try:
        model.requires_grad_(False)
        if model.device.type == "cpu" and attention != PACKED:
            model.set_attn_implementation("eager")
        with torch.enable_grad():
            yield
    finally:
        for hook in hooks:
            hook.remove()
        model.set_attn_implementation(attention)
        for parameter in unfrozen:
            parameter.requires_grad_(True)


def _add(addition: Addition, module: object, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return output + addition(inputs[0]).to(output.dtype)


__all__ = ["Addition", "OnRound", "Trainable", "train", "training", "warmup_cosine"]
