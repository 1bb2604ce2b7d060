"""A search on a terminal: bars, or plain lines where there is none, and its findings; JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.reporting.summary import WEIGHTS, score_text
from pyswarmopt_llm.reporting.terminal.state import SearchState, phase_words

if TYPE_CHECKING:
    from pyswarmopt_llm.reporting.findings import Findings

_BRIEF = ("letter", "confirm", "trained")  # phases that are announced once


def headline(data: Mapping[str, Any]) -> str:
    """One line about a starting run, without what is not yet known (``auto``, None)."""
    items = f" of {counted(data['dev_items'], 'dev item')}" if data["dev_items"] else ""
    details = [f"{data['scoring']} scoring"] if data["scoring"] != "auto" else []
    details += [data["dtype"]] if data["dtype"] != "auto" else []
    details += [counted(data["threads"], "thread")] if data["threads"] else []
    details += [f"{data['workers']} workers"] if data.get("workers", "1") != "1" else []
    experts, particles = counted(len(data["experts"]), "expert"), counted(data["particles"], "particle")
    most = counted(data["evaluations_planned"], "evaluation")
    return f"{data['run']}: {experts} on {', '.join(data['tasks'])}; {particles}, at most {most}{items}" + (
        f" ({', '.join(details)})" if details else ""
    )


def say(console: Console, text: str) -> None:
    """Print a line as it is; names from files are never read as markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Lines:
    """A listener that writes a line per iteration, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = SearchState()
        self._trial = ""  # the phase whose trials have been announced

    def __call__(self, event: Event) -> None:
        """Show one event."""
        state, data = self._state, event.data
        # A resumed run repeats the iterations of its journal, which have been shown before.
        repeated = event.kind == "iteration" and data["iteration"] <= state.completed
        state.add(event)
        if event.kind == "trial" and data["phase"] in _BRIEF:
            if data["phase"] != self._trial:
                self._trial = data["phase"]
                each = f": {counted(len(state.experts), 'expert')} on {counted(data['n'], 'item')} each"
                say(self._console, phase_words(self._trial) + (each if self._trial == "letter" else ""))
        elif event.kind in ("trial", "closing"):
            say(self._console, state.phase)
        elif event.kind == "iteration" and not repeated:
            say(self._console, ", ".join([*state.facts, *state.pace, *state.time_left, *state.stop_words]))


class _Bars:
    """A listener that draws a bar of the evaluations and one of each stop rule."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._state = SearchState()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        state = self._state
        state.add(event)
        words = state.phase or ", ".join([*state.facts, *state.pace])
        lines: list[tuple[str, float, float]] = [(words, state.done, state.done + state.left)]
        if not state.over:
            stops = zip(state.stop_words, state.stops, strict=True)
            lines += [(text, min(used, limit), limit) for text, (_, used, limit) in stops]
        for task in self._bars.task_ids[len(lines) :]:
            self._bars.remove_task(task)
        for _ in lines[len(self._bars.task_ids) :]:
            self._bars.add_task("", total=None, left="")
        self._bars.update(self._bars.task_ids[0], left="".join(state.time_left))
        for task, (text, done, total) in zip(self._bars.task_ids, lines, strict=True):
            self._bars.update(task, description=text, completed=done, total=total or None)


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
        The listener for `pyswarmopt_llm.jobs.search.loop.search`.
    """
    with Progress(
        BarColumn(10, complete_style="cyan", finished_style="cyan"),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
        console=console,
        expand=True,
        disable=not console.is_terminal,
    ) as bars:
        show = _Bars(bars) if console.is_terminal else _Lines(console)

        def on_event(event: Event) -> None:
            show(event)
            if event.kind == "note":
                say(console, str(event.data["text"]))
            elif event.kind == "start":
                say(console, headline(event.data))

        yield on_event


@contextmanager
def items_bar(console: Console, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar of items, for a terminal; what it gives takes the number done and that of all."""
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("loading the model", total=None)
        yield lambda done, total: bar.update(task, description="items", completed=done, total=total)


def print_findings(console: Console, run: Path, findings: Findings) -> None:
    """Print the verdict, the scores, the mixture, the cost, where the files are, and what to do next.

    Args:
        console: where to.
        run: the run directory.
        findings: of the run.
    """
    for line in (findings.verdict.sentence, *findings.verdict.reasons):
        say(console, line)
    table = Table(title="Scores with 95% intervals", title_justify="left")
    table.add_column("")
    table.add_column("dev", justify="right", no_wrap=True)
    table.add_column("test (held out)", justify="right", no_wrap=True)
    for row in findings.rows:
        table.add_row(escape(row.label), score_text(row.dev, row.dev_interval), score_text(row.test, row.test_interval))
    console.print(table)
    for line in (*findings.about_dev, *findings.remarks):
        say(console, line)
    if findings.several_experts:
        say(console, f"Mixture: {findings.mixture}{', trained on dev' if findings.trained else ''}")
        say(console, WEIGHTS)
    say(console, "Cost: " + "; ".join(f"{name.lower()} {text}" for name, text in findings.costs.items()))
    say(console, f"Files: {run / 'best'}; report: {run / 'report.html'}")
    for purpose, command in findings.steps:
        say(console, f"To {purpose}: {command}")
