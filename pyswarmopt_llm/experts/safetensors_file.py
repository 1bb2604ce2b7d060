"""Safetensors files: the header only, or tensors read one at a time on access.

Format: 8 bytes with the header's length N (little-endian), N bytes of JSON that map each name to
dtype, shape and ``data_offsets``, then the data (https://github.com/huggingface/safetensors,
"Format").
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.interfaces import Computed

_POINTER = b"version https://git-lfs"
# Names in the format, in the library's storage order.
DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


@dataclass(frozen=True)
class TensorHeader:
    """One stored tensor.

    Attributes:
        shape: its shape.
        dtype: name in the format, such as ``BF16``.
        start: first byte in the file; not compared.
    """

    shape: tuple[int, ...]
    dtype: str
    start: int = field(default=0, compare=False)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Read a safetensors file.

    Raises:
        UserError: the file is missing, unreadable or damaged.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or first_line(error)}); check that the file "
            "is there"
        ) from error
    except (safetensors.SafetensorError, ValueError) as error:
        if _is_pointer(path):
            raise UserError(
                f"{path}: is a pointer of Git LFS in place of the weights; run git lfs pull there"
            ) from error
        raise UserError(
            f"{path}: truncated or corrupt ({first_line(error)}); copy or export it again"
        ) from error


def _is_pointer(path: Path) -> bool:
    """Whether a clone without Git LFS left the file's address instead of the file."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def read_header(path: Path) -> dict[str, TensorHeader]:
    """Names, shapes and dtypes of the tensors in a safetensors file.

    Raises:
        UserError: the file is missing, not regular, or damaged.
    """
    with readable(path):
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block
            raise UserError(f"{path}: not a regular file; copy or export it again")
        # The library checks the header, and that tensors fill the file.
        with safetensors.safe_open(path, framework="pt"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entries = json.loads(file.read(length))
    return {
        name: TensorHeader(
            tuple(entry["shape"]), entry["dtype"], 8 + length + entry["data_offsets"][0]
        )
        for name, entry in entries.items()
        if name != "__metadata__"
    }


class StoredTensors(Computed[Tensor]):
    """The floating-point tensors of safetensors files, by name; each access reads the tensor again.

    Tensors are read, not memory-mapped: mapped pages count as resident memory until the system
    reclaims them.

    Args:
        files: safetensors files: the shards of one model.

    Attributes:
        headers: name -> shape and dtype.
        shapes: name -> shape.

    Raises:
        UserError: a file is missing or damaged.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files: dict[str, Path] = {}
        self.headers: dict[str, TensorHeader] = {}
        for file in files:
            for name, header in read_header(file).items():
                if header.dtype in DTYPES:
                    self._files[name] = file
                    self.headers[name] = header
        super().__init__({name: h.shape for name, h in self.headers.items()}, self._read)

    def _read(self, name: str) -> Tensor:
        header = self.headers[name]
        dtype = self.dtype(name)
        data = bytearray(math.prod(header.shape) * dtype.itemsize)
        with self._files[name].open("rb") as stream:
            stream.seek(header.start)
            if stream.readinto(data) != len(data):
                raise UserError(
                    f"{stream.name}: became shorter while it was in use; copy it again and resume"
                )
        if not data:
            return torch.empty(header.shape, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype).view(header.shape)

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of one tensor."""
        return DTYPES[self.headers[name].dtype]
