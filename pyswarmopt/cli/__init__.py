"""The command `pyswarmopt`, which needs typer (extra: toy)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `pyswarmopt` and exit: 0 success, 2 invalid input (one line on stderr), 130 interrupted.

    Args:
        argv: arguments without the program's name; None: from `sys.argv`.
    """
    from pyswarmopt.cli.app import run_line

    raise SystemExit(run_line(sys.argv[1:] if argv is None else list(argv)))
