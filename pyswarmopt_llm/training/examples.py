"""Training data of experts (chats, or items with options), and training options. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.options import RARE, Option, Threads
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.scores.tasks.columns import Reading
from pyswarmopt_llm.scores.tasks.load import read_whole
from pyswarmopt_llm.scores.tasks.table import json_lines
from pyswarmopt_llm.scores.tasks.templates import render_prompt
from pyswarmopt_llm.scores.tasks.types import TEST

BUILTIN = "builtin:"
BUILTIN_ITEMS = 200  # as many as a search has dev items
BUILTIN_EXAMPLES = 2000  # a few minutes of training on two cores


@dataclass(frozen=True)
class TrainingOptions:
    """Settings for training an expert: adapter, optimiser and budget.

    Attributes:
        rank: LoRA rank r.
        alpha: LoRA alpha; the scale is alpha / r.
        targets: names of the modules to adapt.
        lr: peak learning rate.
        max_tokens: training budget in tokens.
        epochs: maximum number of passes over the examples.
        batch_tokens: tokens per step.
        seed: seed of the initial adapter, the held-out split and the order.
        heldout: number of held-out examples, at most a fifth of all.
        threads: CPU threads; default: torch's current setting.

    Example:
        >>> TrainingOptions(rank=16, lr=2e-4, targets=("q_proj", "v_proj")).alpha
        16
    """

    rank: Annotated[int, Option("LoRA rank.", "R", least=1)] = 8
    alpha: Annotated[float, Option("LoRA alpha; the scale is alpha / rank.", "A", RARE)] = 16
    targets: Annotated[
        tuple[str, ...], Option("Names of the target modules.", "M,M", group=RARE, commas=True)
    ] = ("q_proj", "k_proj", "v_proj", "o_proj")
    lr: Annotated[float, Option("Peak learning rate.", "LR")] = 5e-4
    max_tokens: int = 120_000
    epochs: Annotated[float, Option("Maximum number of epochs.", "E")] = 2.0
    batch_tokens: int = 1024
    seed: Annotated[int, Option("Random seed.", "S", least=0)] = 0
    heldout: int = 60
    threads: Threads = None


def load_examples(
    data: str,
    count: int | None,
    seed: int,
    reading: Reading | None = None,
    loss: Literal["answer", "options"] = "answer",
) -> Sequence[Any]:
    """At most `count` training examples: the chats of a JSONL file, or the rows of a task that no
    command tests on, as chats (as items for loss ``options``).

    Args:
        data: file, data set, or generator ``builtin:NAME[:SEED]``.
        count: maximum number of examples; None: all, or the generator's default.
        seed: seed of the generator.
        reading: how to read a file.
        loss: see `train_expert`.

    Raises:
        UserError: the data cannot be read, or a row has no answer.
    """
    chats = loss == "answer"
    if chats and Path(data).suffix.lower() == ".jsonl":
        lines = [value for _, value in json_lines(Path(data))]
        if lines and isinstance(lines[0], dict) and "messages" in lines[0]:
            return lines[:count]
    if data.startswith(BUILTIN):
        from pyswarmopt_llm.published.builtin import builtin_training_items, name_and_seed

        name, seed = name_and_seed(data, seed)
        most = count or (BUILTIN_EXAMPLES if chats else BUILTIN_ITEMS)
        items = builtin_training_items(name, most, seed)
        prompt = None
    else:
        task = read_whole(data, None, None, reading or Reading({}, {}))
        prompt = task.prompt
        items = task.dev
        if task.drawn:  # a file without splits
            items += task.test[TEST:]
        items = items[:count]
    if chats:
        return [_as_chat(item, prompt) for item in items]
    return items


def _as_chat(item: Item, prompt: str | None) -> dict[str, Any]:
    """An item's question and answer as a chat, without options."""
    if not item.answer:
        raise UserError(f"example {item.id} has no answer to train on; fill it in")
    question = render_prompt(item, "likelihood" if item.choices else "generate", prompt)
    turns = (("user", question), ("assistant", item.answer_text))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}
