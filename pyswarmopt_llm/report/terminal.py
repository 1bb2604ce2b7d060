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

QUIET = 1.0  # a log may stay silent for these seconds of scoring, without a new best


def say(console: Console, text: str) -> None:
    """Print a line as it is; names from files are never read as markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def json_lines(out: TextIO) -> OnEvent:
    """A listener that writes each event as a JSON object, its kind under ``event``.

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
        console: console; a terminal shows bars, otherwise plain lines are printed.

    Yields:
        The listener for `search`.
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
        lines = _Lines(state, not console.is_terminal)

        def on_event(event: Event) -> None:
            state.add(event)
            if line := lines.after(event):
                say(console, line)
            bars.update(
                task,
                description=state.phase or state.words,
                completed=state.done,
                total=state.done + state.left or None,
                left=state.time_left,
            )

        yield on_event


class _Lines:
    """The permanent lines of a search's progress, each printed once: a grid's draws repeat some of
    them.

    Args:
        state: state of the search; the caller keeps it up to date.
        logs: whether lines replace bars.
    """

    def __init__(self, state: SearchState, logs: bool) -> None:
        self._state = state
        self._logs = logs
        self._said: set[str] = set()
        self._restart()

    def _restart(self) -> None:
        self._shown = -1  # evaluations at the latest iteration line
        self._best: float | None = None  # best score at that time
        self._seconds = 0.0  # seconds of scoring at that time

    def after(self, event: Event) -> str:
        """The line after an event; "" for most events."""
        line = self._line(event)
        if line in self._said:
            return ""
        self._said.add(line)
        return line

    def _line(self, event: Event) -> str:
        match event.kind:
            case "start":
                self._restart()
                return f"{headline(event.data)}\n{decided(event.data)}"
            case "price":
                return price(event.data)
            case "note":
                return str(event.data["text"])
        if not self._logs:
            return ""
        new = self._is_news()
        if event.kind == "iteration" and new:
            self._shown = self._state.done
            self._best = self._state.best
            self._seconds = self._state.seconds
        return logged(event, self._state, new)

    def _is_news(self) -> bool:
        """Whether there is an evaluation not yet logged (a resumed run repeats some), and a new
        best, or `QUIET` seconds since the last line.
        """
        fast = 0 <= self._state.seconds - self._seconds < QUIET
        return self._state.done > self._shown and not (fast and self._state.best == self._best)


def table_of(title: str, headings: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table: texts on the left, then numbers that are not wrapped; headings wrap on a narrow
    terminal.
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
    """Print verdict, scores, mixture, cost, file locations and next steps.

    Args:
        console: where to print.
        run: the run directory.
        findings: findings of the run.
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
    """Draw the front of two tasks; a search of one task does not load the drawing code."""
    from pyswarmopt_llm.report.front_picture import LEGEND, front_panel

    if panel := front_panel(result):
        console.print(panel)
        say(console, LEGEND)


def _below_scores(run: Path, findings: Findings) -> Iterator[str]:
    """Remarks, mixture, cost, file locations and next steps."""
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
