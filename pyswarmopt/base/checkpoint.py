"""A checkpoint file: arrays or tensors and plain values, without pickle, written atomically.

The format is NumPy's npz, whose entries carry checksums; all values that are neither array nor
tensor are one JSON entry. torch is needed only for tensors.
"""

from __future__ import annotations

import contextlib
import glob
import json
import math
import os
import stat
import time
import tokenize
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.npyio import NpzFile

from pyswarmopt.base.arrays import dtype_name, is_tensor
from pyswarmopt.base.files import is_running
from pyswarmopt.base.record import DAMAGE, check

FORMAT = 1
HEADER = "header.json"
MOST_ENTRIES = 1024
MOST_HEADER = 2**27  # most bytes of JSON: the bounds of a million coordinates
SHORT_TEXT = 20  # characters of a setting that a message shows
MOST_TEXT = 200  # most characters of an error
WRITING = 0.1  # most share of a search's time


def write(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write `state`, which maps names to arrays, tensors and JSON values, replacing the file at
    `path`.

    Readers see the old file or the new one, even after a crash at any moment.
    """
    large = {
        name: value
        for name, value in state.items()
        if isinstance(value, np.ndarray) or is_tensor(value)
    }
    header = {
        "format": FORMAT,
        "values": {name: value for name, value in state.items() if name not in large},
        "tensors": [name for name, value in large.items() if is_tensor(value)],
        "bfloat16": [name for name, value in large.items() if dtype_name(value) == "bfloat16"],
    }
    arrays = {name: _to_numpy(value) for name, value in large.items()}
    arrays[HEADER] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    path = Path(path)
    temporary = _temporary(path)
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:  # never through an existing link
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sweep(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


class Writer:
    """Keeps a search's checkpoint up to date, in at most a tenth of its time.

    A state that comes too soon waits for a later one, or for the end. So a killed search loses at
    most nine times the duration of a write, however large its history grows.

    Args:
        path: file.
        clock: current time in seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._due = -math.inf
        self._waiting: Mapping[str, Any] | None = None

    def keep(self, state: Mapping[str, Any]) -> None:
        """Write a state now or later; it must not change."""
        self._waiting = state
        if self._clock() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write the latest state, if still waiting."""
        state = self._waiting
        if state is None:
            return
        self._waiting = None
        began = self._clock()
        write(self.path, state)
        ended = self._clock()
        self._due = ended + (ended - began) * (1 / WRITING - 1)


def _temporary(path: Path, process: int | str | None = None) -> Path:
    """A process's temporary file (by default this process's), which replaces the file at `path`
    when complete.
    """
    return path.with_name(f".{path.name}.{process or os.getpid()}.tmp")


def _sweep(path: Path) -> None:
    """Delete temporary files of killed processes; running ones may still be writing."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = left.name.removeprefix(f".{path.name}.").removesuffix(".tmp")
        if process.isdecimal() and not is_running(int(process)):
            left.unlink(missing_ok=True)


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The path of a checkpoint that exists or can be written; leaves no file behind.

    Raises:
        ValueError: the path cannot be written.

    Example:
        >>> checked_path("no folder of this name/c.npz")
        Traceback (most recent call last):
        ValueError: checkpoint='no folder of this name/c.npz': cannot be written (No such file or directory)
    """
    where = Path(path)
    try:
        if not os.path.lexists(where):
            temporary = _temporary(where)
            temporary.open("xb").close()
            temporary.unlink()
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise ValueError(
            f"checkpoint={_brief(where)!r}: cannot be written ({_reason(error)})"
        ) from error
    return where


def read(path: str | os.PathLike[str], tensors: bool = False) -> dict[str, Any]:
    """Read what `write` wrote, bit for bit: all as arrays, or with `tensors` as the original
    tensors. In an array, bfloat16 (missing in NumPy) is its int16 bits.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint of this package, damaged, or of another format.
    """
    with _open(path) as file:
        try:
            with NpzFile(file, allow_pickle=False) as archive:
                _check_entries(archive.zip, os.fstat(file.fileno()).st_size)
                arrays = {name: _numbers(name, archive[name]) for name in archive.files}
            header = json.loads(arrays.pop(HEADER).tobytes())
            version = header["format"]
            entries = {**header["values"], **arrays}
            if tensors:
                # a file from before arrays: all entries were tensors
                entries |= _tensors(arrays, header.get("tensors", list(arrays)), header["bfloat16"])
        except (*DAMAGE, ValueError, tokenize.TokenError, zipfile.BadZipFile) as error:
            raise _damaged(path, error) from error
    if version != FORMAT:
        raise ValueError(
            f"{path}: has checkpoint format {_brief(version)}, this version reads format {FORMAT}"
        )
    return entries


def _tensors(
    arrays: Mapping[str, np.ndarray], names: Sequence[str], half: Sequence[str]
) -> dict[str, Any]:
    """The named arrays as tensors on the same memory; some hold bfloat16's bits, int16."""
    if not names:
        return {}
    import torch

    found = {name: torch.from_numpy(arrays[name]) for name in names}
    return found | {name: found[name].view(torch.bfloat16) for name in half}


@contextlib.contextmanager
def taking_over(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn any error while loading a state from the file into a ValueError that names the file."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {_brief(error)}") from error
    except DAMAGE as error:
        raise _damaged(path, error) from error


_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # POSIX; Windows


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    """The opened file; never waits for a pipe or a device, which may not end."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | _AT_ONCE), "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such checkpoint") from None
    except (OSError, ValueError) as error:  # a directory, no permission, or a null byte
        raise ValueError(
            f"{_brief(path)!r}: cannot be read as a checkpoint ({_reason(error)})"
        ) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError(f"{path}: not a checkpoint but a pipe or a device")
    return file


def _check_entries(file: Any, size: int) -> None:
    """Refuse zip entries that `write` does not make, so that their total size is at most the
    file's.
    """
    entries = file.infolist()
    if len(set(file.namelist())) != len(entries) or len(entries) > MOST_ENTRIES:
        raise ValueError("too many entries, or two of one name")
    plain = all(e.compress_type == zipfile.ZIP_STORED and not e.flag_bits & 1 for e in entries)
    if not plain or sum(entry.file_size for entry in entries) > size:
        raise ValueError("entries that are compressed, encrypted or larger than the file")
    if file.getinfo(f"{HEADER}.npy").file_size > MOST_HEADER:
        raise ValueError(f"a header of more than {MOST_HEADER >> 20} MiB")


def _numbers(name: str, array: np.ndarray) -> np.ndarray:
    """The array, if it holds numbers in this machine's format."""
    dtype = array.dtype
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or not dtype.isnative:
        raise ValueError(f"entry {name} holds {dtype}, which are no numbers of this machine")
    return array


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _brief(thing: object) -> str:
    text = " ".join(str(thing).split())
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} ..."


def _damaged(path: str | os.PathLike[str], error: BaseException) -> ValueError:
    what = _brief(error) or type(error).__name__
    return ValueError(f"{path}: not a pyswarmopt checkpoint, or a damaged one ({what})")


def read_search(path: str | os.PathLike[str], problem: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint of a search for the same problem, written with ``"problem":
    json.dumps(problem)``.

    Raises:
        ValueError: not a search's checkpoint, or another problem; the message names the difference.
    """
    saved = read(path)
    if "problem" not in saved:
        raise ValueError(
            f"{path}: a checkpoint, but not one of minimize, maximize or minimize_multi"
        )
    with taking_over(path):
        check(saved, {"problem": str})
        before = json.loads(saved["problem"])
        before.keys()  # differing keys of a dict
    names = {**before, **problem}
    differs = [_setting(name, before) for name in names if before.get(name) != problem.get(name)]
    if differs:
        raise ValueError(
            f"{path}: written by a search with {', '.join(differs)}; go on with that, or give another path"
        )
    return saved


def _setting(name: str, problem: Mapping[str, Any]) -> str:
    """A setting of a saved problem, with its value if that is short."""
    text = repr(problem.get(name))
    return f"{name}={text}" if len(text) <= SHORT_TEXT else f"other {name}"


def _to_numpy(large: Any) -> np.ndarray:
    if isinstance(large, np.ndarray):
        return np.asarray(large, order="C")
    import torch

    tensor = large.detach().cpu().contiguous()
    # bfloat16, missing in NumPy, is stored as integers.
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _sync_directory(directory: Path) -> None:
    """Flush the rename to disk; Windows cannot open directories."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
