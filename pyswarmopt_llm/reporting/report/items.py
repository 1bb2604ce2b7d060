"""Item by item: what the result gets right that no expert did, and its gains and losses against the best expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.evaluation.result import RunResult
from pyswarmopt_llm.reporting.reading import expert_rows, final_row, searched
from pyswarmopt_llm.tasks import Item, Task

_SHOWN = 10  # questions of each kind
_LONGEST = 500  # characters of a question
CASES = {
    "kept": "some expert and the result right",
    "emerged": "only the result right",
    "lost": "some expert right, the result wrong",
    "never": "all wrong",
}


@dataclass(frozen=True)
class Changes:
    """Dev items on which the result differs from the best single expert.

    Attributes:
        task: its name.
        gained, lost: how many.
        kinds: heading -> (question, right answer) of the first few; empty without the task's file.
    """

    task: str
    gained: int
    lost: int
    kinds: Mapping[str, Sequence[tuple[str, str]]]


def changes(rows: Sequence[Row], result: RunResult, tasks: Mapping[str, Task]) -> list[Changes]:
    """The changes on dev from the best single expert to the result, for each task.

    Args:
        rows: of the journal.
        result: ``result.json``.
        tasks: those whose questions are available.
    """
    final = final_row(rows, result)
    number = list(result.coefficients).index(result.best_single)
    single = next((row for row in expert_rows(searched(rows), result) if row.particle == number), None)
    if single is None:
        return []
    by_task = []
    for name in final.items:
        a, b = final.item_values(name), single.item_values(name)
        gained = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x > y]
        lost = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x < y]
        dev = tasks[name].dev if name in tasks and len(tasks[name].dev) == len(a) else ()
        kinds = {"Gained": gained, "Lost": lost} if dev else {}
        texts = {heading: [_text(dev[i]) for i in which[:_SHOWN]] for heading, which in kinds.items()}
        by_task.append(Changes(name, len(gained), len(lost), texts))
    return by_task


def _text(item: Item) -> tuple[str, str]:
    question = item.question if len(item.question) <= _LONGEST else item.question[: _LONGEST - 1] + "…"
    return question, item.answer_text
