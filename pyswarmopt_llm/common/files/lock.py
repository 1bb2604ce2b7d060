"""A lock on a file, for as long as one process writes it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import open_to_change


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file, creating it if missing; the lock ends with the process, so it is never
    stale.

    Raises:
        UserError: another process holds the file or has just removed it, or as `append`.
        OSError: as `append`.
    """
    with open_to_change(path, os.O_CREAT) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.path.samestat(os.fstat(file.fileno()), os.stat(path))
        except (BlockingIOError, FileNotFoundError):
            held = False
        if not held:
            raise UserError(f"{path}: another process writes it; wait for that one, or stop it")
        yield
