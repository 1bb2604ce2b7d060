"""Paths as users write them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


def user_path(spec: str | Path) -> Path:
    """A path as the user wrote it, with ``~`` expanded; it need not exist.

    Raises:
        UserError: not a valid path: an unknown ``~user``, a NUL, a name that is too long, a folder without access.

    Example:
        >>> user_path("runs/first").name
        'first'
        >>> user_path("a" + chr(0))
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: a\\x00: not a path (embedded null byte); check it
    """
    try:
        path = Path(spec).expanduser()
        os.lstat(path)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return path
        raise UserError(f"{spec}: cannot be reached ({error.strerror}); choose another path") from error
    except (ValueError, RuntimeError) as error:  # NUL; no such user
        raise UserError(f"{spec}: not a path ({str(error).rstrip('.').lower()}); check it") from error
    return path
