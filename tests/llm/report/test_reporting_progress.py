"""Progress: how it looks in a wide, a narrow and no terminal, and for programs."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.cells import cell_len
from rich.console import Console

from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.report.progress import Pulse, progress, pulse

SETTINGS = {"paper": True, "reference": False, "space": "delta", "max_iter": 2, "proposals": None}
START = Event(
    "start",
    {
        **{"run": "runs/a", "experts": ["x", "y"], "tasks": ["builtin:mixture"], "particles": 4},
        **{"settings": SETTINGS, "training": "", "dev_items": 48, "evaluations_planned": 12},
        "passes": {"search": 576},
    },
)


def evaluation(best: float, number: int) -> Event:
    return Event("evaluation", {"best": best, "evaluations": number, "n": 48, "seconds": 2.0})


@pytest.mark.parametrize("width", [60, 200])
def test_every_line_fits_and_has_one_clock(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    with progress(console) as on_event:
        for event in (START, evaluation(0.5, 1), evaluation(0.6, 2)):
            on_event(event)
    text = re.split(r"\x1b\[2K", out.getvalue())[-2]
    assert max(map(cell_len, text.splitlines())) <= width
    assert "0.600" in text and len(re.findall(r"[-\d]:[-\d]{2}:[-\d]{2}", text)) == 1


def test_elsewhere_than_in_a_terminal_there_are_lines() -> None:
    out = io.StringIO()
    with progress(Console(file=out, width=40)) as on_event:
        on_event(START)
        on_event(Event("note", {"text": "[bold]letters[/bold] are at chance"}))
        on_event(evaluation(0.75, 2))
        for number in (2, 3):  # nothing new in the second
            on_event(Event("iteration", {"best": 0.75, "evaluations": number}))
        on_event(Event("closing"))
    headline, decided, note, iteration, closing = out.getvalue().splitlines()
    known = ("runs/a", "2 experts", "builtin:mixture", "48 dev examples")
    assert all(word in headline for word in known)
    assert "4 particles" in decided and "2 iterations" in decided
    assert note == "[bold]letters[/bold] are at chance"
    assert closing == "scoring the result" and "0.750" in iteration


def test_a_log_tells_how_many_workers_are_busy() -> None:
    out = io.StringIO()
    with progress(Console(file=out, width=90)) as on_event:
        for best, under_way in ((0.5, 3), (0.6, 0)):
            data = {"best": best, "evaluations": 4, "under_way": under_way}
            on_event(Event("iteration", data))
    busy, rest = out.getvalue().splitlines()
    assert busy.endswith("4 evaluations, 3 under way") and rest.endswith("4 evaluations")


def test_the_authors_scripts_are_named_and_unknown_examples_are_not_counted() -> None:
    out = io.StringIO()
    settings = {**SETTINGS, "paper": False, "reference": True}
    with progress(Console(file=out, width=200)) as on_event:
        on_event(Event("start", {**START.data, "settings": settings, "dev_items": 0}))
    assert "authors' scripts" in out.getvalue() and "dev examples" not in out.getvalue()


def test_a_log_tells_what_is_under_way_again_and_again() -> None:
    out = io.StringIO()
    with pulse(Console(file=out, width=40), "loading", period=0.001) as update:
        update(total=12, advance=3, description="best dev score 0.500")
        until = time.monotonic() + 60
        while out.getvalue().count("0.500") < 3 and time.monotonic() < until:
            time.sleep(0.001)
    lines = [line for line in out.getvalue().splitlines() if line != "loading"]
    assert len(lines) >= 3 and {line[:25] for line in lines} == {"best dev score 0.500, 25%"}


def test_the_time_left_is_that_of_the_present_count() -> None:
    """Of 12 evaluations, 2 of them known, 5 in 50 s; then a quarter of the training in 30 s."""
    now = [0.0]
    state = Pulse("getting ready", clock=lambda: now[0])
    assert state.line() == "getting ready"
    state.update(completed=2, total=12)
    assert state.line() == "getting ready, 17%"
    now[0] = 50.0
    state.update(advance=5, description="best dev score 0.500")
    assert state.line() == "best dev score 0.500, 58%, about 0:50 left"
    state.update(completed=0, total=1, description="training base, fold 1 of 5, step 1 of 9")
    now[0] = 80.0
    state.update(completed=0.25, total=1)
    assert state.line() == "training base, fold 1 of 5, step 1 of 9, 25%, about 1:30 left"
    state.update(completed=1, total=1, description="scoring the result")
    assert state.line() == "scoring the result"


def test_a_second_search_of_as_many_evaluations_has_its_own_time() -> None:
    now = [0.0]
    state = Pulse("getting ready", clock=lambda: now[0])
    state.update(completed=0, total=4)
    now[0] = 100.0
    state.update(advance=4)
    state.update(completed=0, total=4, description="the second")
    now[0] = 130.0
    state.update(advance=1)
    assert state.line() == "the second, 25%, about 1:30 left"


def test_a_terminal_tells_model_fold_step_and_text() -> None:
    out = io.StringIO()
    console = Console(file=out, width=90, force_terminal=True, color_system=None)
    with progress(console) as on_event:
        on_event(START)
        on_event(Event("training", {"share": 0.5}))
        on_event(Event("fitting", {"model": "base", "part": "fold 2 of 5, scoring"}))
        on_event(Event("reading", {"done": 3, "texts": 8}))
    assert "training base, fold 2 of 5, scoring, text 3 of 8" in out.getvalue()
