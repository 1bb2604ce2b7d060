"""Choosing device, dtype and threads."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys

import torch

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import DTYPES
from pyswarmopt_llm.common.registry import unknown


def keep_few_products() -> None:
    """Bound the caches of compiled matrix products, unless the environment does so.

    PyTorch on a CPU caches a compiled product for each batch shape, up to 1,024 of about 0.4 MB in
    each of two caches; a training step has about 50 shapes. The limits are read at a process's first
    product.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "128")


def give_back_memory() -> None:
    """Return free memory to the system, if it uses glibc.

    Activations of many sizes fragment its heap, which would otherwise grow with each step.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def pick_device(name: str = "auto") -> torch.device:
    """The torch device for ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...

    Raises:
        UserError: this machine has no such device.

    Example:
        >>> pick_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"(cpu|cuda)(:(0|[1-9]\d?))?", name):
        raise InvalidOption("device", name, "is not a device; use auto, cpu, cuda or cuda:1")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        why = f": PyTorch finds {torch.cuda.device_count()} CUDA devices; use another device"
        raise InvalidOption("device", name, why)
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The torch dtype with this name, or for ``auto``, see `automatic_dtype`.

    Raises:
        UserError: the name is unknown.

    Example:
        >>> pick_dtype("float32", torch.device("cpu"))
        torch.float32
    """
    if name != "auto":
        if name not in DTYPES:
            raise unknown("dtype", name, DTYPES)
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    return automatic_dtype(device)


def automatic_dtype(device: torch.device) -> torch.dtype:
    """Of a CPU: bfloat16 if it multiplies it natively, else float32; of a GPU: else float16."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16
        return torch.float16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on a GPU or on the CPU.

    torch has an exception for its own allocator. Lack of memory on a CPU, and in the driver or
    cuBLAS on a shared GPU, is a `RuntimeError` with such a message.

    Example:
        >>> out_of_memory(torch.OutOfMemoryError("CUDA out of memory")), out_of_memory(RuntimeError("shapes differ"))
        (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    lacking = re.search("can't allocate memory|out of memory|ALLOC_FAILED", str(error))
    return isinstance(error, RuntimeError) and bool(lacking)


def peak_memory() -> int:
    """Peak resident memory of this process so far, plus the peak on the GPU, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return resident + (torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)
