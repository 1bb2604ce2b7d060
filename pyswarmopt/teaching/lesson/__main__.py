"""`python -m pyswarmopt.teaching.lesson`: `pyswarmopt lesson` with only NumPy installed."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from pyswarmopt.teaching.lesson import write


def main(argv: Sequence[str] | None = None) -> None:
    """Write the lesson and open it."""
    parser = argparse.ArgumentParser(
        prog="pyswarmopt lesson", description="Write the lesson, one page that works offline."
    )
    parser.add_argument("--out", type=Path, default=Path("pso-lesson.html"), metavar="FILE")
    parser.add_argument("--open", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args(argv)
    try:
        size = write(options.out)
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write(f"wrote {options.out} ({size / 1e6:.1f} MB, one file, works offline)\n")
    if options.open:
        webbrowser.open(options.out.absolute().as_uri())


if __name__ == "__main__":
    main()
