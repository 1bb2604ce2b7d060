"""The command `pyswarmopt`: one file per command, listed in `app.py`. Needs typer (extra: toy)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from pyswarmopt.cli.terminal import complain


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `pyswarmopt` and exit: 0 done, 2 wrong input (one line on stderr), 130 interrupted.

    Args:
        argv: the arguments without the program's name; None takes them from `sys.argv`.
    """
    try:
        from pyswarmopt.cli.app import run
    except ImportError as error:
        if error.name not in ("typer", "rich"):
            raise
        raise SystemExit(
            complain("the command needs typer and rich: install the extra 'toy'")
        ) from None
    raise SystemExit(run(sys.argv[1:] if argv is None else list(argv)))
