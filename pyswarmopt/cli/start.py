"""The entry points of the commands: Ctrl-C ends them from the start, even while modules load."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
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
    """Call the `main` of a module."""
    prepare()
    try:
        import_module(module).main()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    raise SystemExit(0)
