"""Standard streams that a long computation survives: it does not end because nobody can read on."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO


class Enduring(io.TextIOWrapper):
    """A stream for progress and messages: where it cannot be written to, a full disk or a closed
    pipe, the rest is dropped.
    """

    def write(self, text: str, /) -> int:
        """Write text, or drop it; its length."""
        self._try(lambda: super(Enduring, self).write(text))
        return len(text)

    def flush(self) -> None:
        """Flush what is written, or drop it."""
        self._try(super().flush)

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError:
            silence(self)


def silence(stream: TextIO) -> None:
    """Let whatever is still written to a stream go nowhere, what waits in its buffer too."""
    with suppress(OSError):
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def prepare() -> None:
    """Make this process's streams fit for a long computation.

    A stream that is closed leads nowhere, so that no file takes its number. What stderr cannot take
    is dropped, and what stdout's encoding lacks is an escape.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    binary = open(2, "wb", closefd=False)  # noqa: SIM115
    sys.stderr = Enduring(binary, encoding, "backslashreplace", line_buffering=True)
