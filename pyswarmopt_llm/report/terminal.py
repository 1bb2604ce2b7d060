"""A search on a terminal or in a log, and its findings; JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from pyswarmopt_llm.common.events import Event, OnEvent, mixture_text
from pyswarmopt_llm.report import remarks, words
from pyswarmopt_llm.report.front import front_headings, front_rows, part_tables
from pyswarmopt_llm.report.phrases import about_weights, score
from pyswarmopt_llm.report.progress import SearchState, decided, headline, logged, price

if TYPE_CHECKING:
    from pyswarmopt_llm.report.findings import Findings
    from pyswarmopt_llm.searching.scoring.result import Result

QUIET = 1.0  # seconds of scoring, without a new best, of which a log says nothing


def say(console: Console, text: str) -> None:
    """Print a line as it is; names from files are never read as markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def json_lines(out: TextIO) -> OnEvent:
    """A listener that writes each event at once as a JSON object, its kind under ``event``.

    Example:
        >>> import sys
        >>> json_lines(sys.stdout)(Event("note", {"text": "hello"}))
        {"event": "note", "text": "hello"}
    """

    def on_event(event: Event) -> None:
        out.write(json.dumps({"event": event.kind, **event.data}) + "\n")
        out.flush()

    return on_event


@contextmanager
def progress(console: Console) -> Iterator[OnEvent]:
    """Show the progress of a search.

    Args:
        console: a terminal gets bars, anything else plain lines.

    Yields:
        The listener for `pyswarmopt_llm.searching.loop.search`.
    """
    with Progress(
        BarColumn(10, complete_style="cyan", finished_style="cyan"),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
        console=console,
        expand=True,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task("", total=None, left="")
        state = SearchState()
        shown = -1  # evaluations at the latest line of a log
        told: tuple[float | None, float] = (None, 0.0)  # best score and seconds of scoring there
        said: set[str] = set()  # the draws of a grid begin alike, and so does what takes their best

        def is_news() -> bool:
            """An evaluation that the log has not had, and a new best or `QUIET` seconds since."""
            best, seconds = told
            fast = 0 <= state.seconds - seconds < QUIET
            return state.done > shown and not (fast and state.best == best)

        def line_of(event: Event) -> str:
            nonlocal shown, told
            match event.kind:
                case "start":
                    shown = -1
                    told = (None, 0.0)
                    return f"{headline(event.data)}\n{decided(event.data)}"
                case "price":
                    return price(event.data)
                case "note":
                    return str(event.data["text"])
            if console.is_terminal:
                return ""
            # A resumed run repeats the iterations of its journal, which have been shown before.
            new = is_news()
            if event.kind == "iteration" and new:
                shown = state.done
                told = (state.best, state.seconds)
            return logged(event, state, new)

        def on_event(event: Event) -> None:
            state.add(event)
            line = line_of(event)
            if line and line not in said:
                say(console, line)
                said.add(line)
            bars.update(
                task,
                description=state.phase or state.words,
                completed=state.done,
                total=state.done + state.left or None,
                left=state.time_left,
            )

        yield on_event


def table_of(title: str, headings: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table: texts on the left, then numbers, which are not wrapped; their headings are, where the
    terminal is narrow.
    """
    cells = [list(row) for row in rows]
    table = Table(title=escape(title), title_justify="left")
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "right" if number else "left"
        longest = max((cell_len(row[number]) for row in cells if number), default=0)
        table.add_column(heading, justify=justify, min_width=longest, overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))
    return table


def print_findings(console: Console, run: Path, findings: Findings) -> None:
    """Print verdict, scores, mixture, cost, where the files are, and what to do next.

    Args:
        console: where to.
        run: the run directory.
        findings: what the run found.
    """
    for line in (findings.verdict.sentence, *findings.verdict.reasons):
        say(console, line)
    combination = words.combination(findings.result)
    title = ": ".join(filter(None, ["Scores with 95% intervals", combination]))
    rows = ((name, score(model.dev), score(model.test)) for name, model in findings.rows.items())
    console.print(table_of(title, ("", "dev", "test (held out)"), rows))
    for table in part_tables(findings.result, findings.rows):
        console.print(table_of(*table))
    if compromises := list(front_rows(findings.result)):
        headings = front_headings(findings.result)
        console.print(table_of("The Pareto front", headings, compromises))
        _draw_front(console, findings.result)
    for line in _below_scores(run, findings):
        say(console, line)


def _draw_front(console: Console, result: Result) -> None:
    """Of two tasks; a search of one does not load what draws it."""
    from pyswarmopt_llm.report.front_picture import LEGEND, front_panel

    if panel := front_panel(result):
        console.print(panel)
        say(console, LEGEND)


def _below_scores(run: Path, findings: Findings) -> Iterator[str]:
    """Remarks, mixture, cost, where the files are, and what to do next."""
    result = findings.result
    if about_dev := words.about_dev(result):
        yield about_dev
    yield from findings.remarks
    if len(result.coefficients) > 1:
        then = ", then trained" if result.best.trained else ""
        yield f"Mixture: {mixture_text(result.coefficients)}{then}"
        yield about_weights(findings.about.config.space, findings.about.config.contrast)
    costs = remarks.costs(result).items()
    yield "Cost: " + "; ".join(f"{name.lower()} {text}" for name, text in costs)
    yield f"Files: {run}/best; report: {run}/report.html"
    for purpose, command in findings.steps:
        yield f"To {purpose}: {command}"
