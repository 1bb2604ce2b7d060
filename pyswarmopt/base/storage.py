"""Where the large tensors of a swarm are: in memory, or on a disk and mapped into memory."""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAPPED_FROM = 2**20  # bytes; smaller tensors are in memory in any case
ZEROS = bytes(2**20)


class StorageError(OSError):
    """The folder cannot hold the files of a swarm; `errno` and the message say why."""


class Storage:
    """Gives memory for large tensors, or files of a folder that are mapped into memory.

    The operating system writes the pages of a mapped tensor to the disk when memory is short and reads them again on
    access. Its file has no name, and its room on the disk is free again when the last view of the tensor is gone, or
    the process, however it ends.

    Args:
        folder: for the files; it must exist. None: memory.

    Raises:
        StorageError: no file can be written there.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     x = Storage(folder).empty((3, 100_000), torch.float32).fill_(2.0)
        ...     x.shape, os.listdir(folder), float(x.sum())
        (torch.Size([3, 100000]), [], 600000.0)
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            self._map(self.folder, 1).close()

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str = "cpu") -> Tensor:
        """A tensor of that shape whose numbers are still to be set; a ValueError says that there is no such memory."""
        import torch

        size = math.prod(shape) * dtype.itemsize
        if size > sys.maxsize:
            raise too_large(shape, size)
        if self.folder is None or size < MAPPED_FROM:
            try:
                return torch.empty(shape, dtype=dtype, device=device)
            except (MemoryError, RuntimeError) as error:
                raise too_large(shape, size) from error
        return torch.frombuffer(self._map(self.folder, size), dtype=dtype).reshape(shape)

    def copy(self, source: Tensor, device: torch.device | None = None) -> Tensor:
        """A contiguous copy, on the same device unless another one is given."""
        return self.empty(tuple(source.shape), source.dtype, device or source.device).copy_(source.detach())

    def _map(self, folder: Path, size: int) -> mmap.mmap:
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                _reserve(file.fileno(), size)
                return mmap.mmap(file.fileno(), size)  # keeps the file open
        except OSError as error:
            reason = os.strerror(error.errno or errno.EIO)
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                free = shutil.disk_usage(folder).free
                reason = f"no room for {size / 1e9:.3g} GB more ({reason}; {free / 1e9:.3g} GB are free)"
            raise StorageError(error.errno, f"offload_folder={str(folder)!r}: {reason}") from error


def too_large(shape: tuple[int, ...], size: int) -> ValueError:
    """What to raise where an array of that shape and of `size` bytes finds no memory."""
    numbers = " x ".join(map(str, shape))
    return ValueError(
        f"{numbers} numbers ({size / 1e9:.3g} GB) find no memory: use fewer particles or coordinates, or offload_folder"
    )


def _reserve(descriptor: int, size: int) -> None:
    """Take the file's room on the disk now: a page that finds none when it is written ends the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    for start in range(0, size, len(ZEROS)):
        os.write(descriptor, ZEROS[: size - start])


IN_MEMORY = Storage()
