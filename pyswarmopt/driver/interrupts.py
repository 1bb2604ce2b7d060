"""Ctrl-C during a search: the first ends the search, and a second soon after ends the program."""

from __future__ import annotations

import math
import signal
import threading
import time
from typing import Any, ClassVar

AGAIN = 1.0  # seconds; a second Ctrl-C within them ends the program, not only its search


class Interrupts:
    """Notes the times of Ctrl-C during a search in the main thread, unless the program has a
    handler of its own.

    Attributes:
        again: whether the latest came within `AGAIN` after the one before, of any search.
    """

    latest: ClassVar[float] = -math.inf  # by `time.monotonic`

    def __init__(self) -> None:
        self.again = False
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._handles = usual and threading.current_thread() is threading.main_thread()
        if self._handles:
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        self.again = now - Interrupts.latest < AGAIN
        Interrupts.latest = now
        raise KeyboardInterrupt

    def close(self) -> None:
        """Put the usual handler back."""
        if self._handles:
            signal.signal(signal.SIGINT, signal.default_int_handler)
