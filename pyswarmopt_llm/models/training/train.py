"""Train one LoRA expert on chat examples: small enough for two CPU cores, the same recipe for every expert.

LoRA (Hu et al. 2021, arXiv 2106.09685) on a frozen base, the adapter in float32 while it is trained; AdamW,
linear warm-up and cosine decay; loss on the last assistant turn only.
"""

from __future__ import annotations

import math
import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.models.adapters.write import PREFIX, write_adapter
from pyswarmopt_llm.models.base import BaseModel, load_model
from pyswarmopt_llm.models.files import check_free
from pyswarmopt_llm.models.training.chat_batches import ChatTokens, encode_chat, left_padded, length_buckets

_WARMUP = 0.05  # share of the steps
_FLOOR = 0.05  # share of the learning rate that is left at the end


@dataclass(frozen=True)
class TrainingResult:
    """What a training did; losses are natural-log, means over examples of the mean over answer tokens.

    Attributes:
        name: the expert's name, which is the directory's.
        examples: training examples.
        heldout: examples kept apart for the held-out loss.
        steps: optimiser steps.
        tokens: tokens seen, without padding.
        seconds: time of the steps.
        train_loss_first: mean over the first up to 20 steps.
        train_loss_last: mean over the last up to 20 steps.
        heldout_loss_base: held-out loss of the base (nan without held-out examples).
        heldout_loss_expert: held-out loss of the trained expert.
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


def train_expert(
    base: BaseModel,
    examples: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    rank: int = 8,
    alpha: float = 16,
    targets: Sequence[str] = ("q_proj", "k_proj", "v_proj", "o_proj"),
    lr: float = 5e-4,
    max_tokens: int = 120_000,
    epochs: float = 2.0,
    batch_tokens: int = 1024,
    max_len: int = 448,
    seed: int = 0,
    heldout: int = 60,
    threads: int | None = None,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
    data: str = "",
    on_step: Callable[[int, int, float], None] | None = None,
) -> TrainingResult:
    """Train a LoRA adapter and write it, with its card, into `out`.

    Args:
        base: the frozen model, from `resolve_base`.
        examples: chats ``{"messages": [{"role": ..., "content": ...}, ...]}``, the assistant's turn last.
        out: the directory to make.
        rank: LoRA rank r.
        alpha: LoRA alpha; the scale is alpha / r.
        targets: names of the modules that get an adapter.
        lr: peak learning rate.
        max_tokens: training budget in tokens without padding.
        epochs: at most so many passes over the examples.
        batch_tokens: padded tokens per step.
        max_len: longer chats are cut.
        seed: of the initial adapter, the held-out split and the order; the global random state is left alone.
        heldout: examples for the held-out loss, at most a fifth of all.
        threads: CPU threads; the default keeps torch's setting.
        dtype: of the frozen base.
        device: where to train.
        data: what the examples are, for the card.
        on_step: called as ``on_step(step, steps, loss)`` after each step, from 1.

    Returns:
        Counts and losses. The adapter is stored as bf16 safetensors.

    Raises:
        UserError: `out` exists, an example is malformed, no example is left, or a target is not in the model.
    """
    out = Path(out)
    check_free(out)
    rng = random.Random(seed)
    with _torch_threads(threads):
        model, tokenizer = load_model(base, dtype)
        chats = encode_chat(tokenizer, examples, max_len)
        rng.shuffle(chats)
        kept = min(heldout, len(chats) // 5)
        held, train = chats[:kept], chats[kept:]
        if not train:
            raise UserError("no training example is left; give more examples, or a larger max_len")
        # On CPU the backward pass of plain matrix products beats that of the fused attention kernel.
        model.set_attn_implementation("eager")
        model = _with_lora(model, rank, alpha, targets, seed).to(device)
        trainer = _Trainer(model, tokenizer.pad_token_id, lr)
        before = trainer.loss(held)
        plan = _plan(train, min(max_tokens, epochs * sum(len(c.ids) for c in train)), batch_tokens, rng)
        start = time.perf_counter()
        losses = trainer.run(plan, on_step)
        seconds = time.perf_counter() - start
        result = TrainingResult(
            name=out.resolve().name,
            examples=len(train),
            heldout=len(held),
            steps=len(plan),
            tokens=sum(len(chat.ids) for batch in plan for chat in batch),
            seconds=seconds,
            train_loss_first=_mean(losses[:20]),
            train_loss_last=_mean(losses[-20:]),
            heldout_loss_base=before,
            heldout_loss_expert=trainer.loss(held),
        )
    setting = f"r={rank}, alpha={alpha:g}, targets {', '.join(targets)}; AdamW, peak lr {lr:g}, seed {seed}"
    write_adapter(
        out,
        _factors(model),
        base_model_name=base.name,
        target_modules=targets,
        alpha=alpha,
        card=_card(result, base.name, data, setting),
    )
    return result


class _Trainer:
    """One adapter, its optimiser and its loss."""

    def __init__(self, model: Any, pad: int, lr: float) -> None:
        self._model, self._pad, self._lr = model, pad, lr
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(self._parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)

    def run(
        self, plan: Sequence[Sequence[ChatTokens]], on_step: Callable[[int, int, float], None] | None
    ) -> list[float]:
        """One step per batch; the loss of each."""
        losses = []
        for step, batch in enumerate(plan):
            for group in self._optimizer.param_groups:
                group["lr"] = self._lr * _warmup_cosine(step, len(plan))
            loss = self._batch_loss(batch)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
            self._optimizer.step()
            losses.append(loss.item())
            if on_step is not None:
                on_step(step + 1, len(plan), losses[-1])
        return losses

    @torch.no_grad()
    def loss(self, chats: Sequence[ChatTokens]) -> float:
        """Mean loss over `chats`, nan if there are none."""
        by_length = sorted(chats, key=lambda chat: len(chat.ids))
        parts = [by_length[i : i + 8] for i in range(0, len(by_length), 8)]
        total = sum(self._batch_loss(part).item() * len(part) for part in parts)
        return total / len(chats) if chats else math.nan

    def _batch_loss(self, chats: Sequence[ChatTokens]) -> Tensor:
        """Mean over chats of the mean over answer tokens, so that short answers count like long ones."""
        batch = left_padded(chats, self._pad)
        device = self._parameters[0].device
        width = max(chat.answer for chat in chats)  # answers end in the last column: only these need logits
        # As a tensor, not as a number: a slice of the hidden states is not contiguous, and on CPU the output
        # layer would then copy its whole weight for every row of the batch.
        columns = torch.arange(batch.ids.shape[1] - width - 1, batch.ids.shape[1], device=device)
        logits = self._model(
            input_ids=batch.ids.to(device),
            attention_mask=batch.attention.to(device),
            position_ids=batch.positions.to(device),
            use_cache=False,
            logits_to_keep=columns,
        ).logits[:, :-1]
        wanted = batch.answers[:, -width:].to(device)
        row = wanted.nonzero()[:, 0]
        ids = batch.ids[:, -width:].to(device)[wanted]
        loss = F.cross_entropy(logits[wanted].float(), ids, reduction="none")
        share = wanted.sum(1)[row]
        return (loss / share).sum() / len(chats)


def _warmup_cosine(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then cosine decay to a small floor."""
    warmup = max(1, int(_WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * progress))


def _plan(chats: Sequence[ChatTokens], budget: float, batch_tokens: int, rng: random.Random) -> list[list[ChatTokens]]:
    """Batches, pass after pass, until `budget` tokens are seen."""
    plan: list[list[ChatTokens]] = []
    tokens = 0
    while tokens < budget:
        for batch in length_buckets([len(chat.ids) for chat in chats], batch_tokens, rng):
            plan.append([chats[i] for i in batch])
            tokens += sum(len(chat.ids) for chat in plan[-1])
            if tokens >= budget:
                break
    return plan


def _with_lora(model: Any, rank: int, alpha: float, targets: Sequence[str], seed: int) -> Any:
    """The model with a fresh adapter on `targets`: A random from `seed`, B zero."""
    import peft

    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(targets),
        task_type="CAUSAL_LM",
    )
    # peft draws A from torch's global CPU generator: lend it out, seeded, and put it back as it was. It also asks
    # transformers for a property by its old name, which is nothing to tell a user.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(category=FutureWarning, action="ignore"):
        torch.default_generator.manual_seed(seed)
        try:
            return peft.get_peft_model(model, config)
        except ValueError as error:
            raise UserError(f"targets {', '.join(targets)}: no such linear layers in the base") from error


def _factors(model: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Module name -> (b, a) of the trained adapter, bf16 on the CPU."""
    tensors = {name: p.detach().to("cpu", torch.bfloat16) for name, p in model.named_parameters() if p.requires_grad}
    suffix = ".lora_A.default.weight"
    return {
        name.removeprefix(PREFIX).removesuffix(suffix): (tensors[name.replace("lora_A", "lora_B")], tensor)
        for name, tensor in tensors.items()
        if name.endswith(suffix)
    }


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    """Run the block with so many CPU threads, then set back what was there."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _card(result: TrainingResult, base_name: str, data: str, setting: str) -> str:
    """README.md of the expert."""
    before, after = result.heldout_loss_base, result.heldout_loss_expert
    heldout = f"- held-out loss: {before:.4f} (base) -> {after:.4f} (expert)\n" if result.heldout else ""
    return f"""---
base_model: {base_name}
library_name: peft
tags: [lora]
---

# LoRA expert `{result.name}`

- base: {base_name}
- data: {data or "not described"}; {result.examples} examples to train on, {result.heldout} held out
- LoRA: {setting}
- training: {result.steps} steps, {result.tokens} tokens, {result.seconds:.0f} s, loss on the answers only
- training loss: {result.train_loss_first:.4f} (first steps) -> {result.train_loss_last:.4f} (last steps)
{heldout}"""


__all__ = ["TrainingResult", "train_expert"]
