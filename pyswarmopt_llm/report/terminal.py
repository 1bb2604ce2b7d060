"""A search on a terminal or in a log, and its findings; JSON lines for programs."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from pyswarmopt_llm.common.events import PART_PLAIN, Event, OnEvent, duration
from pyswarmopt_llm.report.pages import said, score, words

if TYPE_CHECKING:
    from pyswarmopt_llm.report.findings import Findings

# Enough evaluations to smooth their times, few enough to follow a machine that gets slower.
WINDOW = 20


def say(console: Console, text: str) -> None:
    """Print a line as it is; names from files are never read as markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class SearchState:
    """A search as its events so far describe it; its words are in ``words.txt.j2``.

    Attributes:
        experts: their names.
        particles: population of the swarm.
        settings: of the search.
        phase: current step outside the search loop, in words; "" during the search.
        over: whether the search loop has ended.
        iteration: of the swarm's latest evaluation, 0 for the starting swarm.
        best: best value on dev, None before the first evaluation.
        single: the best expert so far and its value.
        proposed: candidates that a model proposed, evaluated after the last iteration; the journal
            counts them as one more iteration, with particle numbers after those of the swarm.
        done, left: evaluations so far, and left at most.
        items, seconds: scored and spent so far, including a replayed journal.
        trials: of each phase beside the search, so far.

    Example:
        >>> state = SearchState()
        >>> settings = {"max_iter": 1, "budget_minutes": None, "budget_items": None}
        >>> state.add(Event("start", {"experts": ["x"], "particles": 2, "settings": settings,
        ...                           "evaluations_planned": 4}))
        >>> state.add(Event("evaluation", {"iteration": 0, "particle": 0, "value": 0.5, "n": 8, "seconds": 2.0,
        ...                                "best": 0.5, "evaluations": 1, "evaluations_left": 3}))
        >>> state.items_per_second, state.seconds_left, state.best
        (4.0, 6.0, 0.5)
    """

    def __init__(self) -> None:
        self._start({"experts": (), "particles": 0, "settings": {}, "evaluations_planned": 0})

    def add(self, event: Event) -> None:
        """Update the state by one event."""
        if (change := getattr(self, f"_{event.kind}", None)) is not None:
            change(event.data)

    def _start(self, data: Mapping[str, Any]) -> None:  # a grid has one search after the other
        self.experts: Sequence[str] = data["experts"]
        self.particles: int = data["particles"]
        self.settings: Mapping[str, Any] = data["settings"]
        self.phase, self.over = "getting ready", False
        self.iteration = self.proposed = self.done = self.items = 0
        self.left = int(data["evaluations_planned"])
        self.seconds = 0.0
        self.best: float | None = None
        self.single: tuple[str, float] | None = None
        self.trials: Counter[str] = Counter()
        self._passes: Mapping[str, int] = data.get("passes", {})
        self._recent: deque[tuple[int, float]] = deque(maxlen=WINDOW)

    def _evaluation(self, data: Mapping[str, Any]) -> None:
        iteration, particle, value = data["iteration"], data["particle"], data["value"]
        self.phase, self.best = "", data["best"]
        if iteration > 0 and particle >= self.particles:
            self.proposed += 1
        else:
            self.iteration = max(self.iteration, iteration)
        first = iteration == 0 and particle < len(self.experts)
        if first and (self.single is None or value > self.single[1]):
            self.single = self.experts[particle], value
        self.done, self.left = data["evaluations"], data["evaluations_left"]
        self.items += data["n"]
        self.seconds += data["seconds"]
        self._recent.append((data["n"], data["seconds"]))

    _replayed = _evaluation

    def _training(self, data: Mapping[str, Any]) -> None:
        left = data["seconds"] * (1 / data["share"] - 1) + self._after("rivals", "result")
        self.phase = f"training: {data['share']:.0%}, about {duration(left)} left"

    def _trial(self, data: Mapping[str, Any]) -> None:
        self.trials[data["phase"]] += 1
        self.phase = words().trial(data["phase"], self)

    def _closing(self, _data: Mapping[str, Any]) -> None:
        self.phase, self.over = "scoring the result", True

    def _done(self, _data: Mapping[str, Any]) -> None:
        self.phase, self.over = "finished", True

    @property
    def items_per_second(self) -> float | None:
        """Items scored per second over the latest `WINDOW` evaluations; None before the first."""
        seconds = sum(spent for _, spent in self._recent)
        return sum(n for n, _ in self._recent) / seconds if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Upper bound of the time left, at the latest pace; None before the first evaluation.

        Training, rivals and the scores of the result are counted from the start. The search may
        end sooner, by patience or because positions repeat.
        """
        if not self._recent:
            return None
        times = [self.left * sum(spent for _, spent in self._recent) / len(self._recent)]
        if self.settings["budget_minutes"] is not None:
            times.append(60 * self.settings["budget_minutes"] - self.seconds)
        if self.settings["budget_items"] is not None and self.items_per_second:
            times.append((self.settings["budget_items"] - self.items) / self.items_per_second)
        return max(0.0, min(times)) + self._after("training", PART_PLAIN, "rivals", "result")

    def _after(self, *parts: str) -> float:
        """Seconds that these parts take after the search, at the latest pace."""
        pace = self.items_per_second
        return sum(self._passes.get(part, 0) for part in parts) / pace if pace else 0.0

    @property
    def words(self) -> str:
        """Iteration, best scores, evaluations done and left, and speed."""
        return ", ".join(said("so_far", self))

    @property
    def time_left(self) -> str:
        """The upper bound of the time left; "" where there is none."""
        left = self.seconds_left
        return f"at most {duration(left)} left" if left and not self.over else ""


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
        task, state, said = bars.add_task("", total=None, left=""), SearchState(), -1

        def on_event(event: Event) -> None:
            nonlocal said
            state.add(event)
            line = ""
            if event.kind == "start":
                line = f"{words().headline(event.data)}\n{words().decided(event.data)}"
            elif event.kind == "price":
                line = words().price(event.data)
            elif event.kind == "note":
                line = str(event.data["text"])
            elif not console.is_terminal:
                # A resumed run repeats the iterations of its journal, which have been shown before.
                new, said = state.done > said, state.done if event.kind == "iteration" else said
                line = words().logged(event, state, new)
            if line:
                say(console, line)
            bars.update(
                task,
                description=state.phase or state.words,
                completed=state.done,
                total=state.done + state.left or None,
                left=state.time_left,
            )

        yield on_event


def table_of(title: str, headings: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
    """A table: texts on the left, then numbers, which are not wrapped."""
    table = Table(title=escape(title), title_justify="left")
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(heading, justify=justify, no_wrap=number > 0)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def print_findings(console: Console, run: Path, findings: Findings) -> None:
    """Print verdict, scores, mixture, cost, where the files are, and what to do next.

    Args:
        console: where to.
        run: the run directory.
        findings: of the run.
    """
    for line in (findings.verdict.sentence, *findings.verdict.reasons):
        say(console, line)
    title = ": ".join(filter(None, ["Scores with 95% intervals", *said("scored", findings.result)]))
    rows = ((name, score(model.dev), score(model.test)) for name, model in findings.rows.items())
    console.print(table_of(title, ("", "dev", "test (held out)"), rows))
    for line in said("below_scores", findings, str(run)):
        say(console, line)
