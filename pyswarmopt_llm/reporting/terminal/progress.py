"""Progress of a search: a live view on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress import Progress

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.reporting.terminal.live import LiveView, facts, pace, stop_words
from pyswarmopt_llm.reporting.terminal.state import SearchState, phase_words

_PER_SECOND = 4  # redraws of the live view
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
    return (
        f"{data['run']}: {experts} on {', '.join(data['tasks'])}; {particles}, "
        f"at most {most}{items}" + (f" ({', '.join(details)})" if details else "")
    )


def say(console: Console, text: str) -> None:
    """Print a line as it is; names from files are never read as markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class Lines:
    """A listener that writes a line per iteration, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = SearchState()
        self._trial = ""  # the phase whose trials have been announced

    def __call__(self, event: Event) -> None:
        """Show one event."""
        # A resumed run repeats the iterations of its journal, which have been shown before.
        known = event.kind == "iteration" and event.data["iteration"] <= self._state.completed
        self._state.add(event)
        if event.kind == "note":
            say(self._console, str(event.data["text"]))
        elif event.kind == "start":
            say(self._console, headline(event.data))
        elif event.kind == "trial" and event.data["phase"] in _BRIEF:
            if event.data["phase"] != self._trial:
                self._trial = event.data["phase"]
                each = f": {counted(len(self._state.experts), 'expert')} on {counted(event.data['n'], 'item')} each"
                say(self._console, phase_words(self._trial) + (each if self._trial == "letter" else ""))
        elif event.kind in ("trial", "closing"):
            say(self._console, self._state.phase)
        elif event.kind == "iteration" and not known:
            say(self._console, ", ".join([*facts(self._state), *pace(self._state), *stop_words(self._state)]))


@contextmanager
def _live(console: Console) -> Iterator[OnEvent]:
    state = SearchState()
    view = LiveView(state)
    with Live(view, console=console, refresh_per_second=_PER_SECOND) as live:

        def on_event(event: Event) -> None:
            state.add(event)
            if event.kind == "note":
                say(live.console, str(event.data["text"]))

        yield on_event


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
        console: a terminal gets a live view, anything else plain lines.

    Yields:
        The listener for `pyswarmopt_llm.jobs.search.loop.search`.
    """
    if console.is_terminal:
        with _live(console) as on_event:
            yield on_event
    else:
        yield Lines(console)


@contextmanager
def items_bar(console: Console, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar of items, for a terminal; what it gives takes the number done and that of all."""
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("loading the model", total=None)
        yield lambda done, total: bar.update(task, description="items", completed=done, total=total)
