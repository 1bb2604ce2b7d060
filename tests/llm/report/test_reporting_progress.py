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
from pyswarmopt_llm.common.events import PART_PLAIN, Event
from pyswarmopt_llm.report.progress import WINDOW, SearchState, headline
from pyswarmopt_llm.report.terminal import json_lines, progress
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


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=3 * WINDOW), st.integers(0, 1000))
def test_time_left_is_the_mean_of_the_recent_evaluations_times_what_is_left(
    seconds: list[float], left: int
) -> None:
    rows = [row(i, 0, i, 0.5, spent) for i, spent in enumerate(seconds)]
    state = state_after(*rows, planned=len(rows) + left)
    latest = seconds[-WINDOW:]
    assert state.seconds_left == pytest.approx(left * sum(latest) / len(latest))
    assert state.items_per_second == pytest.approx(48 * len(latest) / sum(latest))


def test_a_budget_bounds_the_time_left() -> None:
    rows = [row(i, 0, i, 0.5, seconds=6.0) for i in range(4)]  # 24 s, 192 items, 8 items/s
    assert state_after(*rows, planned=104).seconds_left == 600
    assert state_after(*rows, planned=104, max_iter=9, budget_minutes=1).seconds_left == 36
    assert state_after(*rows, planned=104, max_iter=9, budget_items=272).seconds_left == 10


def test_training_rivals_and_the_result_are_counted_from_the_start() -> None:
    """At 8 items a second."""
    passes = {"experts": 96, "mixtures": 48, "training": 720, PART_PLAIN: 80, "rivals": 80}
    passes |= {"result": 160}
    state = SearchState()
    state.add(Event("start", {**START.data, "passes": passes}))
    for event in events_of(row(0, 0, 0, 0.5, seconds=6.0))[1:]:
        state.add(event)
    assert state.seconds_left == 11 * 6 + 1040 / 8
    state.add(Event("training", {"share": 0.5, "seconds": 60.0}))
    assert state.phase == "training: 50%, about 1:30 left"


def test_nothing_is_claimed_before_the_first_evaluation() -> None:
    state = state_after()
    assert state.seconds_left is state.best is state.single is None
    assert state.words == "iteration 0/2, best dev -, 0 evaluated, at most 12 left"
    assert "getting ready" in shown(START)


def test_what_a_model_proposes_is_no_iteration() -> None:
    swarm = [row(4 * i + p, i, p, 0.5 - 0.01 * p + 0.02 * i) for i in range(3) for p in range(4)]
    state = state_after(
        *swarm, row(12, 3, 4, 0.6), row(13, 3, 5, 0.4), planned=22, max_iter=2, patience=2
    )
    assert (state.iteration, state.proposed) == (2, 2)
    assert (state.best, state.single) == (0.6, ("x", 0.5))
    assert state.words.startswith("iteration 2/2, 2 suggested")


def test_a_replayed_journal_leaves_the_state_that_the_stopped_search_had() -> None:
    rows = [row(i, i // 4, i % 4, i / 12) for i in range(10)]
    resumed, events = SearchState(), RunEvents(12)
    resumed.add(START)
    for one in rows[:7]:
        resumed.add(events.row(one, "replayed"))
    for iteration in (0, 1):  # the loop goes through the iterations again
        past = {"iteration": iteration, "best": 0.0, "evaluations": 7, "evaluations_left": 5}
        resumed.add(Event("iteration", past) if iteration == 0 else events.row(rows[7]))
    for one in rows[8:]:
        resumed.add(events.row(one))
    whole = state_after(*rows)
    for known in ("words", "seconds_left", "items_per_second", "best", "single", "iteration"):
        assert getattr(resumed, known) == getattr(whole, known), known


# What is shown


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_line_fits_whatever_the_names(width: int) -> None:
    long = Event("start", {**START.data, "experts": ["[red]日本語" * 30, "f"]})
    text = shown(long, *events_of(row(0, 0, 0, 0.5), row(1, 0, 1, 0.6))[1:], width=width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "iteration 0/2" in text


def test_elsewhere_than_in_a_terminal_there_is_a_line_per_iteration() -> None:
    out = io.StringIO()
    events = RunEvents(12)
    with progress(Console(file=out, width=40)) as on_event:
        on_event(START)
        on_event(Event("note", {"text": "[bold]letters[/bold] are at chance"}))
        trial = {"phase": "letter", "value": 0.1, "n": 4, "seconds": 1.0}
        for particle in range(3):  # one line in all
            on_event(Event("trial", {**trial, "particle": particle}))
        on_event(events.row(row(0, 0, 0, 0.25, seconds=2.0)))
        on_event(events.row(row(1, 1, 0, 0.75, seconds=4.0)))
        on_event(events.iteration(1))
        on_event(Event("closing"))
        on_event(Event("done", {"result": {}}))
    headline, decided, note, trial, iteration, closing = out.getvalue().splitlines()
    known = ("runs/a", "2 experts", "builtin:mixture", "4 particles", "48 dev examples")
    assert all(word in headline for word in (*known, "likelihood", "bfloat16"))
    assert decided == (
        "this search: space delta, 4 particles, at most 2 iterations; given: max-iter 2, "
        "settings inertia=0.1"
    )
    assert note == "[bold]letters[/bold] are at chance"
    assert trial == "trying option letters, on 4 examples" and closing == "scoring the result"
    # Ten evaluations left at (2 + 4) / 2 = 3 s each: 30 s; 96 items in 6 s.
    words = ("1/2", "0.750", "2 evaluated", "10 left", "16 examples/s", "0:30")
    assert all(word in iteration for word in words)


def test_a_log_is_short_where_nothing_is_new() -> None:
    """Draws of a grid begin alike; iterations of 0.4 s are told of with a new best, or after a second."""
    out = io.StringIO()
    with progress(Console(file=out, width=40)) as on_event:
        for least in (0.2, 0.5):
            on_event(START)
            events = RunEvents(12)
            for number, gain in enumerate((0.0, 0.0, 0.0, 0.0, 0.1, 0.1)):
                on_event(events.row(row(number, number, 0, least + gain, seconds=0.4)))
                on_event(events.iteration(number))
    told = [line[:11] for line in out.getvalue().splitlines()[2:]]
    assert told == 2 * ["iteration 0", "iteration 3", "iteration 4"]


def test_once_the_search_is_over_nothing_is_left() -> None:
    state = state_after(row(0, 0, 0, 0.2))
    assert "left" in state.words
    state.add(Event("closing"))
    assert "left" not in state.words and state.phase == "scoring the result"
    last = shown(*events_of(row(0, 0, 0, 0.2)), Event("closing"))
    assert "scoring the result" in last and "iteration" not in last


def test_lines_of_a_resumed_run_begin_where_it_was_stopped() -> None:
    out, events = io.StringIO(), RunEvents(12)
    with progress(Console(file=out, width=40)) as on_event:
        on_event(START)
        for one in (row(0, 0, 0, 0.2), row(1, 1, 0, 0.3), row(2, 2, 0, 0.4)):
            on_event(events.row(one, "replayed"))
        for iteration in range(3):
            so_far = {"best": 0.4, "evaluations": 3, "evaluations_left": 9}
            on_event(Event("iteration", {"iteration": iteration, **so_far}))
    assert [line[:13] for line in out.getvalue().splitlines()[2:]] == ["iteration 2/2"]


def test_json_lines_are_the_events_to_the_letter() -> None:
    out = io.StringIO()
    events = [
        START,
        RunEvents(12).row(row(0, 0, 0, 0.1)),
        Event("note", {"text": 'two\nlines "é"'}),
        Event("closing"),
    ]
    for event in events:
        json_lines(out)(event)
    read = [json.loads(line) for line in out.getvalue().splitlines()]
    assert read == [{"event": event.kind, **event.data} for event in events]


@pytest.mark.parametrize(("items", "warned"), [(1, True), (19, True), (20, False), (0, False)])
def test_a_search_begins_with_a_warning_of_few_dev_examples(items: int, warned: bool) -> None:
    assert ("by chance" in headline({**START.data, "dev_items": items})) == warned
