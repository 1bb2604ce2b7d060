"""A checkpoint file: tensors and plain values, without pickle, written all or nothing.

The format is NumPy's npz, whose entries carry checksums; whatever is not a tensor is one entry of JSON.
"""

from __future__ import annotations

import contextlib
import glob
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.storage import IN_MEMORY, Storage, StorageError

FORMAT = 1
HEADER = "header.json"
CHUNK = 2**20  # bytes written and read at a time


def write(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write `state`, which maps names to tensors and JSON values, in place of what is at `path`.

    A reader, and a crash at any moment, sees the old file or the new one.
    """
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    header = {
        "format": FORMAT,
        "values": {name: value for name, value in state.items() if name not in tensors},
        "bfloat16": [name for name, value in tensors.items() if value.dtype == torch.bfloat16],
    }
    arrays = {name: _to_numpy(value) for name, value in tensors.items()}
    arrays[HEADER] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:  # never through a link that lies there
            with zipfile.ZipFile(file, "w") as archive:
                for name, array in arrays.items():
                    _add_entry(archive, f"{name}.npy", array)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):  # by a process that was killed while it wrote
            left.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    _sync_directory(path.parent)


def read(path: str | os.PathLike[str], storage: Storage = IN_MEMORY) -> dict[str, Any]:
    """What `write` wrote, to the bit.

    Args:
        path: the file.
        storage: where large tensors are put.

    Raises:
        FileNotFoundError: no such file.
        StorageError: they find no room there.
        ValueError: not a checkpoint of this package, damaged, or of another format.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as file:
            tensors = {entry.filename.removesuffix(".npy"): _entry(file, entry, storage) for entry in file.infolist()}
        header = json.loads(tensors.pop(HEADER).numpy().tobytes())
        version, values, bfloat16 = header["format"], header["values"], header["bfloat16"]
    except StorageError:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a pyswarmopt checkpoint, or a damaged one ({error})") from error
    if version != FORMAT:
        raise ValueError(f"{path}: has checkpoint format {version}, this version reads format {FORMAT}")
    for name in bfloat16:
        tensors[name] = tensors[name].view(torch.bfloat16)
    return {**values, **tensors}


def _add_entry(file: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """Write an array as `numpy.savez` does, but in smaller pieces."""
    with file.open(name, "w", force_zip64=True) as target:
        np.lib.format.write_array_header_1_0(target, np.lib.format.header_data_from_array_1_0(array))
        data = array.reshape(-1).view(np.uint8).data
        for start in range(0, len(data), CHUNK):
            target.write(data[start : start + CHUNK])


def _entry(file: zipfile.ZipFile, entry: zipfile.ZipInfo, storage: Storage) -> Tensor:
    """An entry as a tensor, read piece by piece to where it stays.

    Raises:
        ValueError: not an array as `_add_entry` writes it.
        zipfile.BadZipFile: its checksum is not that of what was read.
    """
    with file.open(entry) as source:
        if np.lib.format.read_magic(source) != (1, 0):
            raise ValueError(f"entry {entry.filename} has another version of NumPy's format")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(source)
        size = math.prod(shape) * dtype.itemsize
        if by_columns or source.tell() + size != entry.file_size:
            raise ValueError(f"entry {entry.filename} is not laid out as its header says")
        tensor = storage.empty(shape, torch.from_numpy(np.empty(0, dtype)).dtype)
        into = tensor.numpy().reshape(-1).view(np.uint8).data
        for start in range(0, size, CHUNK):
            chunk = source.read(min(CHUNK, size - start))
            if start + len(chunk) < min(start + CHUNK, size):
                raise EOFError(f"entry {entry.filename} ends early")
            into[start : start + len(chunk)] = chunk
        return tensor


def read_search(path: str | os.PathLike[str], problem: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint of a search for the same problem, which was written with ``"problem": json.dumps(problem)``.

    Raises:
        ValueError: none of a search, or of one with another problem; the message names what differs.
    """
    saved = read(path)
    if "problem" not in saved:
        raise ValueError(f"{path}: a checkpoint, but not one of minimize, maximize or minimize_multi")
    before = json.loads(saved["problem"])
    differs = [key for key in {**before, **problem} if before.get(key) != problem.get(key)]
    if differs:
        raise ValueError(f"{path}: written by a search with other {', '.join(differs)}; give another path")
    return saved


def _to_numpy(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu().contiguous()
    # NumPy has no bfloat16: its bits travel as integers.
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _sync_directory(directory: Path) -> None:
    """Have the rename itself reach the disk, where the system can."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


__all__ = ["read", "read_search", "write"]
