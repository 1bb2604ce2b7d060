"""The progress of a search: one bar with one clock on a terminal, lines in a log, at least one a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from pyswarmopt_llm.common.config import MODEL_SWARMS
from pyswarmopt_llm.common.events import Event, OnEvent, duration
from pyswarmopt_llm.report.phrases import one_line, score_text

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.dry_run import PlannedCost


Update = Callable[..., None]
"""Changes what a bar shows: ``completed``, ``advance``, ``total`` or ``description``."""
PERIOD = 60.0  # seconds between two lines in a log


class Pulse:
    """What a bar would show, as a line for a log.

    Args:
        description: what is under way.
        clock: seconds, for the time that is left.
    """

    def __init__(self, description: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._description = description
        self._total: float | None = None
        self._completed = 0.0
        self._began = clock(), 0.0  # when the present count began, and where

    def update(
        self,
        *,
        completed: float | None = None,
        advance: float = 0,
        total: float | None = None,
        description: str | None = None,
    ) -> None:
        """Change it, like a task of `rich.progress`; a new total, or a step back, starts a new count."""
        before = self._completed
        if completed is not None:
            self._completed = completed
        self._completed += advance
        anew = total is not None and total != self._total
        if anew:
            self._total = total
        if anew or self._completed < before:  # a search of a grid after another one
            self._began = self._clock(), self._completed
        self._description = description or self._description

    def line(self) -> str:
        """What is under way, and, if that is counted, the share that is done and the time left."""
        if not self._total or self._completed >= self._total:
            return self._description
        line = f"{self._description}, {self._completed / self._total:.0%}"
        began, first = self._began
        done = self._completed - first
        if not done > 0:
            return line
        left = (self._clock() - began) / done * (self._total - self._completed)
        return f"{line}, about {duration(left)} left"


@contextmanager
def pulse(console: Console, waiting: str, period: float = PERIOD) -> Iterator[Update]:
    """Print what is under way once a `period`, in seconds; nothing before it has passed once.

    Yields:
        `Pulse.update`.
    """
    state = Pulse(waiting)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(period):
            console.print(state.line(), markup=False, highlight=False, soft_wrap=True)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield state.update
    finally:
        over.set()
        thread.join()


@contextmanager
def bar(console: Console, waiting: str) -> Iterator[Update]:
    """A bar with one clock on a terminal; elsewhere a line a minute.

    Args:
        console: where to show it.
        waiting: description until the first update.

    Yields:
        The function that updates it.
    """
    if not (console.is_terminal or console.quiet):
        with pulse(console, waiting) as update:
            yield update
        return
    with Progress(
        BarColumn(10),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        TimeRemainingColumn(),
        console=console,
        expand=True,
        transient=True,
        disable=console.quiet,
        speed_estimate_period=3600,
    ) as bars:
        yield partial(bars.update, bars.add_task(waiting, total=None))


@contextmanager
def progress(console: Console, spell: Callable[[str], str] = str) -> Iterator[OnEvent]:
    """Show the progress of a search: a bar that counts evaluations, and lines above it.

    Args:
        console: a terminal shows a bar; otherwise plain lines are printed.
        spell: how notes name settings.

    Yields:
        The listener for `search`.
    """
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    best: float | None = None
    doing = ""
    with bar(console, "getting ready") as update:

        def on_event(event: Event) -> None:
            nonlocal best, doing
            data = event.data
            match event.kind:
                case "start":  # a grid runs several searches in turn
                    best = None
                    total = data["evaluations_planned"] or None
                    update(completed=0, total=total, description="getting ready")
                    say(headline(data))
                    say(decided(data))
                case "note":
                    say(spell(data["text"]))
                case "replayed" | "evaluation":
                    doing = best_so_far(data)
                    update(advance=1, description=doing)
                case "reading" if data["done"] < data["texts"]:
                    texts = f"text {data['done']:,} of {data['texts']:,}"
                    update(description=f"{doing}, {texts}".removeprefix(", "))
                case "iteration" if data["best"] != best and not console.is_terminal:
                    best = data["best"]
                    say(best_so_far(data))
                case "training":
                    update(completed=data["share"], total=1)
                case "fitting":
                    doing = f"training {data['model']}, {data['part']}"
                    update(description=doing)
                case "closing":
                    say("scoring the result")
                    doing = "scoring the result"
                    update(description=doing)
                case "scoring":
                    model = data["model"].replace("_", " ")
                    doing = f"scoring the result: {model} on {data['split']}"
                    update(description=doing)

        yield on_event


def headline(start: Mapping[str, Any]) -> str:
    """The experts, the tasks and the size of a search; `start`: see `Event`."""
    experts = f"{len(start['experts'])} experts on {', '.join(start['tasks'])}"
    of = ""
    if start["dev_items"]:
        of = f" of {start['dev_items']:,} dev examples"
    planned = f"at most {start['evaluations_planned']:,} evaluations{of}"
    return f"{start['run']}: {experts}; {planned}"


def best_so_far(data: Mapping[str, Any]) -> str:
    """Best score and number of evaluations, after one of them; and how many workers are busy."""
    line = f"best dev score {score_text(data['best'])}, {data['evaluations']:,} evaluations"
    if not data.get("under_way"):
        return line
    return f"{line}, {data['under_way']:,} under way"


def decided(start: Mapping[str, Any]) -> str:
    """The settings that the procedure chose.

    Args:
        start: data of the ``start`` event, see `Event`.
    """
    settings = start["settings"]
    procedure = "this search"
    if settings["paper"]:
        procedure = "the paper's procedure"
    elif settings["reference"]:
        procedure = "the procedure of the authors' scripts"
    if procedure != "this search" and settings.get("optimizer", MODEL_SWARMS) != MODEL_SWARMS:
        procedure += f" with {settings['optimizer']} instead of Algorithm 1"
    chosen = [f"space {settings['space']}"]
    if settings["max_iter"]:
        chosen.append(f"{start['particles']} particles, at most {settings['max_iter']} iterations")
    elif settings["proposals"]:
        chosen.append(f"up to {settings['proposals']} mixtures proposed by a surrogate")
    if start["training"]:
        chosen.append(f"then {start['training']}")
    return f"{procedure}: {', '.join(chosen)}"


def by_part(seconds: Mapping[str, float]) -> str:
    """The time of each part of a search or comparison."""
    return ", ".join(f"{name} {duration(value)}" for name, value in seconds.items() if value)


def planned(plan: PlannedCost) -> Iterator[str]:
    """The cost of a search, as lines: examples, evaluations, and time and memory on this machine."""
    yield "{:,} dev examples, {:,} test examples".format(*plan.examples)
    yield f"at most {plan.evaluations:,} evaluations, and {plan.passes:,} forward passes of one example each"
    machine = f"{plan.device}, {plan.dtype}, threads: {plan.threads}"
    parts = by_part(plan.phases)
    yield f"at most {duration(plan.seconds)} on this machine ({machine}), estimated from one batch: {parts}"
    yield from map(one_line, plan.notes)
    yield "nothing was written"
