"""`report.html`: a run as one self-contained page that works offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.evaluation.result import RunResult
from pyswarmopt_llm.evaluation.run_files import About
from pyswarmopt_llm.reporting.commands import near, usage
from pyswarmopt_llm.reporting.findings import findings
from pyswarmopt_llm.reporting.reading import (
    best_row,
    emergence,
    expert_rows,
    final_row,
    of_race,
    origin,
    proposing_model,
    searched,
    swarm_of,
)
from pyswarmopt_llm.reporting.report import lines
from pyswarmopt_llm.reporting.report.card import method_text
from pyswarmopt_llm.reporting.report.figures import curve, paths
from pyswarmopt_llm.reporting.report.pages import render
from pyswarmopt_llm.tasks import Item, Task

_SHOWN = 10  # questions of each kind
_LONGEST = 500  # characters of a question
CASES = {
    "kept": "some expert and the result right",
    "emerged": "only the result right",
    "lost": "some expert right, the result wrong",
    "never": "all wrong",
}


def render_report(
    about: About,
    result: RunResult,
    history: Iterable[Row],
    tasks: Mapping[str, Task] | None = None,
    replies: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page, a pure function of what the run wrote down.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        history: the rows of ``history.jsonl``, in order.
        tasks: name -> task, for the texts of questions; without it they are only counted.
        replies: ``replies.json``.

    Returns:
        HTML without scripts and without a link to anything outside; every value is escaped.
    """
    journal = list(history)
    searching = [row for row in journal if row.phase == "search"]
    rows = [row for row in searching if not of_race(row)]
    whole, swarm = searched(rows), swarm_of(rows)
    shown = findings(about, result)
    bars, zero = lines.bars(shown.weights)
    references = {"best expert": result.best_single_dev}
    if result.uniform_dev is not None:
        references["average"] = result.uniform_dev
    return render(
        "pyswarmopt_llm/reporting/report/report.html.j2",
        findings=shown,
        result=result,
        tasks=about.task_names or list(near(about.config).tasks),
        experts=len(about.config.experts),
        models=lines.models(shown.rows, result, searching),
        bars=bars,
        zero=zero,
        curve=curve(rows, references),
        evaluations=len(rows),
        facts=shown.costs | _provenance(about),
        usage=list(usage(about, result)),
        cases=CASES,
        replies=replies,
        width=lines.WIDTH,
        # What takes complete evaluations; nothing where there are none.
        emergence=emergence(journal, result) if whole else {},
        changes=changes(journal, result, tasks or {}) if whole else [],
        paths=paths(rows, result.coefficients, best_row(whole, result)) if whole else None,
        origin=origin(rows, result) if whole else None,
        model=proposing_model(rows),
        later=sum(row.iteration > 0 for row in rows),
        iterated=any(row.iteration and row.particle in swarm for row in rows),
    )


def _provenance(about: About) -> dict[str, str]:
    config, experts = near(about.config), about.fingerprints.get("experts", {})
    return {
        "Base": about.base_name or config.base,
        "Experts": ", ".join(f"{name} ({mark[:8]})" for name, mark in experts.items())
        or ", ".join(config.experts),
        "Tasks": ", ".join([*config.tasks, *config.utilities]),
        "Optimizer": method_text(config),
        "Seed": str(config.seed),
        "Versions": ", ".join(f"{name} {version}" for name, version in about.versions.items()),
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
    single = next(
        (row for row in expert_rows(searched(rows), result) if row.particle == number), None
    )
    if single is None:
        return []
    by_task = []
    for name in final.items:
        a, b = final.item_values(name), single.item_values(name)
        gained = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x > y]
        lost = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x < y]
        dev = tasks[name].dev if name in tasks and len(tasks[name].dev) == len(a) else ()
        kinds = {"Gained": gained, "Lost": lost} if dev else {}
        texts = {
            heading: [_text(dev[i]) for i in which[:_SHOWN]] for heading, which in kinds.items()
        }
        by_task.append(Changes(name, len(gained), len(lost), texts))
    return by_task


def _text(item: Item) -> tuple[str, str]:
    question = (
        item.question if len(item.question) <= _LONGEST else item.question[: _LONGEST - 1] + "…"
    )
    return question, item.answer_text
