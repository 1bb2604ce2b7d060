"""Safetensors files: the header alone, or tensors read one at a time on access.

Format: 8 bytes with the header's length N (little-endian), N bytes of JSON that map each name to dtype, shape
and ``data_offsets``, then the data (https://github.com/huggingface/safetensors, "Format"). Every claim of the
header is checked against the file's size before memory is allocated for it.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_text import parse_json

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
}  # fmt: skip
# As the format spells them, in the order in which the library stores tensors.
DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library itself


@dataclass(frozen=True)
class TensorHeader:
    """One stored tensor.

    Attributes:
        shape: its shape.
        dtype: as the format spells it, such as ``BF16``.
        start: its first byte in the file; not compared.
    """

    shape: tuple[int, ...]
    dtype: str
    start: int = field(default=0, compare=False)


def read_header(path: Path) -> dict[str, TensorHeader]:
    """Names, shapes and dtypes of the tensors in a safetensors file.

    Raises:
        UserError: the file is missing, empty, truncated, or its header does not fit its size.
    """
    try:
        about = path.stat()
        size = about.st_size
        if not stat.S_ISREG(about.st_mode):  # a pipe would wait for a writer
            raise UserError(f"{path}: not a regular file; copy or export it again")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise UserError(f"{path}: truncated or not safetensors ({size} bytes); copy or export it again")
            text = file.read(length)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check that the file is there") from error
    try:
        entries = parse_json(text.decode("utf-8"), unique=True)
    except ValueError as error:
        raise UserError(f"{path}: its header is not valid JSON ({error}); copy or export it again") from error
    if not isinstance(entries, dict):
        raise UserError(f"{path}: its header is not a JSON object; copy or export it again")
    entries.pop("__metadata__", None)
    return _checked(path, entries, 8 + length, size - 8 - length)


def _checked(path: Path, entries: Mapping[str, Any], data_start: int, data_bytes: int) -> dict[str, TensorHeader]:
    """The entries, checked to fill the `data_bytes` of data exactly."""
    header: dict[str, TensorHeader] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in entries.items():
        tensor, span = _entry(path, name, entry)
        if span[1] > data_bytes:
            raise UserError(
                f"{path}: tensor {name!r} ends at byte {span[1]} of only {data_bytes}: "
                "the file is truncated or corrupt; copy or export it again"
            )
        header[name] = replace(tensor, start=data_start + span[0])
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise UserError(f"{path}: its tensors overlap or leave gaps; copy or export it again")
        end = stop
    if end != data_bytes:
        raise UserError(f"{path}: {data_bytes - end} bytes beyond the last tensor; copy or export it again")
    return header


def _entry(path: Path, name: str, entry: Any) -> tuple[TensorHeader, tuple[int, int]]:
    """One entry and its (start, stop) in the data, whose length is checked against shape and dtype."""
    if not isinstance(entry, dict):
        raise UserError(f"{path}: tensor {name!r} has a malformed header; copy or export it again")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if dtype not in tuple(_BITS):
        raise UserError(f"{path}: tensor {name!r} has the dtype {dtype!r}; save it as F32, F16 or BF16")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise UserError(f"{path}: tensor {name!r} has a malformed shape or offsets; copy or export it again")
    start, stop = offsets
    if (stop - start) * 8 != math.prod(shape) * _BITS[dtype]:
        raise UserError(
            f"{path}: tensor {name!r} claims the shape {shape} in {dtype} but takes {stop - start} bytes; "
            "copy or export it again"
        )
    return TensorHeader(tuple(shape), dtype), (start, stop)


def _counts(value: Any) -> TypeGuard[list[int]]:
    """Whether `value` is a list of at most 8 integers >= 0 (bools do not count)."""
    return isinstance(value, list) and len(value) <= 8 and all(type(v) is int and v >= 0 for v in value)


class StoredTensors(Mapping[str, Tensor]):
    """The floating-point tensors of safetensors files, by name; each access reads one tensor, and none is kept.

    Plain reads instead of a memory map: mapped pages count as resident memory until the system reclaims them.

    Args:
        files: safetensors files, the shards of one model.

    Attributes:
        headers: name -> shape and dtype.

    Raises:
        UserError: a file is missing or damaged.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files: dict[str, Path] = {}
        self.headers: dict[str, TensorHeader] = {}
        for file in files:
            for name, header in read_header(file).items():
                if header.dtype in DTYPES:
                    self._files[name], self.headers[name] = file, header

    def __getitem__(self, name: str) -> Tensor:
        header, file, dtype = self.headers[name], self._files[name], self.dtype(name)
        data = bytearray(math.prod(header.shape) * dtype.itemsize)
        with file.open("rb") as stream:
            stream.seek(header.start)
            if stream.readinto(data) != len(data):
                raise UserError(f"{file}: became shorter while it was in use; copy it again and resume")
        if not data:
            return torch.empty(header.shape, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype).view(header.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.headers)

    def __len__(self) -> int:
        return len(self.headers)

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of one tensor."""
        return DTYPES[self.headers[name].dtype]

    def file_of(self, name: str) -> Path:
        """The file that holds one tensor."""
        return self._files[name]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape."""
        return {name: header.shape for name, header in self.headers.items()}
