"""Item by item: what the result gets right that no expert did, and its gains and losses against the best expert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.evaluation.result import RunResult
from pyswarmopt_llm.reporting.reading import Emergence, emergence, expert_rows, final_row, searched
from pyswarmopt_llm.reporting.report.lines import Span, scale
from pyswarmopt_llm.tasks import Item, Task

_SHOWN = 10  # questions of each kind
_LONGEST = 500  # characters of a question
_BAR = 480.0  # width of a bar
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


@dataclass(frozen=True)
class Emerged:
    """Correctness emergence of a task as a bar.

    Attributes:
        task: its name.
        cases: the four counts.
        parts: of the bar, side by side.
    """

    task: str
    cases: Emergence
    parts: Sequence[Span]


def changes(rows: Sequence[Row], result: RunResult, tasks: Mapping[str, Task]) -> list[Changes]:
    """What changed on dev from the best single expert to the result, for each task.

    Args:
        rows: of the journal.
        result: ``result.json``.
        tasks: those whose questions are available.
    """
    ours = final_row(rows, result)
    number = list(result.coefficients).index(result.best_single)
    theirs = next((row for row in expert_rows(searched(rows), result) if row.particle == number), None)
    if theirs is None:
        return []
    found = []
    for name in ours.items:
        a, b = ours.item_values(name), theirs.item_values(name)
        gained = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x > y]
        lost = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x < y]
        dev = tasks[name].dev if name in tasks and len(tasks[name].dev) == len(a) else ()
        kinds = {"Gained": gained, "Lost": lost} if dev else {}
        texts = {heading: [_text(dev[i]) for i in which[:_SHOWN]] for heading, which in kinds.items()}
        found.append(Changes(name, len(gained), len(lost), texts))
    return found


def _text(item: Item) -> tuple[str, str]:
    question = item.question if len(item.question) <= _LONGEST else item.question[: _LONGEST - 1] + "…"
    return question, item.answer_text


def emerged(rows: Sequence[Row], result: RunResult) -> list[Emerged]:
    """Correctness emergence of each task whose items are right or wrong (Feng et al. 2024, section 5).

    Args:
        rows: of the journal.
        result: ``result.json``.
    """
    found = []
    for name, cases in emergence(rows, result).items():
        counts = {case: getattr(cases, case) for case in CASES}
        x = scale([0, sum(counts.values())], margin=0, width=_BAR)
        parts: list[Span] = []
        left = 0
        for case, count in counts.items():
            if count:
                parts.append(Span(x(left), x(left + count), title=f"{CASES[case]}: {count}", style=case))
            left += count
        found.append(Emerged(name, cases, parts))
    return found
