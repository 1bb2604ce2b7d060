"""Knowledge distillation: one adapter learns what a group answers, so that one model does what several did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.groups.config import CouncilConfig
from pyswarmopt_llm.groups.context import Room, Verdict
from pyswarmopt_llm.groups.members import Memory, check_members, open_members
from pyswarmopt_llm.groups.responses import is_right
from pyswarmopt_llm.groups.run import make_room, open_group
from pyswarmopt_llm.groups.strategies import load_strategy
from pyswarmopt_llm.groups.validate import check_task, usable
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.files import check_free
from pyswarmopt_llm.models.training.train import train_expert
from pyswarmopt_llm.tasks import Item, Scoring, load_task, render_prompt

COPIES = 8  # examples that stand for one question's probabilities

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lesson:
    """How the student is taught.

    Attributes:
        out: adapter directory to create.
        soft: teach the group's probabilities instead of its answers.
        rank, lr, epochs, max_tokens, seed: as `train_expert`.
    """

    out: str
    soft: bool = False
    rank: int = 8
    lr: float = 5e-4
    epochs: float = 2.0
    max_tokens: int = 120_000
    seed: int = 0


def distill(
    base: str, config: CouncilConfig, lesson: Lesson, on_step: Callable[[int, int, float], None] | None = None
) -> dict[str, Any]:
    """Let the group answer the dev questions, train an adapter of `base` on that, and compare both on test.

    Hinton, Vinyals and Dean 2015, arXiv 1503.02531, with a group as the teacher. Soft labels are the members' mean
    calibrated probabilities, whatever the strategy. The cross-entropy with them is that with answers drawn from them,
    on average; instead of drawing, each option is an example as often as `quotas` says.

    Args:
        base: of the student.
        config: the group, one strategy, the task.
        lesson: how.
        on_step: as `train_expert`.

    Returns:
        ``base``, ``group``, ``student``: each ``test``, ``test_interval`` and ``tokens`` per item; ``questions``,
        ``steps``.

    Raises:
        UserError: bad input, before anything is asked; soft labels of items without choices.
    """
    check_free(Path(lesson.out))
    task = load_task(config.task, dev=config.dev, test=config.test, allow_overlap=config.allow_overlap)
    check_task(config, task)
    if lesson.soft and any(item.choices is None for item in task.dev):
        raise UserError(f"--soft: teaches probabilities of options, items of {config.task} have none; leave it out")
    strategy = load_strategy(config.strategies[0])
    group = open_group(config)
    usable([strategy], config, (*task.dev, *task.test), group.members)
    check_members(group.members, task, config.scoring)
    room = make_room(config, task, group, Memory())
    decide = strategy.fit(room)
    if lesson.soft:
        weights = room.probabilities(room.dev).mean(axis=0)
        examples = [chat for item, p in zip(task.dev, weights, strict=True) for chat in soft_chats(item, p, room)]
    else:
        examples = hard_chats(task.dev, decide(task.dev), room)
    where = pick_device(config.device)
    done = train_expert(
        resolve_base(base),
        examples,
        lesson.out,
        rank=lesson.rank,
        alpha=2.0 * lesson.rank,
        lr=lesson.lr,
        epochs=lesson.epochs,
        max_tokens=lesson.max_tokens,
        seed=lesson.seed,
        heldout=0,
        threads=config.threads,
        dtype=pick_dtype(config.dtype, where),
        device=where,
        data=f"{'probabilities' if lesson.soft else 'answers'} of {room.n} members by {strategy.name} on {task.source}",
        on_step=on_step,
    )
    student, plain = open_members(
        [lesson.out, base], base, dtype=config.dtype, device=config.device, threads=config.threads
    )
    alone = {
        name: Room([member], task, room.scoring).ask(task.test)
        for name, member in (("base", plain), ("student", student))
    }
    verdicts = decide(task.test)
    rows = {name: _row(sheet.right[0].tolist(), sheet.tokens[0].tolist()) for name, sheet in alone.items()}
    right = [is_right(item, verdict.answer) for item, verdict in zip(task.test, verdicts, strict=True)]
    rows["group"] = _row(right, [verdict.tokens for verdict in verdicts])
    return {**rows, "strategy": strategy.name, "questions": len(task.dev), "steps": done.steps}


def hard_chats(items: Sequence[Item], verdicts: Sequence[Verdict], room: Room) -> list[dict[str, Any]]:
    """A chat for each question to which the group has an answer.

    Raises:
        UserError: it has none to any.
    """
    pairs = zip(items, verdicts, strict=True)
    chats = [_chat(item, v.answer, room.scoring, room.template) for item, v in pairs if v.answer is not None]
    if not chats:
        raise UserError("the group answers none of the dev questions: there is nothing to teach")
    return chats


def soft_chats(item: Item, probabilities: Array, room: Room) -> list[dict[str, Any]]:
    """`COPIES` chats whose answers are spread over the options as the probabilities are."""
    letters = list(item.choices or {})
    counts = quotas(probabilities[: len(letters)], COPIES)
    return [
        _chat(item, letter, room.scoring, room.template)
        for letter, count in zip(letters, counts, strict=True)
        for _ in range(count)
    ]


def quotas(shares: Array, total: int) -> list[int]:
    """Whole numbers that sum to `total`, in proportion to `shares`, by largest remainders (Hamilton's method).

    Example:
        >>> quotas(np.array([0.7, 0.2, 0.1]), 8)
        [6, 1, 1]
    """
    exact = shares / shares.sum() * total
    counts = np.floor(exact).astype(int)
    rest = np.argsort(-(exact - counts), kind="stable")[: total - int(counts.sum())]
    counts[rest] += 1
    return [int(count) for count in counts]


def _chat(item: Item, answer: str, scoring: Scoring, template: str | None) -> dict[str, Any]:
    """The question as it is asked, and the answer in the words by which it is scored."""
    words = item.choices[answer] if item.choices and scoring == "likelihood" else answer
    return {
        "messages": [
            {"role": "user", "content": render_prompt(item, scoring, template)},
            {"role": "assistant", "content": words},
        ]
    }


def _row(right: Sequence[bool], tokens: Sequence[int]) -> dict[str, Any]:
    values = [float(value) for value in right]
    return {
        "test": sum(values) / len(values),
        "test_interval": list(interval(values)),
        "tokens": sum(tokens) / len(tokens),
    }


__all__ = ["COPIES", "Lesson", "distill", "hard_chats", "quotas", "soft_chats"]
