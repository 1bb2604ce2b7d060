"""Progress: how it looks in a wide, a narrow and no terminal, and for programs."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.report.progress import progress

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


def test_the_authors_scripts_are_named_and_unknown_examples_are_not_counted() -> None:
    out = io.StringIO()
    settings = {**SETTINGS, "paper": False, "reference": True}
    with progress(Console(file=out, width=200)) as on_event:
        on_event(Event("start", {**START.data, "settings": settings, "dev_items": 0}))
    assert "authors' scripts" in out.getvalue() and "dev examples" not in out.getvalue()
