"""New files for the user, never over an existing file or through a link; and who is running."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path


def check_new(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse a path that cannot become a new file with one of these suffixes.

    Raises:
        ValueError: a wrong suffix, an existing path (even a broken link), or a missing folder.

    Example:
        >>> check_new(Path("lesson.txt"), [".html"])
        Traceback (most recent call last):
        ValueError: lesson.txt: use a name that ends in .html
    """
    if path.suffix not in suffixes:
        raise ValueError(f"{path}: use a name that ends in {' or '.join(suffixes)}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path}: the folder does not exist; create it first")
    if os.path.lexists(path):
        raise ValueError(f"{path} already exists; remove it, or use another name")


def machine() -> str:
    """A short name of the place where process numbers are counted: the host, and on Linux the
    container. In another place the same number is another process.

    Example:
        >>> machine() == machine(), len(machine())
        (True, 8)
    """
    try:
        container = os.readlink("/proc/self/ns/pid")
    except OSError:
        container = ""
    return hashlib.sha256(f"{platform.node()} {container}".encode()).hexdigest()[:8]


def is_running(process: int) -> bool:
    """Whether a process with this number exists; always true on Windows, where asking would end it.

    Example:
        >>> is_running(os.getpid())
        True
    """
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
