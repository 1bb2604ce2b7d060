"""Safetensors files: the header only, or tensors read one at a time on access."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.interfaces import Computed

# Names in the format, in the library's storage order.
DTYPES = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


@dataclass(frozen=True)
class TensorHeader:
    """One stored tensor.

    Attributes:
        shape: its shape.
        dtype: name in the format, such as ``BF16``.
    """

    shape: tuple[int, ...]
    dtype: str


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file, open for reading tensors or parts of them.

    Raises:
        UserError: the file is missing, not regular, or damaged.
    """
    if not path.is_file():  # opening a pipe would block
        raise UserError(f"cannot read {path} (no such file); check that the file exists")
    try:
        with safetensors.safe_open(path, framework="pt") as stored:
            yield stored
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is truncated or corrupt ({first_line(error)}); copy or export it again"
        ) from error


def read_header(path: Path) -> dict[str, TensorHeader]:
    """Names, shapes and dtypes of the tensors in a safetensors file.

    Raises:
        UserError: the file is missing, not regular, or damaged.
    """
    found = {}
    with opened(path) as stored:
        for name in stored.keys():  # noqa: SIM118
            part = stored.get_slice(name)
            found[name] = TensorHeader(tuple(part.get_shape()), part.get_dtype())
    return found


def require_finite(where: str, tensors: Iterable[tuple[str, Tensor]], remedy: str) -> None:
    """Refuse tensors that are not finite.

    Args:
        where: file or model, for the message.
        tensors: name and values of each; read one at a time.
        remedy: end of the message.

    Raises:
        UserError: names the first such tensor.

    Example:
        >>> require_finite("a.safetensors", [("b", torch.tensor([1.0, float("nan")]))], "export it again")
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: a.safetensors: the values of b are NaN or infinite; export it again
    """
    for name, values in tensors:
        if not bool(values.isfinite().all()):
            raise UserError(f"{where}: the values of {name} are NaN or infinite; {remedy}")


class StoredTensors(Computed[Tensor]):
    """The floating-point tensors of safetensors files, by name; each access reads the tensor again,
    so that no file stays mapped into memory.

    Args:
        files: safetensors files: the shards of one model.

    Attributes:
        shapes: name -> shape.

    Raises:
        UserError: a file is missing or damaged.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._stored = {
            name: (file, header)
            for file in files
            for name, header in read_header(file).items()
            if header.dtype in DTYPES
        }
        super().__init__({name: h.shape for name, (_, h) in self._stored.items()}, self._read)

    def _read(self, name: str) -> Tensor:
        file, _ = self._stored[name]
        with opened(file) as stored:
            return stored.get_tensor(name)

    def dtype(self, name: str) -> torch.dtype:
        """The dtype of one tensor."""
        return DTYPES[self._stored[name][1].dtype]
