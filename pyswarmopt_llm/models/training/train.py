"""Train one LoRA expert on chats: a frozen base with a peft adapter and a plain training loop, for two CPU cores.

LoRA (Hu et al. 2021, arXiv 2106.09685) with the adapter in float32; AdamW, linear warm-up and cosine decay; the loss
covers the last assistant turn only.
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
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.models.adapters.write import PREFIX, write_adapter
from pyswarmopt_llm.models.base import BaseModel, load_model
from pyswarmopt_llm.models.engines.hardware import pick_dtype
from pyswarmopt_llm.models.files import check_free
from pyswarmopt_llm.models.training.chat_batches import ChatTokens, encode_chat, left_padded, length_buckets
from pyswarmopt_llm.models.training.schedule import warmup_cosine

OnStep = Callable[[int, int, float], None]


@dataclass(frozen=True)
class TrainingOptions:
    """How an expert is trained.

    Attributes:
        rank: LoRA rank r.
        alpha: LoRA alpha; the scale is alpha / r.
        targets: names of the modules that get an adapter.
        lr: peak learning rate.
        max_tokens: training budget in tokens, excluding padding.
        epochs: maximum number of passes over the examples.
        batch_tokens: tokens per step, including padding.
        max_len: longer chats are truncated to this many tokens.
        seed: seed of the initial adapter, the held-out split and the order; the global random state is not used.
        heldout: number of held-out examples, at most a fifth of all.
        threads: CPU threads; default: torch's current setting.
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

    def __str__(self) -> str:
        targets = ", ".join(self.targets)
        return f"r={self.rank}, alpha={self.alpha:g}, targets {targets}; AdamW, peak lr {self.lr:g}, seed {self.seed}"


@dataclass(frozen=True)
class TrainingResult:
    """Counts and losses of a training run; a loss is the mean over examples of the mean over answer tokens, in nats.

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
    options: TrainingOptions = TrainingOptions(),
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    data: str = "",
    on_step: OnStep | None = None,
) -> TrainingResult:
    """Train a LoRA adapter and write it to `out` as bf16 safetensors, with a model card.

    Args:
        base: the frozen model, from `resolve_base`.
        examples: chats ``{"messages": [{"role": ..., "content": ...}, ...]}`` that end with the assistant's turn.
        out: the directory to create.
        options: adapter, optimiser and budget.
        dtype: dtype of the frozen base; default: bfloat16 where the device multiplies it natively.
        device: device to train on.
        data: description of the examples, for the card.
        on_step: called as ``on_step(step, steps, loss)`` after each step, counted from 1.

    Raises:
        UserError: `out` exists, an example is malformed, no example is left, or a target is not in the model.
    """
    out = Path(out)
    check_free(out)
    with _cpu_threads(options.threads):
        ready = _prepare(base, examples, options, dtype, device)
        before = mean_loss(ready.model, ready.held, ready.pad)
        start = time.perf_counter()
        losses = _fit(ready.model, ready.batches, ready.pad, options.lr, on_step)
        seconds = time.perf_counter() - start
        result = TrainingResult(
            name=out.resolve().name,
            examples=ready.examples,
            heldout=len(ready.held),
            steps=len(ready.batches),
            tokens=ready.tokens,
            seconds=seconds,
            train_loss_first=fmean(losses[:20]),
            train_loss_last=fmean(losses[-20:]),
            heldout_loss_base=before,
            heldout_loss_expert=mean_loss(ready.model, ready.held, ready.pad),
        )
    write_adapter(
        out,
        _factors(ready.model),
        base_model_name=base.name,
        target_modules=options.targets,
        alpha=options.alpha,
        card=expert_card(result, base.name, data, options, "loss on the answers only"),
    )
    return result


@dataclass(frozen=True)
class TrainingCost:
    """What a training would take: optimiser steps, tokens without padding, and seconds from one timed step."""

    steps: int
    tokens: int
    seconds: float


def training_cost(
    base: BaseModel,
    examples: Sequence[Mapping[str, Any]],
    options: TrainingOptions = TrainingOptions(),
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> TrainingCost:
    """The cost of `train_expert` with these arguments, from a batch of middle length that is trained on twice.

    Raises:
        UserError: as `train_expert`.
    """
    with _cpu_threads(options.threads):
        ready = _prepare(base, examples, options, dtype, device)
        sample = sorted(ready.batches, key=lambda batch: sum(len(chat.ids) for chat in batch))[len(ready.batches) // 2]
        _fit(ready.model, [sample], ready.pad, options.lr, None)  # warms up
        start = time.perf_counter()
        _fit(ready.model, [sample], ready.pad, options.lr, None)
        trained = time.perf_counter()
        mean_loss(ready.model, sample, ready.pad)
        scored = time.perf_counter()
    tokens, held = sum(len(chat.ids) for chat in sample), sum(len(chat.ids) for chat in ready.held)
    seconds = (ready.tokens * (trained - start) + 2 * held * (scored - trained)) / tokens
    return TrainingCost(len(ready.batches), ready.tokens, seconds)


@dataclass(frozen=True)
class _Ready:
    """What training works with: the model with its new adapter, held-out chats, and the batches in their order."""

    model: Any
    pad: int
    examples: int
    held: Sequence[ChatTokens]
    batches: Sequence[Sequence[ChatTokens]]

    @property
    def tokens(self) -> int:
        """Trained on, without padding."""
        return sum(len(chat.ids) for batch in self.batches for chat in batch)


def _prepare(
    base: BaseModel,
    examples: Sequence[Mapping[str, Any]],
    options: TrainingOptions,
    dtype: torch.dtype | None,
    device: torch.device | str,
) -> _Ready:
    rng = random.Random(options.seed)
    model, tokenizer = load_model(base, dtype or pick_dtype("auto", torch.device(device)))
    chats = encode_chat(tokenizer, examples, options.max_len)
    rng.shuffle(chats)
    kept = min(options.heldout, len(chats) // 5)
    held, train = chats[:kept], chats[kept:]
    if not train:
        raise UserError("no training example is left; give more examples, or a larger max_len")
    # On CPU the backward pass of plain matrix products beats that of the fused attention kernel.
    model.set_attn_implementation("eager")
    model = _with_lora(model, options).to(device)
    return _Ready(model, tokenizer.pad_token_id, len(train), held, _batches(train, options, rng))


def _fit(
    model: Any, batches: Sequence[Sequence[ChatTokens]], pad: int, lr: float, on_step: OnStep | None
) -> list[float]:
    """One optimiser step per batch; the loss of each."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, len(batches)))
    losses = []
    for step, batch in enumerate(batches, start=1):
        loss = _loss(model, batch, pad)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if on_step is not None:
            on_step(step, len(batches), losses[-1])
    return losses


@torch.no_grad()
def mean_loss(model: Any, chats: Sequence[ChatTokens], pad: int) -> float:
    """Mean loss over `chats`; nan if there are none."""
    by_length = sorted(chats, key=lambda chat: len(chat.ids))
    parts = [by_length[i : i + 8] for i in range(0, len(by_length), 8)]
    total = sum(_loss(model, part, pad).item() * len(part) for part in parts)
    return total / len(chats) if chats else math.nan


def _loss(model: Any, chats: Sequence[ChatTokens], pad: int) -> Tensor:
    """Mean over chats of the mean over answer tokens, so that short answers count as much as long ones."""
    batch, device = left_padded(chats, pad), model.device
    width = max(chat.answer for chat in chats)  # answers end in the last column: only these need logits
    # As a tensor, not as a number: a slice of the hidden states is not contiguous, and on CPU the output
    # layer would then copy its whole weight for every row of the batch.
    columns = torch.arange(batch.ids.shape[1] - width - 1, batch.ids.shape[1], device=device)
    logits = model(
        input_ids=batch.ids.to(device),
        attention_mask=batch.attention.to(device),
        position_ids=batch.positions.to(device),
        use_cache=False,
        logits_to_keep=columns,
    ).logits[:, :-1]
    answers = batch.answers[:, -width:].to(device)
    ids = batch.ids[:, -width:].to(device)[answers]
    loss = F.cross_entropy(logits[answers].float(), ids, reduction="none")
    tokens = answers.sum(1)[answers.nonzero()[:, 0]]
    return (loss / tokens).sum() / len(chats)


def _batches(chats: Sequence[ChatTokens], options: TrainingOptions, rng: random.Random) -> list[list[ChatTokens]]:
    """Batches, epoch after epoch, until the budget of tokens or epochs is spent."""
    budget = min(options.max_tokens, options.epochs * sum(len(chat.ids) for chat in chats))
    found: list[list[ChatTokens]] = []
    tokens = 0
    while tokens < budget:
        for batch in length_buckets([len(chat.ids) for chat in chats], options.batch_tokens, rng):
            found.append([chats[i] for i in batch])
            tokens += sum(len(chat.ids) for chat in found[-1])
            if tokens >= budget:
                break
    return found


def _with_lora(model: Any, options: TrainingOptions) -> Any:
    """The model with a new adapter: A random from the seed, B zero."""
    import peft

    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(options.targets),
        task_type="CAUSAL_LM",
    )
    # peft draws A from torch's global CPU generator: seed it here and restore it. The warning is about a
    # property of transformers that peft still uses under its old name.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(category=FutureWarning, action="ignore"):
        torch.default_generator.manual_seed(options.seed)
        try:
            return peft.get_peft_model(model, config)
        except ValueError as error:
            raise UserError(f"targets {', '.join(options.targets)}: no such linear layers in the base") from error


def _factors(model: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Module name -> (b, a) of the trained adapter, bf16 on the CPU."""
    from peft import get_peft_model_state_dict

    tensors = {name: p.detach().to("cpu", torch.bfloat16) for name, p in get_peft_model_state_dict(model).items()}
    suffix = ".lora_A.weight"
    return {
        name.removeprefix(PREFIX).removesuffix(suffix): (tensors[name.replace("lora_A", "lora_B")], tensor)
        for name, tensor in tensors.items()
        if name.endswith(suffix)
    }


@contextmanager
def _cpu_threads(threads: int | None) -> Iterator[None]:
    """Run the block with this many CPU threads and restore the previous number."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def expert_card(result: TrainingResult, base_name: str, data: str, options: TrainingOptions, loss: str) -> str:
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
- data: {data or "not described"}; {result.examples} training examples, {result.heldout} held out
- LoRA: {options}
- training: {result.steps} steps, {result.tokens} tokens, {result.seconds:.0f} s, {loss}
- training loss: {result.train_loss_first:.4f} (first steps) -> {result.train_loss_last:.4f} (last steps)
{heldout}"""
