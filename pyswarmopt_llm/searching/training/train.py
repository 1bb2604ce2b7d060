"""Train a LoRA expert, on chats or to choose among options, and write it with its card.

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
from typing import Any

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.engine.chat import split_chat
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.files import check_free
from pyswarmopt_llm.experts.write import write_adapter
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.training.choice_losses import shuffled
from pyswarmopt_llm.searching.training.lora import Lora
from pyswarmopt_llm.searching.training.trainer import OnRound, train


@dataclass(frozen=True)
class TrainingOptions:
    """Adapter, optimiser and budget of an expert.

    Attributes:
        rank: LoRA rank r.
        alpha: LoRA alpha; the scale is alpha / r.
        targets: names of the modules that get an adapter.
        lr: peak learning rate.
        max_tokens: training budget in tokens.
        epochs: maximum number of passes over the examples.
        batch_tokens: tokens per step.
        max_len: longer chats are truncated to this many tokens.
        seed: of the initial adapter, the held-out split and the order.
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
        shape = f"r={self.rank}, alpha={self.alpha:g}, targets {', '.join(self.targets)}"
        return f"{shape}; AdamW, peak lr {self.lr:g}, seed {self.seed}"


@dataclass(frozen=True)
class TrainingResult:
    """Counts and losses of a training run; a loss is the mean over examples in nats, of a chat the
    mean over its answer's tokens.

    Attributes:
        name: the expert's name, which is the directory's.
        examples: number of training examples.
        heldout: number of held-out examples.
        steps: optimiser steps.
        tokens: tokens processed; what texts of a step have in common counts once.
        seconds: time of the steps.
        train_loss_first: mean over the first quarter of the steps, at most 20.
        train_loss_last: mean over as many at the end.
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
    heldout_loss_base: float = math.nan
    heldout_loss_expert: float = math.nan
    cut: int = 0
    dropped: int = 0


def train_expert(
    base: BaseModel,
    examples: Sequence[Mapping[str, Any]],
    out: str | Path,
    options: TrainingOptions = TrainingOptions(),
    *,
    dtype: str = "auto",
    device: str = "auto",
    data: str = "",
    on_step: OnRound | None = None,
) -> TrainingResult:
    """Train a LoRA adapter on the answers of chats and write it to `out`, with a model card.

    Args:
        base: the frozen model, from `resolve_base`.
        examples: chats ``{"messages": [{"role": ..., "content": ...}, ...]}`` that end with the
            assistant's turn.
        out: the directory to create.
        options: adapter, optimiser and budget.
        dtype: of the frozen base; auto: bfloat16 where the device multiplies it natively.
        device: to train on.
        data: description of the examples, for the card.
        on_step: called as ``on_step(step, steps, loss)`` after each step, counted from 1.

    Raises:
        UserError: `out` exists, an example is malformed, no example is left, or a target is not in
            the model.
    """
    expert = _Expert(base, out, options, dtype, device, data)
    items, cut = chat_items(expert.engine, examples, options.max_len)
    draws = random.Random(options.seed)
    draws.shuffle(items)
    held = min(options.heldout, len(items) // 5)
    heldout, chats = items[:held], items[held:]
    if not chats:
        raise UserError("no training example is left; give more examples, or a larger max_len")
    steps = _chat_steps(expert.engine, chats, options, draws)
    counts = {"heldout": held, "cut": cut, "dropped": len(examples) - len(items)}
    return expert.train(steps, len(chats), "loss on the answers only", on_step, counts, heldout)


def train_on_options(
    base: BaseModel,
    items: Sequence[Item],
    out: str | Path,
    options: TrainingOptions,
    *,
    dtype: str = "auto",
    device: str = "auto",
    data: str = "",
    on_step: OnRound | None = None,
) -> TrainingResult:
    """Train a LoRA adapter by the cross-entropy over each item's options, and write it.

    The options are scored by likelihood, as a search scores them. Arguments as for `train_expert`,
    with multiple-choice items; `epochs` is rounded up, and options of batches and of held-out
    examples have no effect.

    Raises:
        UserError: `out` exists, an item has no options, none has a right answer, or a target is not
            in the model.
    """
    expert = _Expert(base, out, options, dtype, device, data)
    choices = Accuracy(items, "likelihood", expert.engine.chat).choices()
    if not choices:
        raise InvalidOption(
            "loss", "options", "no item has a right answer; give a task with answers"
        )
    steps = chain.from_iterable(shuffled(choices, math.ceil(options.epochs), options.seed))
    return expert.train([*steps], len(choices), "cross-entropy over the options", on_step)


def chat_items(
    engine: TransformersEngine, examples: Sequence[Mapping[str, Any]], max_len: int
) -> tuple[list[Choices], int]:
    """Chats as prompts and answers, each weighted by 1 / tokens of its answer, so that short answers
    count like long ones; and how many are cut to `max_len` tokens.

    Those with nothing of the answer left are dropped.

    Raises:
        UserError: no chat template, or a malformed example (named by its number, from 1).
    """
    tokenizer = engine.tokenizer
    if not tokenizer.chat_template:
        raise UserError(
            "the base model's tokenizer has no chat template; use an instruction-tuned base"
        )
    items, cut = [], 0
    for number, example in enumerate(examples, start=1):
        prompt, answer = split_chat(tokenizer, _messages(example, number))
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
        room = max_len - len(engine.encode(prompt))
        if room <= 0:
            continue
        if len(ids) > room:
            answer, cut = tokenizer.decode(ids[:room]), cut + 1
        tokens = len(engine.encode_continuation(prompt, answer)[1])
        items.append(Choices(((prompt, answer),), (1.0,), 0, 1 / tokens))
    return items, cut


def _messages(example: Mapping[str, Any], number: int) -> Sequence[Mapping[str, str]]:
    messages = example.get("messages") if isinstance(example, Mapping) else None
    if not isinstance(messages, Sequence) or len(messages) < 2:
        raise UserError(f'example {number}: needs "messages" with a user and an assistant turn')
    for message in messages:
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise UserError(f'example {number}: each message needs "role" and "content"')
        if not isinstance(message["content"], str):
            raise UserError(f"example {number}: the content of a message must be text")
    if messages[-1]["role"] != "assistant" or not messages[-1]["content"].strip():
        raise UserError(
            f"example {number}: the last message must be the assistant's answer and not empty"
        )
    return messages


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


class _Expert:
    """A LoRA of a base, to be trained and written with its card.

    Raises:
        UserError: `out` exists, or a target is not in the model.
    """

    def __init__(
        self,
        base: BaseModel,
        out: str | Path,
        options: TrainingOptions,
        dtype: str,
        device: str,
        data: str,
    ) -> None:
        self._base, self._out, self._options, self._data = base, Path(out), options, data
        check_free(self._out)
        self.engine = load_engine(base, dtype, device, options.threads)
        model, scale = self.engine.model, options.alpha / options.rank
        shapes = target_shapes(model, options.targets)
        self._lora = Lora(shapes, options.rank, scale, options.seed, model.device)

    def train(
        self,
        steps: Sequence[Sequence[Choices]],
        examples: int,
        loss: str,
        on_step: OnRound | None,
        counts: Mapping[str, int] = {},
        heldout: Sequence[Choices] = (),
    ) -> TrainingResult:
        """Train on steps of `examples` different ones and write the adapter; `loss` in words."""
        before = self._mean_loss(heldout)
        fed, start = self.engine.tokens_fed, time.perf_counter()
        rounds = [[step] for step in steps]
        losses = train(self.engine, self._lora, rounds, self._options.lr, on_round=on_step)
        seconds, tokens = time.perf_counter() - start, self.engine.tokens_fed - fed
        self.engine.load(self._lora.patch())
        shown = max(1, min(20, len(losses) // 4))
        result = TrainingResult(
            name=self._out.resolve().name,
            examples=examples,
            steps=len(steps),
            tokens=tokens,
            seconds=seconds,
            train_loss_first=fmean(losses[:shown]),
            train_loss_last=fmean(losses[-shown:]),
            heldout_loss_base=before,
            heldout_loss_expert=self._mean_loss(heldout),
            **{"heldout": 0, **counts},
        )
        self._write(self._card(result, loss))
        return result

    def _mean_loss(self, chats: Sequence[Choices]) -> float:
        """Of the model that is loaded; nan if there are none."""
        values = self.engine.loglikelihood([chat.pairs[0] for chat in chats])
        losses = [-value * chat.weight for value, chat in zip(values, chats, strict=True)]
        return fmean(losses) if losses else math.nan

    def _card(self, done: TrainingResult, loss: str) -> str:
        heldout = f"""\
- held-out loss: {done.heldout_loss_base:.4f} (base) -> {done.heldout_loss_expert:.4f} (expert)
"""
        return f"""---
base_model: {self._base.name}
library_name: peft
tags: [lora]
---

# LoRA expert `{done.name}`

- base: {self._base.name}
- data: {self._data or "not described"}; {done.examples} training examples, {done.heldout} held out
- LoRA: {self._options}
- training: {done.steps} steps, {done.tokens} tokens, {done.seconds:.0f} s, {loss}
- training loss: {done.train_loss_first:.4f} (first steps) -> {done.train_loss_last:.4f} (last steps)
{heldout if done.heldout else ""}"""

    def _write(self, card: str) -> None:
        """Write the adapter as bf16 safetensors."""
        factors = {
            name.removesuffix(".weight"): (
                (change.b / self._lora.scale).to(torch.bfloat16),
                change.a.to(torch.bfloat16),
            )
            for name, change in self._lora.patch().low_rank.items()
        }
        write_adapter(
            self._out,
            factors,
            base_model_name=self._base.name,
            target_modules=self._options.targets,
            alpha=self._options.alpha,
            card=card,
        )


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


__all__ = ["TrainingOptions", "TrainingResult", "train_expert", "train_on_options"]
