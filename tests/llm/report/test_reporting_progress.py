"""Progress: what is left, how long it takes, and how it looks in a wide, a narrow and no
terminal.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.report.progress import SearchState, json_lines, progress
from pyswarmopt_llm.searching.find import Progress
from pyswarmopt_llm.searching.scoring.record import Row

SETTINGS = SearchConfig(
    *("b", ("x", "y"), ("builtin:mixture",), "runs/a"),
    **{
        "paper": True,
        "draws": 1,
        "space": "delta",
        "optimizer": "model-swarms",
        "scoring": "likelihood",
    },  # type: ignore[arg-type]
    max_iter=2,
)
START = Event(
    "start",
    {
        **{"run": "runs/a", "experts": ["x", "y"], "tasks": ["builtin:mixture"], "particles": 4},
        **{"settings": json.loads(json.dumps(asdict(SETTINGS)))},
        **{"given": {"max_iter": 2, "settings": ["inertia=0.1"]}},
        **{"training": "", "dev_items": 48, "dtype": "bfloat16", "threads": 2},
        **{"evaluations_planned": 12},
    },
)


def row(
    number: int, iteration: int, particle: int, value: float, seconds: float = 1.0, n: int = 48
) -> Row:
    about = {"phase": "search", "iteration": iteration, "particle": particle, "key": str(number)}
    found = {"value": value, "n": n, "seconds": seconds, "coefficients": [1.0, 0.0]}
    return Row.from_json({**about, **found, "items": {"t": "1"}})


class RunEvents:
    """The events that a search makes of rows, one after the other."""

    def __init__(self, planned: int) -> None:
        self._told: list[Event] = []
        self._progress = Progress(planned, self._told.append)

    def row(self, row: Row, kind: str = "evaluation") -> Event:
        self._progress.on_row(row, kind == "replayed")
        return self._told[-1]

    def iteration(self, number: int) -> Event:
        self._progress.on_iteration(number)
        return self._told[-1]


def state_after(*rows: Row, planned: int = 12, **limits: float) -> SearchState:
    """The state after a start and these rows."""
    state, events = SearchState(), RunEvents(planned)
    state.add(Event("start", {**START.data, "settings": {**START.data["settings"], **limits}}))
    for one in rows:
        state.add(events.row(one))
    return state


def shown(*events: Event, width: int = 100) -> str:
    """What a terminal of that width shows in the end."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=True, color_system=None, legacy_windows=False
    )
    with progress(console) as on_event:
        for event in events:
            on_event(event)
    return re.split(r"\x1b\[2K", out.getvalue())[-1]


def events_of(*rows: Row) -> list[Event]:
    events = RunEvents(12)
    return [START, *map(events.row, rows)]


# What is known


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.integers(0, 1000))
def test_time_left_is_the_mean_evaluation_times_what_is_left(
    seconds: list[float], left: int
) -> None:
    rows = [row(i, 0, i, 0.5, spent) for i, spent in enumerate(seconds)]
    state = state_after(*rows, planned=len(rows) + left)
    assert state.seconds_left == pytest.approx(left * sum(seconds) / len(seconds))


def test_a_replayed_journal_leaves_the_state_that_the_stopped_search_had() -> None:
    rows = [row(i, i // 4, i % 4, i / 12) for i in range(10)]
    resumed, events = SearchState(), RunEvents(12)
    resumed.add(START)
    for number, one in enumerate(rows):
        resumed.add(events.row(one, "replayed" if number < 7 else "evaluation"))
    whole = state_after(*rows)
    for known in ("words", "seconds_left", "best", "done", "left"):
        assert getattr(resumed, known) == getattr(whole, known), known


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_line_fits_and_has_one_clock(width: int) -> None:
    text = shown(START, *events_of(row(0, 0, 0, 0.5), row(1, 0, 1, 0.6))[1:], width=width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert len(re.findall(r"\d:\d\d", text)) == 1


def test_elsewhere_than_in_a_terminal_there_are_lines() -> None:
    out = io.StringIO()
    events = RunEvents(12)
    with progress(Console(file=out, width=40)) as on_event:
        on_event(START)
        on_event(Event("note", {"text": "[bold]letters[/bold] are at chance"}))
        for _ in range(3):  # one line in all
            on_event(Event("trial", {"phase": "letter"}))
        on_event(events.row(row(0, 0, 0, 0.25, seconds=2.0)))
        on_event(events.row(row(1, 1, 0, 0.75, seconds=4.0)))
        on_event(events.iteration(1))
        on_event(Event("closing"))
    headline, decided, note, trial, iteration, closing = out.getvalue().splitlines()
    known = ("runs/a", "2 experts", "builtin:mixture", "48 dev examples")
    assert all(word in headline for word in known)
    assert "4 particles" in decided and "2 iterations" in decided
    assert note == "[bold]letters[/bold] are at chance"
    assert "letters" in trial and closing == "scoring the result"
    # ten evaluations left at (2 + 4) / 2 = 3 s each
    assert "0.750" in iteration and "0:30" in iteration


def test_json_lines_are_the_events_to_the_letter() -> None:
    out = io.StringIO()
    events = [
        START,
        RunEvents(12).row(row(0, 0, 0, 0.1)),
        Event("note", {"text": 'two\nlines "é"'}),
    ]
    for event in events:
        json_lines(out)(event)
    read = [json.loads(line) for line in out.getvalue().splitlines()]
    assert read == [{"event": event.kind, **event.data} for event in events]
