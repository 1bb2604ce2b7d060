"""A checkpoint file: tensors and plain values, without pickle, written all or nothing.

The format is NumPy's npz, whose entries carry checksums; whatever is not a tensor is one entry of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FORMAT = 1
HEADER = "header.json"


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
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    _sync_directory(path.parent)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `write` wrote, to the bit.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint of this package, damaged, or of another format.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
        version, values, bfloat16 = header["format"], header["values"], header["bfloat16"]
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    except (zipfile.BadZipFile, OSError, EOFError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a pyswarmopt checkpoint, or a damaged one ({error})") from error
    if version != FORMAT:
        raise ValueError(f"{path}: has checkpoint format {version}, this version reads format {FORMAT}")
    for name in bfloat16:
        tensors[name] = tensors[name].view(torch.bfloat16)
    return {**values, **tensors}


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
