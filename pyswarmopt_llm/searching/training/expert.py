"""Train a LoRA expert on chats, or to choose among options, and write it with its card.

LoRA (Hu et al. 2021, arXiv 2106.09685) with the adapter in float32, by `trainer.train`.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.engine.turns import split_chat
from pyswarmopt_llm.experts.adapter import Adapter, load_adapter
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import check_free, write_adapter
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.scoring.parents import may_be_on_hub
from pyswarmopt_llm.searching.training.examples import TrainingOptions, questions_in_card
from pyswarmopt_llm.searching.training.trainer import Lora, OnRound, shuffled, train


@dataclass(frozen=True)
class TrainingResult:
    """Counts and losses of a training run. Losses are means over examples, in nats; a chat's loss
    is the mean over its answer's tokens.

    Attributes:
        name: name of the expert and of its directory.
        examples: number of training examples.
        heldout: number of held-out examples.
        steps: optimiser steps.
        tokens: processed tokens; a prefix shared within a step counts once.
        seconds: time of the steps.
        train_loss_first: mean loss over the first quarter of the steps, at most 20.
        train_loss_last: mean loss over as many steps at the end.
        heldout_loss_base: held-out loss of the base (nan without held-out examples).
        heldout_loss_expert: held-out loss of the trained expert.
        cut: chats truncated to `max_len` tokens.
        dropped: longer chats without any of their answer left, and so unused.

    Example:
        >>> turns = [("user", "2 + 2?"), ("assistant", "4")]  # doctest: +SKIP
        >>> chat = {"messages": [{"role": who, "content": what} for who, what in turns]}  # doctest: +SKIP
        >>> options = TrainingOptions(max_tokens=200, targets=("q_proj", "v_proj"))  # doctest: +SKIP
        >>> result = train_expert(resolve_base("my/base"), [chat] * 20, "experts/mine", options)  # doctest: +SKIP
        >>> result.steps, result.heldout_loss_base - result.heldout_loss_expert  # doctest: +SKIP
        (118, 0.41)
    """

    name: str
    examples: int
    heldout: int
    steps: int
    tokens: int
    seconds: float
    train_loss_first: float
    train_loss_last: float
    heldout_loss_base: float = math.nan
    heldout_loss_expert: float = math.nan
    cut: int = 0
    dropped: int = 0


def train_expert(
    base: BaseModel,
    examples: Sequence[Any],
    out: str | Path,
    options: TrainingOptions = TrainingOptions(),
    *,
    loss: Literal["answer", "options"] = "answer",
    dtype: str = "auto",
    device: str = "auto",
    data: str = "",
    on_step: OnRound | None = None,
) -> TrainingResult:
    """Train a LoRA adapter and write it to `out` as bf16 safetensors, with a model card.

    Args:
        base: the frozen model, from `resolve_base`.
        examples: chats ``{"messages": [{"role": ..., "content": ...}, ...]}`` that end with the
            assistant's turn, for loss ``answer``; multiple-choice `Item`s for ``options``.
        out: the directory to create.
        options: adapter, optimiser and budget; for items, `epochs` is rounded up, and batch size,
            length and held-out examples are ignored.
        loss: ``answer``, or ``options``: cross-entropy over the options, scored by likelihood as in
            a search.
        dtype: dtype of the frozen base; auto: bfloat16 where the device multiplies it natively.
        device: training device.
        data: description of the examples, for the card.
        on_step: called as ``on_step(step, steps, loss)`` after each step, counted from 1.

    Returns:
        Counts and losses of the training.

    Raises:
        UserError: `out` exists, an example is malformed, no example is left, a target is not in the
            model, or `start` does not fit the base.

    Example:
        >>> turns = [("user", "2 + 2?"), ("assistant", "4")]  # doctest: +SKIP
        >>> chat = {"messages": [{"role": who, "content": what} for who, what in turns]}  # doctest: +SKIP
        >>> options = TrainingOptions(max_tokens=200, targets=("q_proj", "v_proj"))  # doctest: +SKIP
        >>> result = train_expert(resolve_base("my/base"), [chat] * 20, "experts/sums", options)  # doctest: +SKIP
        >>> result.name, result.examples  # doctest: +SKIP
        ('sums', 16)
    """
    out = Path(out)
    check_free(out)
    engine = load_engine(base, dtype, device, options.threads)
    lora = _lora(base, engine.model, options)
    given = (_from_chats if loss == "answer" else _from_items)(engine, examples, options)
    before = _mean_loss(engine, given.heldout)
    fed = engine.tokens_fed
    start = time.perf_counter()
    losses = train(engine, lora, [[step] for step in given.steps], options.lr, on_round=on_step)
    seconds = time.perf_counter() - start
    tokens = engine.tokens_fed - fed
    after = math.nan
    if given.heldout:
        engine.load(lora.patch())
        after = _mean_loss(engine, given.heldout)
    shown = max(1, min(20, len(losses) // 4))
    result = TrainingResult(
        name=out.resolve().name,
        examples=given.examples,
        heldout=len(given.heldout),
        steps=len(losses),
        tokens=tokens,
        seconds=seconds,
        train_loss_first=fmean(losses[:shown]),
        train_loss_last=fmean(losses[-shown:]),
        heldout_loss_base=before,
        heldout_loss_expert=after,
        cut=given.cut,
        dropped=given.dropped,
    )
    card = _card(result, base.name, f"{data or 'not described'}; loss of {loss}", options)
    card += f"\n{questions_in_card(examples)}\n"
    _write(out, lora, base.name, options, card)
    return result


def _write(out: Path, lora: Lora, base_name: str, options: TrainingOptions, card: str) -> None:
    """Write a trained LoRA as an adapter in bf16."""
    new = options.start is None
    scale = lora.scale if new else 1.0  # a continued adapter keeps its scale in B
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


class _Given(NamedTuple):
    """Training data: the items of each step, the number of distinct examples, and held-out ones."""

    steps: Sequence[Sequence[Choices]]
    examples: int
    heldout: Sequence[Choices] = ()
    cut: int = 0
    dropped: int = 0


def _from_items(
    engine: TransformersEngine, items: Sequence[Item], options: TrainingOptions
) -> _Given:
    choices = Accuracy(items, "likelihood", engine.chat).choices()
    if not choices:
        raise InvalidOption(
            "loss", "options", "no example has a right answer; give a task with answers"
        )
    epochs = shuffled(choices, math.ceil(options.epochs), options.seed)
    return _Given([*chain.from_iterable(epochs)], len(choices))


def _from_chats(
    engine: TransformersEngine, chats: Sequence[Any], options: TrainingOptions
) -> _Given:
    items, cut = chat_items(engine, chats, options.max_len)
    draws = random.Random(options.seed)
    draws.shuffle(items)
    held = min(options.heldout, len(items) // 5)
    trained = items[held:]
    if not trained:
        raise UserError("no training example is left; give more examples, or a larger max_len")
    steps = _chat_steps(engine, trained, options, draws)
    return _Given(steps, len(trained), items[:held], cut, len(chats) - len(items))


def chat_items(
    engine: TransformersEngine, examples: Sequence[Any], max_len: int
) -> tuple[list[Choices], int]:
    """Chats as prompts and answers, each weighted by 1 / (tokens of the answer) so that short
    answers count like long ones; and the number of chats truncated to `max_len` tokens.

    Chats without any of their answer left are dropped.

    Raises:
        UserError: no chat template, or a malformed example (named by its number, from 1).
    """
    tokenizer = engine.tokenizer
    if not tokenizer.chat_template:
        raise UserError(
            "the base model's tokenizer has no chat template; use an instruction-tuned base"
        )
    items = []
    cut = 0
    for number, example in enumerate(examples, start=1):
        if not _is_chat(example):
            raise UserError(
                f'example {number}: needs "messages", turns with "role" and "content" of which the '
                "last is the assistant's answer and not empty"
            )
        prompt, answer = split_chat(tokenizer, example["messages"])
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
        room = max_len - len(engine.encode(prompt))
        if room <= 0:
            continue
        if len(ids) > room:
            answer = tokenizer.decode(ids[:room])
            cut = cut + 1
        tokens = len(engine.encode_continuation(prompt, answer)[1])
        items.append(Choices(((prompt, answer),), (1.0,), 0, 1 / tokens))
    return items, cut


def _is_chat(example: Any) -> bool:
    messages = example.get("messages") if isinstance(example, Mapping) else None
    if not isinstance(messages, list) or len(messages) < 2:
        return False
    for message in messages:
        texts = isinstance(message, Mapping) and (message.get("role"), message.get("content"))
        if not texts or not all(isinstance(text, str) for text in texts):
            return False
    last = messages[-1]
    return last["role"] == "assistant" and bool(last["content"].strip())


def _chat_steps(
    engine: TransformersEngine,
    chats: Sequence[Choices],
    options: TrainingOptions,
    draws: random.Random,
) -> list[list[Choices]]:
    """The chats of each step, epoch after epoch, until the budget of tokens or epochs is spent."""
    sizes = [sum(map(len, engine.encode_continuation(*chat.pairs[0]))) for chat in chats]
    budget = min(options.max_tokens, options.epochs * sum(sizes))
    steps: list[list[Choices]] = []
    spent = 0
    while spent < budget:
        room = 0
        for index in draws.sample(range(len(chats)), len(chats)):
            if sizes[index] > room:
                steps.append([])
                room = options.batch_tokens
            steps[-1].append(chats[index])
            room -= sizes[index]
            spent += sizes[index]
            if spent >= budget:
                break
    return steps


def _mean_loss(engine: TransformersEngine, chats: Sequence[Choices]) -> float:
    """Mean loss of the loaded model on chats; nan if there are none."""
    values = engine.loglikelihood([chat.pairs[0] for chat in chats])
    losses = [-value * chat.weight for value, chat in zip(values, chats, strict=True)]
    return fmean(losses) if losses else math.nan


def _card(done: TrainingResult, base: str, data: str, options: TrainingOptions) -> str:
    heldout = f"""\
- held-out loss: {done.heldout_loss_base:.4f} (base) -> {done.heldout_loss_expert:.4f} (expert)
"""
    named = f"base_model: {base}\n" if may_be_on_hub(base) else ""
    return f"""---
{named}library_name: peft
tags: [lora]
---

# LoRA expert `{done.name}`

- base: {base}
- data: {data}; {done.examples} training examples, {done.heldout} held out
- LoRA: {options}
- training: {done.steps} steps, {done.tokens} tokens, {done.seconds:.0f} s
- optimiser: AdamW, peak lr {options.lr:g}, at most {options.epochs:g} epochs, seed {options.seed}
- training loss: {done.train_loss_first:.4f} (first steps) -> {done.train_loss_last:.4f} (last steps)
{heldout if done.heldout else ""}"""


def _lora(base: BaseModel, model: Any, options: TrainingOptions) -> Lora:
    """The initial adapter of a model."""
    if options.start is not None:
        report = inspect_experts([options.start], base)
        report.require("delta")
        return _going_on(load_adapter(report.experts[0]), model.device)
    scale = options.alpha / options.rank
    shapes = target_shapes(model, options.targets)
    return Lora.new(shapes, options.rank, scale, options.seed, model.device)


def _going_on(adapter: Adapter, device: torch.device) -> Lora:
    """An adapter to train further: its modules and ranks, with the first module's scale; other
    scales go into B.
    """
    scale = next(iter(adapter.factors.values())).scale
    factors = {
        module: (part.a.clone().to(device), (part.b * (part.scale / scale)).to(device))
        for module, part in adapter.factors.items()
    }
    return Lora(factors, scale)


def target_shapes(model: Any, targets: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Linear layers named by `targets` (full name or last part) -> (out, in) of their weights.

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
