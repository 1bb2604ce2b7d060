"""The report of a search: one self-contained page that works offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import SMALL, split_small_weights
from pyswarmopt_llm.report import remarks, words
from pyswarmopt_llm.report.commands import usage, with_relative_paths
from pyswarmopt_llm.report.findings import findings
from pyswarmopt_llm.report.front import front_headings, front_rows, part_tables
from pyswarmopt_llm.report.pages import TextTable, render
from pyswarmopt_llm.report.phrases import score, score_text, versions_text
from pyswarmopt_llm.report.reading import Course, changes, emergence, paths, searched
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.scores.tasks.types import SPLITS, Item
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import Model, Result, Scores
from pyswarmopt_llm.searching.scoring.run_directory import About

SHOWN = 10  # most questions of each kind
LONGEST = 500  # most characters of a question
_ABOUT_SCORES = "The search used dev only. Of the experts only the best on dev was scored on test."


def render_report(
    about: About,
    result: Result,
    history: Iterable[Row],
    tasks: Mapping[str, Task] | None = None,
    replies: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page, a pure function of the run's files.

    Args:
        about: ``run.json``.
        result: ``result.json``.
        history: the rows of ``history.jsonl``, in order.
        tasks: name -> task, for the questions' texts; without it questions are only counted.
        replies: ``replies.json``.

    Returns:
        HTML without scripts and without a link to anything outside; every value is escaped.
    """
    rows = searched(history)
    finite = [row for row in rows if math.isfinite(row.value)]
    found = findings(about, result)
    course = Course(rows, result)
    picture = paths(Course(finite, result)) if finite else None
    return render(
        "pyswarmopt_llm/report/report.html.j2",
        **vars(found),
        config=with_relative_paths(about.config),
        scores=_score_table(_models(result, found.rows)),
        about_scores=" ".join(filter(None, [_ABOUT_SCORES, words.about_dev(result)])),
        more_scores=[*_task_tables(result), *_label_tables(result), *_shared(result, found.rows)],
        front=_front(result),
        course=course,
        found_by=remarks.found_by(course) if rows else "",
        paths=picture,
        legend=remarks.legend(course) if rows else "",
        weights=_weight_table(result),
        usage=list(usage(about, result)),
        replies=replies,
        emergence={task: remarks.emergence(cases) for task, cases in emergence(result).items()},
        changes=list(_changed_tasks(result, tasks or {})),
        shown=SHOWN,
        longest=LONGEST,
        costs=remarks.costs(result),
        method=remarks.method(about),
        experts=", ".join(_experts(about)),
        versions=versions_text(about.versions),
    )


def _models(result: Result, rows: Mapping[str, Model]) -> dict[str, Model]:
    """The result, its baselines, and every expert by dev score (on part of the items, if it dropped
    out of a race).
    """
    *others, handed_over = rows.items()
    models = dict([handed_over, *others])
    for name in result.ranking:
        if name != result.best_single:
            on = (
                f", on {counted(result.dropped[name], 'dev example')}"
                if name in result.dropped
                else ""
            )
            models[name + on] = result.experts[name]
    return models


# Its tables


def _score_table(models: Mapping[str, Model]) -> TextTable:
    headings = ["model", "dev [95%]", "test, held out [95%]"]
    rows = [[label, score(model.dev), score(model.test)] for label, model in models.items()]
    return TextTable("Scores", headings, rows, first=True)


def _task_tables(result: Result) -> Iterator[TextTable]:
    """For several tasks, the scores on each."""
    if not result.several_tasks:
        return
    labels = {"base": "base", "best_single": "best expert", "best": "result"}
    columns = [(split, name) for split in SPLITS for name in labels if name in result.models]
    headings = ["task", *(f"{labels[name]}, {split}" for split, name in columns)]
    rows = [
        [task, *(_task_score(result.models[name].on(split), task) for split, name in columns)]
        for task in result.objectives
    ]
    yield TextTable("By task", headings, rows)


def _task_score(scores: Scores | None, task: str) -> str:
    return score_text(scores.tasks[task].value if scores and task in scores.tasks else None)


def _label_tables(result: Result) -> Iterator[TextTable]:
    """The errors by label of each task that has labels."""
    for task, errors in result.by_label.items():
        f1 = remarks.macro_f1(errors.macro_f1, errors.macro_f1_interval)
        note = f"{f1}. Rows are right labels, columns what the result chose."
        columns = errors.labels if errors.matrix else ["taken for"]
        rows = []
        for row in errors.rows:
            counts = [remarks.taken_for(row.taken_for)]
            if errors.matrix:
                counts = list(map(str, errors.counts[errors.labels.index(row.label)]))
            right = remarks.recall(row.found, row.n, row.recall, row.interval)
            rows.append([row.label, right, *counts])
        headings = ["label", "right [95%]", *columns]
        yield TextTable(f"{task}: errors by label on test", headings, rows, note)


def _shared(result: Result, models: Mapping[str, Model]) -> Iterator[TextTable]:
    """Tables that a terminal shows as well."""
    for table in part_tables(result, models):
        yield TextTable(*table)
    if points := list(front_rows(result)):
        yield TextTable("The Pareto front", front_headings(result), points, first=True)


def _front(result: Result) -> Mapping[str, Any] | None:
    """The front's picture; a search of one task does not load the drawing code."""
    if result.front is None:
        return None
    from pyswarmopt_llm.report.front_picture import front_picture

    return front_picture(result)


def _weight_table(result: Result) -> TextTable:
    weights, small = split_small_weights(result.coefficients)
    rows = [[name, f"{weight:.2f}"] for name, weight in weights]
    note = f"Below {SMALL}: {', '.join(small)}." if small else ""
    return TextTable("Weights", ["expert", "weight"], rows, note)


# Its lists


@dataclass(frozen=True)
class ChangedTask:
    """The examples of a task on which the result differs from the best expert.

    Attributes:
        name: name of the task.
        sentence: number of gained and lost items, in words.
        gained, lost: positions of dev items.
        items: the dev items; empty if their texts are unknown.
    """

    name: str
    sentence: str
    gained: list[int]
    lost: list[int]
    items: Sequence[Item]


def _changed_tasks(result: Result, tasks: Mapping[str, Task]) -> Iterator[ChangedTask]:
    tests = result.by_task()
    for name, (gained, lost) in changes(result).items():
        on_test = remarks.changed_on_test(tests[name]) if name in tests else ""
        on_dev = remarks.changed_on_dev(len(gained), len(lost), result.best.trained)
        items = tasks[name].dev if name in tasks else ()
        known = len(items) == len(result.best.dev.items[name])
        sentence = f"{on_test} {on_dev}".strip()
        yield ChangedTask(name, sentence, gained, lost, items if known else ())


def _experts(about: About) -> Iterator[str]:
    """The experts, with the start of their fingerprints, if known."""
    marks = about.fingerprints.get("experts", {})
    if not marks:
        yield from with_relative_paths(about.config).experts
    yield from (f"{name} ({mark[:8]})" for name, mark in marks.items())
