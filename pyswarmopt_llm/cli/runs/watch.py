"""`swarm-llm watch`: follow a search that runs elsewhere."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from pyswarmopt.cli.terminal import echo, open_console
from pyswarmopt_llm.cli.options import JsonLines
from pyswarmopt_llm.common.events import OnEvent
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.options import Option
from pyswarmopt_llm.reporting.follow import Follower, Status
from pyswarmopt_llm.reporting.summary import print_result
from pyswarmopt_llm.reporting.terminal.live import LiveView
from pyswarmopt_llm.reporting.terminal.progress import json_lines, progress
from pyswarmopt_llm.reporting.terminal.state import SearchState

_PAUSE = 1.0  # seconds between two reads of the files


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory; it need not exist yet.")],
    once: Annotated[bool, Option("Show the current state and exit.")] = False,
    as_lines: JsonLines = False,
) -> None:
    """Follow a run from another terminal, without disturbing it; before it starts and after it has ended, too.

    Exits with the run: code 0 if it finished, 1 if it was stopped (and how to resume it).

    Example: swarm-llm watch runs/first
    """
    follower = Follower(user_path(run))
    if once:
        _show(follower, as_lines)
    elif as_lines:
        follow(follower, json_lines(sys.stdout))
    else:
        console = open_console()
        if follower.status is Status.ABSENT:
            echo(f"{run}: not started yet; waiting (Ctrl-C to quit)", err=True)
            while follower.status is Status.ABSENT:
                time.sleep(_PAUSE)
        with progress(console) as on_event:
            follow(follower, on_event)
        if follower.result is not None:
            print_result(console, follower.path, follower.result)
    if not once and follower.result is None:
        echo(_advice(follower), err=True)
        raise typer.Exit(1)


def follow(follower: Follower, on_event: OnEvent, pause: float = _PAUSE) -> None:
    """Pass new events to a listener until the run ends.

    A run counts as stopped if two reads, one pause apart, find no process working on it and nothing new: a run that is
    just starting has no owner for a moment.
    """
    idle = False
    while True:
        news = follower.news()
        for event in news:
            on_event(event)
        if follower.status is Status.FINISHED:
            return
        alone = follower.status is Status.STOPPED and not news
        if alone and idle:
            return
        idle = alone
        time.sleep(pause)


def _show(follower: Follower, as_lines: bool) -> None:
    """The current state: the view, or one JSON object."""
    state = SearchState()
    for event in follower.news():
        state.add(event)
    status = follower.status
    if as_lines:
        spent = {name: {"used": used, "limit": limit} for name, used, limit in state.stops}
        shown = {"best": state.best, "iteration": state.iteration, "evaluations": state.done, "stops": spent}
        typer.echo(json.dumps({"run": str(follower.path), "status": status.value, **shown}))
        return
    console = open_console()
    if status is not Status.ABSENT:
        console.print(LiveView(state))
    if follower.result is not None:
        print_result(console, follower.path, follower.result)
    elif status is not Status.RUNNING:
        echo(_advice(follower))


def _advice(follower: Follower) -> str:
    if follower.status is Status.ABSENT:
        return f"{follower.path}: not started yet (there is no run.json)"
    return f"{follower.path}: stopped; resume with: swarm-llm resume {shlex.quote(str(follower.path))}"
