"""Whether every item of a task fits the context window of a model, checked before the first one is
evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.scores.metrics.objectives import scorings_of
from pyswarmopt_llm.scores.metrics.registry import METRICS, Metric
from pyswarmopt_llm.scores.tasks import Task


def check_window(
    task: Task,
    scoring: str,
    engine: Engine,
    splits: Sequence[str] = ("dev", "test"),
    metric: Metric = METRICS["accuracy"],
    model: str = "the base",
    room: int = 0,
) -> None:
    """Refuse items that do not fit this model (or its members); `room`: tokens of the messages that
    it also writes.

    Raises:
        UserError: names the task's source, the item and the model whose context window is too
            short.
    """
    for name, member in engine.members.items():
        check_window(task, scoring, member, splits, metric, name, engine.message_tokens)
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
                raise UserError(f"{task.source}: {split} {error.text}") from error
            for item, text, written in questions.texts():
                new = max(written and written + engine.thinking, room)
                # A token takes at least a byte of text (two for tokenizers that rewrite it), so
                # only the few long items have to be tokenised.
                if window is None or 2 * len(text.encode()) + new <= window:
                    continue
                needed = engine.count_tokens(text) + new
                if needed > window:
                    raise UserError(
                        f"{task.source}: {split} example {item.id}: {how} scoring needs {needed} "
                        f"tokens, {model}'s "
                        f"context window holds {window}; shorten the example or remove it"
                    )
