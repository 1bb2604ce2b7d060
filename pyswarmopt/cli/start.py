"""The entry points of the commands: Ctrl-C ends them from the start, even while modules load."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from importlib.util import find_spec
from types import FrameType
from typing import NoReturn

from pyswarmopt.cli.streams import prepare
from pyswarmopt.cli.terminal import INTERRUPTED


def pyswarmopt() -> NoReturn:
    """The command `pyswarmopt`."""
    _run("pyswarmopt.cli")


def swarm_llm() -> NoReturn:
    """The command `swarm-llm`."""
    if find_spec("fcntl") is None:
        import_module("typer").echo(
            "error: swarm-llm runs on Linux and macOS; on Windows use WSL", err=True
        )
        raise SystemExit(2)
    _run("pyswarmopt_llm.cli.app")


def _run(module: str) -> NoReturn:
    """Call the `main` of a module, with a Ctrl-C that imports cannot swallow."""
    # otherwise ignored, as in a background job
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    prepare()
    try:
        import_module(module).main()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    raise SystemExit(0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; during an import end the process.

    Modules that try several imports swallow a KeyboardInterrupt, or turn it into another error,
    which the user would see as a traceback. A run can be resumed after any end, so nothing is lost.
    """
    caller = frame
    while caller is not None:
        if caller.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        caller = caller.f_back
    raise KeyboardInterrupt
