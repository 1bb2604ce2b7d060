"""Weights that stay in their files: one tensor is read when it is asked for, and nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.models.adapters.safetensors_file import TensorHeader, read_header

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class StoredTensors(Mapping[str, Tensor]):
    """The floating-point tensors of safetensors files, by name; each access reads one from the file.

    Plain reads, not a memory map: mapped pages count as resident memory until the system takes them back.

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
                if header.dtype in _DTYPES:
                    self._files[name], self.headers[name] = file, header

    def __getitem__(self, name: str) -> Tensor:
        header, file, dtype = self.headers[name], self._files[name], self.dtype(name)
        data = bytearray(torch.Size(header.shape).numel() * dtype.itemsize)
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
        return _DTYPES[self.headers[name].dtype]

    def file_of(self, name: str) -> Path:
        """The file that holds it."""
        return self._files[name]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape."""
        return {name: header.shape for name, header in self.headers.items()}
