"""Standard streams for long computations, which continue even if no one can read their output."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO


class Enduring(io.TextIOWrapper):
    """A stream for progress and messages that drops the rest if it cannot be written (full disk,
    closed pipe).
    """

    def write(self, text: str, /) -> int:
        """Write or drop text; return its length."""
        try:
            super().write(text)
        except OSError:
            silence(self)
        return len(text)

    def flush(self) -> None:
        """Flush written text, or drop it."""
        try:
            super().flush()
        except OSError:
            silence(self)


def silence(stream: TextIO) -> None:
    """Discard everything still written to a stream, its buffer included."""
    with suppress(OSError):
        number = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def prepare() -> None:
    """Prepare this process's streams for a long computation.

    A closed stream is redirected to the null device, so that no file takes its number. Text that
    stderr cannot take is dropped, and characters missing in stdout's encoding become escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    binary = open(2, "wb", closefd=False)  # noqa: SIM115
    sys.stderr = Enduring(binary, encoding, "backslashreplace", line_buffering=True)
