"""The progress of a search, on standard error."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

BAR = 20  # characters in the bar
LINES = 10  # in a file, which does not go back to the start of its line


class Progress:
    """A bar with the share of the budget used, the time left, and what was found; time counts from
    its creation.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines = 0  # so far

    def show(self, share: float, found: str, end: str) -> None:
        """Show the share of the budget used, 0 to 1; `end` is a new line at the end of the search."""
        line = _bar(share, time.monotonic() - self._began) + found
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line:<78}{end}")
        elif int(share * LINES) > self._lines or (end and share < 1):
            self._lines = int(share * LINES)
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _bar(share: float, elapsed: float) -> str:
    """Progress as a bar, with the share done and the time left."""
    done = int(BAR * share)
    left = "?"
    if share:
        left = str(timedelta(seconds=round(elapsed / share - elapsed)))
    return f"[{'#' * done}{'.' * (BAR - done)}] {share:4.0%}  {left} left  "
