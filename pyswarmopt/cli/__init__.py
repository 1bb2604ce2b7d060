"""The command `pyswarmopt`; all of it except `lesson` needs typer (extra: toy)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from pyswarmopt.cli.terminal import complain


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `pyswarmopt` and exit: 0 done, 2 wrong input (one line on stderr), 130 interrupted.

    Args:
        argv: arguments without the program's name; None: from `sys.argv`.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        from pyswarmopt.cli.app import run_line
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        if arguments[:1] == ["lesson"]:
            _write_lesson(arguments[1:])
        raise SystemExit(
            complain("the command needs typer and rich: install the extra 'toy'")
        ) from None
    raise SystemExit(run_line(arguments))


def _write_lesson(arguments: Sequence[str]) -> NoReturn:
    """The only command that needs no extra."""
    from pyswarmopt.teaching.lesson.__main__ import main as lesson

    lesson(arguments)
    raise SystemExit(0)
