"""The progress of a search: one bar with one clock on a terminal, lines in a log, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.events import PART_PLAIN, Event, OnEvent, duration
from pyswarmopt_llm.report.phrases import few, one_line, score_text

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.dry_run import PlannedCost

QUIET = 1.0  # a log may stay silent for these seconds of scoring, without a new best
_AFTER = ("training", PART_PLAIN, "rivals", "result")  # the parts of a search after its loop
_PROCEDURES = {
    "paper": "the paper's procedure",
    "reference": "the procedure of the authors' scripts",
}
_PRICE_REMEDIES = {
    "quick": " (--quick fine-tunes only the best start)",
    "budget_minutes": " (--budget-minutes M limits the search)",
}


class SearchState:
    """The state of a search according to its events.

    Attributes:
        phase: current step outside the search loop, in words; "" during the loop.
        best: best value on dev; None before the first evaluation.
        done, left: evaluations so far, and the most still to come.
        items, seconds: items scored and seconds spent so far, including a replayed journal.
        seconds_left: upper bound of the time left, with training and controls; None if unknown.

    Example:
        >>> state = SearchState()
        >>> settings = {"max_iter": 1, "budget_minutes": None}
        >>> state.add(Event("start", {"settings": settings, "evaluations_planned": 4}))
        >>> spent = {"n": 8, "seconds": 2.0, "evaluations": 1, "evaluations_left": 3}
        >>> state.add(Event("evaluation", {**spent, "best": 0.5}))
        >>> state.best, state.seconds_left
        (0.5, 6.0)
    """

    def __init__(self) -> None:
        self._start({}, {}, 0)

    def _start(self, settings: Mapping[str, Any], passes: Mapping[str, int], left: int) -> None:
        self._settings = settings
        self._passes = passes
        self.phase = "getting ready"
        self.best: float | None = None
        self.seconds_left: float | None = None
        self.left = left
        self.done = self.items = 0
        self.seconds = 0.0

    def add(self, event: Event) -> None:
        """Update the state with an event."""
        data = event.data
        match event.kind:
            case "start":  # a grid runs several searches in turn
                left = int(data["evaluations_planned"])
                self._start(data["settings"], data.get("passes", {}), left)
            case "evaluation" | "replayed":
                self._add_evaluation(data)
            case "trial":
                self.phase = trial(data["phase"])
            case "training":
                self.phase = f"training, {data['share']:.0%}"
                left = data["seconds"] * (1 / data["share"] - 1)
                self.seconds_left = left + self._seconds_after("rivals", "result")
            case "closing":
                self.phase = "scoring the result"
                self.seconds_left = None
            case "done":
                self.phase = "finished"

    def _add_evaluation(self, data: Mapping[str, Any]) -> None:
        self.phase = ""
        self.best = data["best"]
        self.done = data["evaluations"]
        self.left = data["evaluations_left"]
        self.items += data["n"]
        self.seconds += data["seconds"]
        left = self.left * self.seconds / max(self.done, 1)
        budget = self._settings.get("budget_minutes")
        if budget is not None:
            left = min(left, max(0.0, 60 * budget - self.seconds))
        self.seconds_left = left + self._seconds_after(*_AFTER)

    def _seconds_after(self, *parts: str) -> float:
        """Seconds for the parts after the search, at the pace so far."""
        passes = sum(self._passes.get(part, 0) for part in parts)
        return passes * self.seconds / max(self.items, 1)

    @property
    def words(self) -> str:
        """What is going on: the phase, or best score and evaluations."""
        if self.phase:
            return self.phase
        return f"best dev {score_text(self.best)}, {counted(self.done, 'evaluation')}"

    @property
    def time_left(self) -> str:
        """The upper bound of the time left; "" if unknown."""
        return f"at most {duration(self.seconds_left)} left" if self.seconds_left else ""


def trial(phase: str) -> str:
    """An evaluation beside the search, in words.

    Example:
        >>> trial("letter"), trial("trained")
        ('trying option letters', 'scoring fine-tuned models')
    """
    known = {"letter": "trying option letters", "trained": "scoring fine-tuned models"}
    return known.get(phase, phase)


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
        console: a terminal shows a bar; otherwise plain lines are printed.

    Yields:
        The listener for `search`.
    """
    text = Column(ratio=1, no_wrap=True)
    with Progress(
        BarColumn(10, complete_style="cyan", finished_style="cyan"),
        TextColumn("{task.description}", markup=False, table_column=text),
        TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
        console=console,
        expand=True,
        disable=not console.is_terminal,
    ) as bars:
        bar = bars.add_task("", total=None, left="")
        lines = Lines(logs=not console.is_terminal)

        def on_event(event: Event) -> None:
            for line in lines.after(event):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
            state = lines.state
            total = state.done + state.left or None
            bars.update(
                bar,
                description=state.words,
                completed=state.done,
                total=total,
                left=state.time_left,
            )

        yield on_event


class Lines:
    """The permanent lines of a search's progress, each printed once: a grid's draws repeat some of
    them.

    Args:
        logs: whether lines replace the bar.
    """

    def __init__(self, logs: bool) -> None:
        self.state = SearchState()
        self._logs = logs
        self._said: set[str] = set()
        self._shown: tuple[float | None, float] = (None, 0.0)  # best score and seconds at a line

    def after(self, event: Event) -> list[str]:
        """The lines after an event; none for most events."""
        self.state.add(event)
        new = [line for line in self._lines(event) if line and line not in self._said]
        self._said.update(new)
        return new

    def _lines(self, event: Event) -> list[str]:
        match event.kind:
            case "start":
                self._shown = (None, 0.0)
                return [headline(event.data), decided(event.data), few(event.data["dev_items"])]
            case "price":
                return [price(event.data)]
            case "note":
                return [str(event.data["text"])]
            case "trial" | "closing" if self._logs:
                return [self.state.phase]
            case "iteration" if self._logs and self._is_news():
                self._shown = (self.state.best, self.state.seconds)
                return [", ".join(filter(None, [self.state.words, self.state.time_left]))]
        return []

    def _is_news(self) -> bool:
        best, seconds = self._shown
        return self.state.best != best or self.state.seconds - seconds >= QUIET


def headline(start: Mapping[str, Any]) -> str:
    """What is searched.

    Args:
        start: data of the ``start`` event, see `Event`.
    """
    experts = counted(len(start["experts"]), "expert")
    most = counted(start["evaluations_planned"], "evaluation")
    of = f" of {counted(start['dev_items'], 'dev example')}" if start["dev_items"] else ""
    return f"{start['run']}: {experts} on {', '.join(start['tasks'])}; at most {most}{of}"


def decided(start: Mapping[str, Any]) -> str:
    """The settings that the procedure chose.

    Args:
        start: see `headline`.
    """
    settings = start["settings"]
    procedures = [words for name, words in _PROCEDURES.items() if settings.get(name)]
    chosen = [f"space {settings['space']}"]
    if settings["quick"]:
        chosen.append("successive halving picks the best of base model and experts")
    if settings["max_iter"]:
        chosen.append(counted(start["particles"], "particle"))
        chosen.append(f"at most {counted(settings['max_iter'], 'iteration')}")
    elif settings["proposals"]:
        chosen.append(f"up to {counted(settings['proposals'], 'mixture')} proposed by a surrogate")
    if start["training"]:
        chosen.append(f"then {start['training']}")
    return f"{(procedures or ['this search'])[0]}: {', '.join(chosen)}"


def price(found: Mapping[str, Any]) -> str:
    """The most that a search costs in total.

    Args:
        found: data of the event, see `Event`.

    Example:
        >>> price({"passes": 1200, "seconds": {"search": 60, "rivals": 15}, "bounded_by": ""})
        'at most 1:15, estimated from the first evaluation: search 1:00, controls 0:15'
    """
    parts = ", ".join(
        f"{name.replace('rivals', 'controls')} {duration(spent)}"
        for name, spent in found["seconds"].items()
        if spent
    )
    whole = duration(sum(found["seconds"].values()))
    remedy = _PRICE_REMEDIES.get(found["bounded_by"], "")
    return f"at most {whole}, estimated from the first evaluation: {parts}{remedy}"


def planned(plan: PlannedCost) -> Iterator[str]:
    """The cost of a dry run: examples to score, time and memory for them here, files to write."""
    for task in plan.tasks:
        dev = counted(task.dev, "dev example")
        test = counted(task.test, "test example")
        spent = ""
        if task.seconds_per_item is not None:
            spent = f", {task.seconds_per_item:.2g} s per example"
        yield f"{one_line(task.name)}: {dev}, {test}, {task.scoring} scoring{spent}"
    yield f"at most {plan.evaluations:,} evaluations: {plan.passes:,} forward passes of an example"
    machine = f"{plan.device}, {plan.dtype}, {counted(plan.threads, 'thread')}"
    yield f"at most {duration(plan.seconds)} on this machine ({machine}), from one timed batch"
    yield "of these " + ", ".join(
        f"{name.replace('rivals', 'controls')} {duration(spent)}"
        for name, spent in plan.phases.items()
    )
    free = "" if plan.free_bytes is None else f"; {gib(plan.free_bytes)} are free"
    yield f"memory: {gib(plan.memory_bytes)}{free}"
    yield from map(one_line, plan.notes)
    yield "nothing was written"


def gib(number: int) -> str:
    """Bytes as GiB.

    Example:
        >>> gib(3 * 2**29)
        '1.5 GiB'
    """
    return f"{number / 2**30:.1f} GiB"
