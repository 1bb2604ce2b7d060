"""A checkpoint file: arrays or tensors and plain values, without pickle, written atomically.

The format is NumPy's npz, whose checksums reveal damage; all values that are neither array nor
tensor are one JSON entry. torch is needed only for tensors.
"""

from __future__ import annotations

import glob
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import as_array, dtype_name, is_tensor
from pyswarmopt.base.files import is_running, machine
from pyswarmopt.base.words import cut, one_line

FORMAT = 4
HEADER = "header.json"
WRITING = 0.05  # most share of a search's time


def write(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write `state`, which maps names to arrays, tensors and JSON values, replacing the file at
    `path`.

    Readers see the old file or the new one, even after a crash at any moment.
    """
    tensors = {name: dtype_name(value) for name, value in state.items() if is_tensor(value)}
    values = dict(state)
    arrays = {}
    for name, value in state.items():
        if name in tensors or isinstance(value, np.ndarray):
            arrays[name] = as_array(values.pop(name))
    header = {"format": FORMAT, "values": values, "tensors": tensors}
    arrays[HEADER] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    path = Path(path)
    temporary = _temporary(path)
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:  # never through a link
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):  # by killed processes
            where, _, process = left.name[len(path.name) + 2 : -4].partition("-")
            if where == machine() and process.isdecimal() and not is_running(int(process)):
                left.unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{machine()}-{os.getpid()}.tmp")


class Writer:
    """Keeps a search's checkpoint up to date, in a small share of its time.

    A state that comes too soon is not even built: a journal beside the file has what is new
    (`pyswarmopt.driver.journal`).

    Args:
        path: file.

    Raises:
        ValueError: the path cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = checked_path(path)
        self._due = -math.inf

    @property
    def due(self) -> bool:
        """Whether another state may be written."""
        return time.monotonic() >= self._due

    def write(self, make_state: Callable[[], Mapping[str, Any]]) -> None:
        """Build and write a state now."""
        began = time.monotonic()
        write(self.path, make_state())
        ended = time.monotonic()
        self._due = ended + (ended - began) * (1 / WRITING - 1)


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The path of a checkpoint that exists or can be written; leaves no file behind.

    Raises:
        ValueError: the path cannot be written.

    Example:
        >>> checked_path("no folder of this name/c.npz")
        Traceback (most recent call last):
        ValueError: checkpoint='no folder of this name/c.npz' cannot be written; use another path
    """
    where = Path(path)
    try:
        if not os.path.lexists(where):
            temporary = _temporary(where)
            temporary.open("xb").close()
            temporary.unlink()
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise ValueError(
            f"checkpoint={cut(os.fspath(path))!r} cannot be written; use another path"
        ) from error
    return where


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write` wrote, bit for bit.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a checkpoint of this package, is damaged, or has another format.
    """
    if not os.path.lexists(path):
        raise FileNotFoundError(f"{path}: no such checkpoint")
    with taking_over(path), np.load(path, allow_pickle=False) as archive:
        found = dict(archive)
        header = json.loads(found.pop(HEADER).tobytes())
        if header["format"] != FORMAT:
            raise ValueError(
                f"it has format {header['format']}, but this version reads format {FORMAT}"
            )
        for name, dtype in header["tensors"].items():
            import torch

            found[name] = torch.from_numpy(found[name]).to(getattr(torch, dtype))
        return found | header["values"]


@contextmanager
def taking_over(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn any error while loading a state from the file into a ValueError that names the file."""
    try:
        yield
    except ImportError:  # of torch
        raise
    except Exception as error:  # damaged numbers may raise anything
        what = one_line(str(error)) or type(error).__name__
        raise ValueError(f"{path} is damaged, or is not a pyswarmopt checkpoint: {what}") from error


def read_search(path: str | os.PathLike[str], problem: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint of a search for the same problem, written with ``"problem": problem``.

    Raises:
        ValueError: the checkpoint is not a search's, or belongs to another problem; the message
            names the differences.
    """
    saved = read(path)
    before = saved.get("problem")
    if not isinstance(before, dict):
        raise ValueError(f"{path} is not the checkpoint of a search: it has no entry 'problem'")
    names = {**before, **problem}
    differs = [name for name in names if before.get(name) != problem.get(name)]
    if differs:
        settings = ", ".join(f"{name}={cut(repr(before.get(name)), 20)}" for name in differs)
        raise ValueError(
            f"{path} was written by a search with {settings}; use those settings, or another path"
        )
    return saved
