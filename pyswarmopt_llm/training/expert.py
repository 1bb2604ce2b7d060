"""Train a LoRA expert on chats, or to choose among options, and write it with its card.

LoRA (Hu et al. 2021, arXiv 2106.09685) with the adapter in float32, by `trainer.train`.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import check_free
from pyswarmopt_llm.engine.chat import split_chat
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.base import BaseModel, linear_layers
from pyswarmopt_llm.experts.files import write_adapter
from pyswarmopt_llm.run.cards import QUESTIONS, digest_of, may_be_on_hub
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.table import Turn
from pyswarmopt_llm.training.examples import TrainingOptions
from pyswarmopt_llm.training.trainer import Lora, OnRound, shuffled, train

Steps = tuple[list[list[Choices]], Sequence[Choices]]
"""The examples of each step, and those held out."""


@dataclass(frozen=True)
class TrainingResult:
    """Counts and losses of a training run. Losses are means over examples, in nats; a chat's loss
    is the mean over its answer's tokens.

    Attributes:
        name: name of the expert and of its directory.
        examples: number of training examples.
        heldout: number of held-out examples.
        steps: optimiser steps.
        seconds: time of the steps.
        heldout_loss_base: held-out loss of the base (None without held-out examples).
        heldout_loss_expert: held-out loss of the trained expert.

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
    seconds: float
    heldout_loss_base: float | None = None
    heldout_loss_expert: float | None = None


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
        dtype: dtype of the frozen base; auto: bfloat16 if the device supports it natively.
        device: training device.
        data: description of the examples, for the card.
        on_step: called as ``on_step(step, steps, loss)`` after each step, counted from 1.

    Returns:
        Numbers of examples, and training losses.

    Raises:
        UserError: `out` exists, an example is malformed, no example is left, or a target is not in
            the model.

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
    shapes = target_shapes(base, options.targets)
    scale = options.alpha / options.rank
    lora = Lora(shapes, options.rank, scale, options.seed, engine.model.device)
    steps_of = _chat_steps if loss == "answer" else _item_steps
    steps, heldout = steps_of(engine, examples, options)
    before = _mean_loss(engine, heldout)
    start = time.perf_counter()
    train(engine, lora, [[step] for step in steps], options.lr, on_round=on_step)
    seconds = time.perf_counter() - start
    patch = lora.patch()
    engine.load(patch)
    after = _mean_loss(engine, heldout)
    trained = len({id(item) for step in steps for item in step})
    name = out.resolve().name
    result = TrainingResult(name, trained, len(heldout), len(steps), seconds, before, after)
    factors = {}
    for name, change in patch.low_rank.items():
        b = (change.b / scale).to(torch.bfloat16)
        factors[name.removesuffix(".weight")] = (b, change.a.to(torch.bfloat16))
    card = _card(result, base.name, f"{data or 'not described'}; {loss} loss", options)
    digests = sorted({digest_of(_question(example)) for example in examples})
    card += f"\n{QUESTIONS} {' '.join(digests)} -->\n"
    write_adapter(out, factors, base_model_name=base.name, alpha=options.alpha, card=card)
    return result


def _question(example: Any) -> str:
    """The question of an item, or the last one of a chat."""
    if isinstance(example, Item):
        return example.question
    question: str = example["messages"][-2]["content"]
    return question


def _item_steps(
    engine: TransformersEngine, items: Sequence[Item], options: TrainingOptions
) -> Steps:
    """The items of each step, epoch after epoch; none are held out."""
    choices = Accuracy(items, "likelihood", engine.chat).choices()
    if not choices:
        raise InvalidOption(
            "loss", "options", ": no example has a right answer; use a task with answers"
        )
    epochs = shuffled(choices, math.ceil(options.epochs), options.seed)
    return list(chain.from_iterable(epochs)), ()


def _chat_steps(
    engine: TransformersEngine, examples: Sequence[Any], options: TrainingOptions
) -> Steps:
    """The chats of each step, epoch after epoch, until the budget of tokens or epochs is spent; and
    those held out.
    """
    items = chat_items(engine, examples)
    draws = random.Random(options.seed)
    draws.shuffle(items)
    held = min(options.heldout, len(items) // 5)
    chats = items[held:]
    if not chats:
        raise UserError("there are no training examples; add some")
    budget = min(options.max_tokens, options.epochs * sum(size for _, size in chats))
    steps: list[list[Choices]] = []
    spent = 0
    while spent < budget:
        room = 0
        for chat, size in draws.sample(chats, len(chats)):
            if size > room:
                steps.append([])
                room = options.batch_tokens
            steps[-1].append(chat)
            room -= size
            spent += size
            if spent >= budget:
                break
    return steps, [chat for chat, _ in items[:held]]


def chat_items(engine: TransformersEngine, examples: Sequence[Any]) -> list[tuple[Choices, int]]:
    """Chats as prompts and answers, each weighted by 1 / (tokens of the answer) so that short answers
    count like long ones; and their lengths in tokens.

    Raises:
        UserError: there is no chat template, an example (named by its number, from 1) is malformed,
            or a chat exceeds the context window.
    """
    if not engine.tokenizer.chat_template:
        raise UserError(
            "the base model's tokenizer has no chat template; use an instruction-tuned model"
        )
    items = []
    for number, example in enumerate(examples, start=1):
        if not _is_chat(example):
            raise UserError(
                f'example {number} needs "messages" with "role" and "content", ending with a non-empty assistant turn'
            )
        pair = split_chat(engine.tokenizer, example["messages"])
        prompt, answer = engine.encode_continuation(*pair)
        chat = Choices((pair,), (1.0,), 0, 1 / len(answer))
        items.append((chat, len(prompt) + len(answer)))
    return items


def _is_chat(example: Any) -> bool:
    """Whether this is a conversation that ends with an answer."""
    try:
        turns: list[Turn] = typed(example["messages"], list[Turn])
    except (KeyError, TypeError, WrongType):
        return False
    return (
        len(turns) > 1 and turns[-1]["role"] == "assistant" and bool(turns[-1]["content"].strip())
    )


def _mean_loss(engine: TransformersEngine, chats: Sequence[Choices]) -> float | None:
    """Mean loss of the loaded model on chats; None if there are none."""
    if not chats:
        return None
    values = engine.loglikelihood([chat.pairs[0] for chat in chats])
    return fmean(-value * chat.weight for value, chat in zip(values, chats, strict=True))


def _card(done: TrainingResult, base: str, data: str, options: TrainingOptions) -> str:
    named = ""
    if may_be_on_hub(base):
        named = f"base_model: {base}\n"
    card = f"""---
{named}library_name: peft
tags: [lora]
---

# LoRA expert `{done.name}`

- base: {base}
- data: {data}; {done.examples} training examples, {done.heldout} held out
- LoRA: r={options.rank}, alpha={options.alpha:g}, targets {", ".join(options.targets)}
- training: {done.steps} steps, {done.seconds:.0f} s
- optimiser: AdamW, peak lr {options.lr:g}, at most {options.epochs:g} epochs, seed {options.seed}
"""
    if not done.heldout:
        return card
    losses = f"{done.heldout_loss_base:.4f} (base) -> {done.heldout_loss_expert:.4f} (expert)"
    return f"{card}- held-out loss: {losses}\n"


def target_shapes(base: BaseModel, targets: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Linear layers named by `targets` (full name or last part) -> (out, in) of their weights.

    Raises:
        UserError: the model has no such layer.
    """
    endings = tuple(f".{target}" for target in targets)
    layers = linear_layers(base).items()
    shapes = {name: shape for name, shape in layers if f".{name}".endswith(endings)}
    if not shapes:
        raise UserError(
            f"`targets {','.join(targets)}`: the base model has no such linear layers; use names such as q_proj"
        )
    return shapes
