"""Paths as users write them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError

LARGEST_TEXT = 2**29  # bytes: larger tokenizers and task files are not known
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


def user_path(spec: str | Path) -> Path:
    """The path that a user wrote, with ``~`` replaced; it need not exist.

    Raises:
        UserError: no path of this system: an unknown ``~user``, a NUL, a name that is too long, a folder that may not
            be entered.

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


def read_bytes(path: Path, most: int = LARGEST_TEXT) -> bytes:
    """The content of a regular file; pipes, devices and directories are not opened for reading.

    Args:
        path: the file.
        most: bytes it may have.

    Raises:
        OSError: it cannot be read.
        UserError: no regular file, or a larger one.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise UserError(f"{path}: not a regular file; give a file")
        if about.st_size > most:
            raise UserError(f"{path}: {about.st_size} bytes, more than the {most} that such a file may have; check it")
        return file.read()


__all__ = ["LARGEST_TEXT", "read_bytes", "user_path"]
