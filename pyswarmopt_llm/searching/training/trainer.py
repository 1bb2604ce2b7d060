"""The training loop: AdamW on a change of a frozen model, whatever the change and the loss are.

A change is a function of a linear layer's input that is added to its output, so that the resident
model stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from pyswarmopt_llm.common.hardware import give_back_memory, out_of_memory
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.packed_attention import NAME as PACKED
from pyswarmopt_llm.searching.training.backward import short_norms

_CLIP = 1.0  # largest norm of the gradient
_WARMUP = 0.05  # fraction of the steps
_FLOOR = 0.05  # fraction of the peak learning rate at the last step

Item = TypeVar("Item")

Addition = Callable[[Tensor], Tensor]
"""Input of a linear layer, (..., in) -> what is added to its output, (..., out)."""

OnRound = Callable[[int, int, float], None]
"""Called with the number of rounds done, of all rounds, and the mean loss of the last one."""


class Trainable(Protocol):
    """A change of a model that is being trained; `tensors` are its leaves, changed in place."""

    tensors: Sequence[Tensor]

    def additions(self) -> dict[str, Addition]:
        """Module name -> what is added to its output."""

    def patch(self) -> Patch:
        """The change of weights as it is now."""


@dataclass(frozen=True)
class Trainer(Generic[Item]):
    """Minimise the mean loss by AdamW (Loshchilov & Hutter 2019) with warm-up and cosine decay.

    Attributes:
        model: the model to start from, as it is loaded.
        change: what is trained.
        losses: the items of a step -> their losses, part by part, each (items of the part,) with
            its graph.
        rounds: the items of each step of each round; the learning rate is planned for all of them.
        lr: peak learning rate.
        smaller: makes the parts of a step smaller, and says whether that was possible.
    """

    model: Any
    change: Trainable
    losses: Callable[[Sequence[Item]], Iterable[Tensor]]
    rounds: Sequence[Sequence[Sequence[Item]]]
    lr: float
    smaller: Callable[[], bool] = lambda: False

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return sum(map(len, self.rounds))

    def run(self, last: int | None = None, on_round: OnRound | None = None) -> list[float]:
        """Train, and return the mean loss of each round, taken while it went on.

        Args:
            last: stop after so many rounds; None: after all.
            on_round: called while the change is in place.
        """
        tensors = list(self.change.tensors)
        groups = [{"params": tensors, "lr": self.lr}]
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
        factor = partial(warmup_cosine, steps=self.steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        history = []
        from pyswarmopt_llm.searching.training.checkpointing import less_memory

        with training(self.model, self.change.additions()), ExitStack() as stack:
            savings = less_memory(self.model, self.smaller, stack)
            for number, steps in enumerate(self.rounds[:last], start=1):
                sums = []
                for items in steps:
                    sums += self._gradients(items, savings)
                    torch.nn.utils.clip_grad_norm_(tensors, _CLIP)
                    optimizer.step()
                    schedule.step()
                    give_back_memory()
                history.append(sum(map(float, sums)) / sum(map(len, steps)))
                if on_round is not None:
                    on_round(number, len(self.rounds), history[-1])
        return history

    def _gradients(self, items: Sequence[Item], savings: Iterator[bool]) -> list[Tensor]:
        """The sums of a step's losses, part by part; their gradients are in the tensors then.

        Where memory runs out it is done again with less.
        """
        for tensor in self.change.tensors:
            tensor.grad = None
        sums = []  # on their device, which need not be waited for
        try:
            for values in self.losses(items):
                (values.sum() / len(items)).backward()
                sums.append(values.detach().sum())
            return sums
        except RuntimeError as error:
            if not (out_of_memory(error) and next(savings, False)):
                raise
        return self._gradients(items, savings)


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
    hooks = []
    for name, addition in additions.items():
        hooks.append(model.get_submodule(name).register_forward_hook(partial(_add, addition)))
    try:
        model.requires_grad_(False)
        if model.device.type == "cpu" and attention != PACKED:
            model.set_attn_implementation("eager")
        with torch.enable_grad(), short_norms(model):
            yield
    finally:
        for hook in hooks:
            hook.remove()
        model.set_attn_implementation(attention)
        for parameter in unfrozen:
            parameter.requires_grad_(True)


def _add(addition: Addition, module: object, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return output + addition(inputs[0]).to(output.dtype)


__all__ = ["Addition", "OnRound", "Trainable", "Trainer", "training", "warmup_cosine"]
