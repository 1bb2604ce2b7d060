"""Standard streams for long computations, which continue even if no one can read their output."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


class Outlet(io.TextIOWrapper):
    """Standard output: text whose reader has gone is dropped; any other fault, such as a full disk, is
    raised once.
    """

    def write(self, text: str, /) -> int:
        """Write text; return its length.

        Raises:
            OSError: it cannot be written; names standard output.
        """
        with self._reader_may_go():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush written text; see `write`."""
        with self._reader_may_go():
            super().flush()

    @contextmanager
    def _reader_may_go(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            silence(self)
            if not isinstance(error, BrokenPipeError):
                raise OSError(error.errno, error.strerror, "standard output") from error


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
    stderr cannot take is dropped, as is text of stdout whose reader has gone, and characters missing
    in stdout's encoding become escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout.flush()
    errors = sys.stdout.errors or "strict"
    if errors == "strict":
        errors = "backslashreplace"
    shown = open(1, "wb", closefd=False)  # noqa: SIM115
    sys.stdout = Outlet(shown, sys.stdout.encoding, errors, line_buffering=sys.stdout.isatty())
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    binary = open(2, "wb", closefd=False)  # noqa: SIM115
    sys.stderr = Enduring(binary, encoding, "backslashreplace", line_buffering=True)
