"""The entry points of the commands: Ctrl-C ends them from the start, even while modules load."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from importlib.util import find_spec
from types import FrameType
from typing import NoReturn

from pyswarmopt import __version__
from pyswarmopt.cli.streams import prepare
from pyswarmopt.cli.terminal import INTERRUPTED, complain, echo


def pyswarmopt() -> NoReturn:
    """The command `pyswarmopt`."""
    _run("pyswarmopt.cli", "toy", "typer")


def swarm_llm() -> NoReturn:
    """The command `swarm-llm`."""
    if find_spec("fcntl") is None:
        raise SystemExit(complain("swarm-llm runs on Linux and macOS; on Windows, use WSL"))
    _run("pyswarmopt_llm.cli.app", "llm", "typer", "pydantic", "transformers")


def _run(module: str, extra: str, *needed: str) -> NoReturn:
    """Call the `main` of a module, with a Ctrl-C that imports cannot swallow, unless packages of an
    extra that it needs are missing. ``--version`` needs none.
    """
    if sys.argv[1:] == ["--version"]:
        echo(__version__)
        raise SystemExit(0)
    for name in needed:
        if find_spec(name) is None:
            raise SystemExit(complain(f"{name} is not installed; install the extra '{extra}'"))
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
