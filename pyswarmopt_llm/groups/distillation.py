"""Knowledge distillation: one adapter learns a group's answers, so that one model replaces several."""

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
from pyswarmopt_llm.groups.context import GroupContext, Verdict
from pyswarmopt_llm.groups.members import ResponseCache, check_members, open_members
from pyswarmopt_llm.groups.registry import load_strategy
from pyswarmopt_llm.groups.responses import is_right
from pyswarmopt_llm.groups.run import open_group
from pyswarmopt_llm.groups.validate import check_task, usable
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.files import check_free
from pyswarmopt_llm.models.training.train import TrainingOptions, train_expert
from pyswarmopt_llm.tasks import Item, Scoring, render_prompt

COPIES = 8  # examples that represent one question's probabilities

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """Hyperparameters of the student.

    Attributes:
        out: adapter directory to create.
        soft: train on the group's probabilities instead of its answers.
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
    base: str, config: CouncilConfig, training: Training, on_step: Callable[[int, int, float], None] | None = None
) -> dict[str, Any]:
    """Train an adapter of `base` on the group's answers to the dev questions, and compare both on test.

    Hinton, Vinyals and Dean 2015, arXiv 1503.02531, with a group as the teacher. Soft labels are the members' mean
    calibrated probabilities, whatever the strategy. The cross-entropy with them is in expectation that with answers
    sampled from them; instead of sampling, each option becomes an example as often as `quotas` says.

    Args:
        base: of the student.
        config: the group, one strategy, the task.
        training: of the student.
        on_step: as `train_expert`.

    Returns:
        ``base``, ``group``, ``student``: each ``test``, ``test_interval`` and ``tokens`` per item; ``questions``,
        ``steps``.

    Raises:
        UserError: bad input, before any member answers; soft labels of items without choices.
    """
    check_free(Path(training.out))
    task = config.load()
    check_task(config, task)
    if training.soft and any(item.choices is None for item in task.dev):
        raise UserError(f"--soft: needs items with options, those of {config.task} have none; remove it")
    strategy = load_strategy(config.strategies[0])
    group = open_group(config)
    usable([strategy], config, (*task.dev, *task.test), group.members)
    check_members(group.members, task, config.scoring)
    context = group.context(config, task, ResponseCache())
    decide = strategy.fit(context)
    examples = soft_chats(context) if training.soft else hard_chats(task.dev, decide(task.dev), context)
    kind = "probabilities" if training.soft else "answers"
    source = f"{kind} of {context.n} members by {strategy.name} on {task.source}"
    steps = _train(base, examples, config, training, source, on_step)
    student, plain = open_members(
        [training.out, base], base, dtype=config.dtype, device=config.device, threads=config.threads
    )
    rows = {}
    for name, member in (("base", plain), ("student", student)):
        alone = GroupContext([member], task, context.scoring).collect(task.test)
        rows[name] = _row(alone.right[0].tolist(), alone.tokens[0].tolist())
    verdicts = decide(task.test)
    right = [is_right(item, verdict.answer) for item, verdict in zip(task.test, verdicts, strict=True)]
    rows["group"] = _row(right, [verdict.tokens for verdict in verdicts])
    note = {"note": task.note} if task.note else {}
    return {**rows, "strategy": strategy.name, "questions": len(task.dev), "steps": steps, **note}


def hard_chats(items: Sequence[Item], verdicts: Sequence[Verdict], context: GroupContext) -> list[dict[str, Any]]:
    """A chat for each question that the group answers.

    Raises:
        UserError: it answers none.
    """
    pairs = zip(items, verdicts, strict=True)
    chats = [_chat(item, v.answer, context.scoring, context.template) for item, v in pairs if v.answer is not None]
    if not chats:
        raise UserError("the group answers none of the dev questions: there is nothing to learn")
    return chats


def soft_chats(context: GroupContext) -> list[dict[str, Any]]:
    """`COPIES` chats per dev question, distributed over its options by the members' mean probabilities."""
    chats = []
    for item, p in zip(context.dev.items, context.probabilities(context.dev).mean(axis=0), strict=True):
        letters = list(item.choices or {})
        counts = quotas(p[: len(letters)], COPIES)
        for letter, count in zip(letters, counts, strict=True):
            chats += [_chat(item, letter, context.scoring, context.template)] * count
    return chats


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
    """The question's prompt, and the answer in the form that is scored."""
    words = item.choices[answer] if item.choices and scoring == "likelihood" else answer
    return {
        "messages": [
            {"role": "user", "content": render_prompt(item, scoring, template)},
            {"role": "assistant", "content": words},
        ]
    }


def _train(
    base: str,
    examples: Sequence[dict[str, Any]],
    config: CouncilConfig,
    training: Training,
    source: str,
    on_step: Callable[[int, int, float], None] | None,
) -> int:
    """Train the adapter; returns the number of steps."""
    device = pick_device(config.device)
    done = train_expert(
        resolve_base(base),
        examples,
        training.out,
        TrainingOptions(
            rank=training.rank,
            alpha=2.0 * training.rank,
            lr=training.lr,
            epochs=training.epochs,
            max_tokens=training.max_tokens,
            seed=training.seed,
            heldout=0,
            threads=config.threads,
        ),
        dtype=pick_dtype(config.dtype, device),
        device=device,
        data=source,
        on_step=on_step,
    )
    return done.steps


def _row(right: Sequence[bool], tokens: Sequence[int]) -> dict[str, Any]:
    values = [float(value) for value in right]
    return {
        "test": sum(values) / len(values),
        "test_interval": list(interval(values)),
        "tokens": sum(tokens) / len(tokens),
    }


__all__ = ["COPIES", "Training", "distill", "hard_chats", "quotas", "soft_chats"]
