"""Whether every item of a task fits the context window of a model, checked before the first one is evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.metrics.objectives import scorings_of
from pyswarmopt_llm.metrics.registry import METRICS, Metric
from pyswarmopt_llm.tasks import Task


def check_askable(
    task: Task,
    scoring: str,
    engine: Engine,
    splits: Sequence[str] = ("dev", "test"),
    metric: Metric = METRICS["accuracy"],
    asked: str = "the base",
    room: int = 0,
) -> None:
    """Prove that every item of these splits can be put to this model, long before its turn comes.

    `room` is how many tokens more a model has to have for what it writes in between (messages).

    Raises:
        UserError: names the task's source, the item and whose context window is too short for it.
    """
    for name, member in engine.members.items():
        check_askable(task, scoring, member, splits, metric, name, engine.message_tokens)
    if engine.members:
        return
    window = engine.window
    for split in splits:
        metric.check(task.split(split), f"{task.source}: {split}")
    for how in scorings_of(metric, scoring, task):
        for split in splits:
            try:
                questions = metric.build(task.split(split), how, engine.chat, task.prompt)
            except UserError as error:
                raise UserError(f"{task.source}: {split} {error}") from error
            for item, text, written in questions.texts():
                new = max(written, room)
                # A token takes a byte or more of text (twice as many allowed for, where a tokenizer rewrites
                # it), so that only the few long items have to be tokenised here.
                if window is None or 2 * len(text.encode()) + new <= window:
                    continue
                needed = engine.count_tokens(text) + new
                if needed > window:
                    raise UserError(
                        f"{task.source}: {split} item {item.id}: {how} scoring needs {needed} tokens, {asked}'s "
                        f"context window holds {window}; shorten the item or remove it"
                    )


__all__ = ["check_askable"]
