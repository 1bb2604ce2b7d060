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
    as_chats = loss == "answer"
    if as_chats:
        chats = _chats_of_file(Path(data))
        if chats:
            return chats[:count]
    if data.startswith(BUILTIN):
        default = BUILTIN_EXAMPLES if as_chats else BUILTIN_ITEMS
        items = _generated(data, count or default, seed)
        prompt = None
    else:
        items, prompt = _untested(data, reading or Reading({}, {}))
        items = items[:count]
    if as_chats:
        return [_as_chat(item, prompt) for item in items]
    return items


def _chats_of_file(path: Path) -> list[Any]:
    """The lines of a JSONL file of chats, as they are; none if the file holds something else."""
    if path.suffix.lower() != ".jsonl":
        return []
    lines = [value for _, value in json_lines(path)]
    if lines and isinstance(lines[0], dict) and "messages" in lines[0]:
        return lines
    return []


def _generated(spec: str, count: int, seed: int) -> Sequence[Item]:
    """Items of a generator, ``builtin:NAME[:SEED]``; `seed` is the default."""
    from pyswarmopt_llm.published.builtin import builtin_training_items, name_and_seed

    name, own_seed = name_and_seed(spec, seed)
    return builtin_training_items(name, count, own_seed)


def _untested(spec: str, reading: Reading) -> tuple[Sequence[Item], str | None]:
    """The items of a task that no command tests on, and the task's prompt."""
    task = read_whole(spec, dev=None, test=None, reading=reading)
    if task.drawn:  # a file without splits
        return task.dev + task.test[TEST:], task.prompt
    return task.dev, task.prompt


def _as_chat(item: Item, prompt: str | None) -> dict[str, Any]:
    """An item's question and answer as a chat, without options."""
    if not item.answer:
        raise UserError(f"example {item.id} has no answer to train on; fill it in")
    question = render_prompt(item, "likelihood" if item.choices else "generate", prompt)
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": item.answer_text},
        ]
    }
