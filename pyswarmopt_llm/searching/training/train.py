"""Train one LoRA expert on chats, and write an expert that was trained with its card.

LoRA (Hu et al. 2021, arXiv 2106.09685) with the adapter in float32, by the `Trainer`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.hardware import pick_dtype
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter
from pyswarmopt_llm.experts.base import BaseModel, load_model
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import check_free
from pyswarmopt_llm.experts.write import write_adapter
from pyswarmopt_llm.searching.training.chats import chat_losses, chat_steps, encode_chat, mean_loss
from pyswarmopt_llm.searching.training.lora import Lora
from pyswarmopt_llm.searching.training.trainer import OnRound, Trainer, training


@dataclass(frozen=True)
class TrainingOptions:
    """Adapter, optimiser and budget of an expert.

    Attributes:
        rank: LoRA rank r.
        alpha: LoRA alpha; the scale is alpha / r.
        targets: names of the modules that get an adapter.
        lr: peak learning rate.
        max_tokens: training budget in tokens, excluding padding.
        epochs: maximum number of passes over the examples.
        batch_tokens: tokens per step, including padding.
        max_len: longer chats are truncated to this many tokens.
        seed: of the initial adapter, the held-out split and the order.
        heldout: number of held-out examples, at most a fifth of all.
        threads: CPU threads; default: torch's current setting.
        start: an adapter of this base to go on from, directory or hub id; its modules, ranks and
            scale are kept, so rank, alpha and targets have no effect. Default: a new one.
    """

    rank: int = 8
    alpha: float = 16
    targets: Sequence[str] = ("q_proj", "k_proj", "v_proj", "o_proj")
    lr: float = 5e-4
    max_tokens: int = 120_000
    epochs: float = 2.0
    batch_tokens: int = 1024
    max_len: int = 448
    seed: int = 0
    heldout: int = 60
    threads: int | None = None
    start: str | None = None

    def lora(self, base: BaseModel, model: Any) -> Lora:
        """The adapter of a model to train.

        Raises:
            UserError: a target is not in the model, or `start` does not fit the base.
        """
        if self.start is not None:
            report = inspect_experts([self.start], base)
            report.require("delta")
            return _Continued(load_adapter(report.experts[0]), model.device)
        shapes = target_shapes(model, self.targets)
        return Lora(shapes, self.rank, self.alpha / self.rank, self.seed, model.device)

    def __str__(self) -> str:
        shape = f"r={self.rank}, alpha={self.alpha:g}, targets {', '.join(self.targets)}"
        if self.start is not None:
            shape = f"trained further from {self.start}"
        return f"{shape}; AdamW, peak lr {self.lr:g}, seed {self.seed}"


@dataclass(frozen=True)
class TrainingResult:
    """Counts and losses of a training run; a loss is the mean over examples of the mean over answer
    tokens, in nats.

    Attributes:
        name: the expert's name, which is the directory's.
        examples: number of training examples.
        heldout: number of held-out examples.
        steps: optimiser steps.
        tokens: tokens processed, excluding padding.
        seconds: time of the steps.
        train_loss_first: mean over the first up to 20 steps.
        train_loss_last: mean over the last up to 20 steps.
        heldout_loss_base: held-out loss of the base (nan without held-out examples).
        heldout_loss_expert: held-out loss of the trained expert.
        cut: chats of which the end was cut off, since they are longer than `max_len` tokens.
        dropped: longer chats with nothing left of their answer, which were left out.
    """

    name: str
    examples: int
    heldout: int
    steps: int
    tokens: int
    seconds: float
    train_loss_first: float
    train_loss_last: float
    heldout_loss_base: float
    heldout_loss_expert: float
    cut: int = 0
    dropped: int = 0


def train_expert(
    base: BaseModel,
    examples: Sequence[Mapping[str, Any]],
    out: str | Path,
    options: TrainingOptions = TrainingOptions(),
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    data: str = "",
    on_step: OnRound | None = None,
) -> TrainingResult:
    """Train a LoRA adapter and write it to `out` as bf16 safetensors, with a model card.

    Args:
        base: the frozen model, from `resolve_base`.
        examples: chats ``{"messages": [{"role": ..., "content": ...}, ...]}`` that end with the
            assistant's turn.
        out: the directory to create.
        options: adapter, optimiser and budget.
        dtype: dtype of the frozen base; default: bfloat16 where the device multiplies it natively.
        device: device to train on.
        data: description of the examples, for the card.
        on_step: called as ``on_step(step, steps, loss)`` after each step, counted from 1.

    Raises:
        UserError: `out` exists, an example is malformed, no example is left, or a target is not in
            the model.
    """
    out = Path(out)
    check_free(out)
    with _cpu_threads(options.threads):
        dtype = dtype or pick_dtype("auto", torch.device(device))
        model, tokenizer = load_model(base, dtype, device)
        draws = random.Random(options.seed)
        chats = encode_chat(tokenizer, examples, options.max_len)
        cut, dropped = sum(chat.cut for chat in chats), len(examples) - len(chats)
        draws.shuffle(chats)
        kept = min(options.heldout, len(chats) // 5)
        heldout, chats = chats[:kept], chats[kept:]
        if not chats:
            raise UserError("no training example is left; give more examples, or a larger max_len")
        lora = options.lora(base, model)
        steps = chat_steps(chats, options.max_tokens, options.epochs, options.batch_tokens, draws)
        pad = tokenizer.pad_token_id
        rounds = [[step] for step in steps]
        trainer = Trainer(model, lora, partial(chat_losses, model, pad), rounds, options.lr)
        heldout_loss_base = mean_loss(model, heldout, pad)
        start = time.perf_counter()
        losses = trainer.run(on_round=on_step)
        seconds = time.perf_counter() - start
        with training(model, lora.additions()):
            heldout_loss_expert = mean_loss(model, heldout, pad)
    result = TrainingResult(
        name=out.resolve().name,
        examples=len(chats),
        heldout=len(heldout),
        steps=trainer.steps,
        tokens=sum(len(chat.ids) for step in steps for chat in step),
        seconds=seconds,
        train_loss_first=fmean(losses[:20]),
        train_loss_last=fmean(losses[-20:]),
        heldout_loss_base=heldout_loss_base,
        heldout_loss_expert=heldout_loss_expert,
        cut=cut,
        dropped=dropped,
    )
    write_expert(out, lora, result, base.name, data, options, "loss on the answers only")
    return result


def write_expert(
    out: Path,
    lora: Lora,
    result: TrainingResult,
    base_name: str,
    data: str,
    options: TrainingOptions,
    loss: str,
) -> None:
    """Write a trained adapter with its card, which describes the data and the loss."""
    before, after = result.heldout_loss_base, result.heldout_loss_expert
    heldout = (
        f"- held-out loss: {before:.4f} (base) -> {after:.4f} (expert)\n" if result.heldout else ""
    )
    card = f"""---
base_model: {base_name}
library_name: peft
tags: [lora]
---

# LoRA expert `{result.name}`

- base: {base_name}
- data: {data or "not described"}; {result.examples} training examples, {result.heldout} held out
- LoRA: {options}
- training: {result.steps} steps, {result.tokens} tokens, {result.seconds:.0f} s, {loss}
- training loss: {result.train_loss_first:.4f} (first steps) -> {result.train_loss_last:.4f} (last steps)
{heldout}"""
    new = options.start is None
    scale = lora.scale if new else 1.0  # the rest of it stays in B
    factors = {
        name.removesuffix(".weight"): (
            (change.b / scale).to(torch.bfloat16),
            change.a.to(torch.bfloat16),
        )
        for name, change in lora.patch().low_rank.items()
    }
    write_adapter(
        out,
        factors,
        base_model_name=base_name,
        target_modules=options.targets if new else factors,
        alpha=options.alpha if new else None,
        card=card,
    )


class _Continued(Lora):
    """An adapter to be trained further: its modules and ranks, and the scale of the first module, to
    which other scales are brought in B.
    """

    def __init__(self, adapter: Adapter, device: torch.device | str) -> None:
        super().__init__({}, 1, next(iter(adapter.factors.values())).scale, 0)
        for module, factors in adapter.factors.items():
            b = factors.b * (factors.scale / self.scale)
            self._a[module] = factors.a.to(device).requires_grad_()
            self._b[module] = b.to(device).requires_grad_()
        self.tensors = [*self._a.values(), *self._b.values()]


def target_shapes(model: Any, targets: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Linear layers whose names, or their last parts, are these -> (out, in) of their weights.

    Raises:
        UserError: the model has no such layer.
    """
    endings = tuple(f".{target}" for target in targets)
    shapes = {
        name: (layer.out_features, layer.in_features)
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and f".{name}".endswith(endings)
    }
    if not shapes:
        raise UserError(f"targets {', '.join(targets)}: no such linear layers in the base")
    return shapes


@contextmanager
def _cpu_threads(threads: int | None) -> Iterator[None]:
    """Run the block with this many CPU threads and restore the previous number."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


__all__ = ["TrainingOptions", "TrainingResult", "train_expert", "write_expert"]
