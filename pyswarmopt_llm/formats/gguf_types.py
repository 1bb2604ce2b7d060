"""Rounding to the types of GGUF files.

Package `gguf` reads all of them and writes those with blocks of 32 values; llama.cpp itself, in
llama-cpp-python, writes K-quants.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.common.extras import missing_extra, need_extra

LLAMA_CPP = "llama_cpp"
K_QUANTS = ("Q4_K", "Q5_K", "Q6_K")
HALF = "F16"
BLOCK = 32  # values of a row that share a step
_BITS = {"Q4_0": 4, "Q4_1": 4, "Q5_0": 5, "Q5_1": 5}


def writable(kind: str) -> bool:
    """Whether the packages that are installed can round to a type."""
    return kind not in K_QUANTS or not missing_extra(LLAMA_CPP)


def rounded(value: Tensor, kind: str) -> Tensor:
    """The values that a type holds for these, (rows, width) float32.

    Args:
        value: matrix of any float dtype, on any device.
        kind: a type of GGUF files, whose blocks divide the width.

    Example:
        >>> rounded(torch.linspace(-8, 7, 32)[None], "Q4_0")[0, :3].tolist()
        [-8.0, -8.0, -7.0]
    """
    if kind == HALF:
        return value.to(torch.float16).to(torch.float32)
    return unpacked(packed(value, kind), kind).to(value.device)


def packed(value: Tensor, kind: str) -> Tensor:
    """The bytes of a file for a matrix, (rows, bytes of a row) uint8 on the CPU.

    Args:
        value: (rows, width), any float dtype, on any device.
        kind: a type of GGUF files that is quantised.
    """
    import gguf

    wide = np.ascontiguousarray(value.to("cpu", torch.float32).numpy())
    pack = _packed_by_llama_cpp if kind in K_QUANTS else gguf.quantize
    return torch.from_numpy(pack(wide, gguf.GGMLQuantizationType[kind]))


def unpacked(codes: Tensor, kind: str) -> Tensor:
    """The values of a matrix in a file, (rows, width) float32 on the CPU.

    Args:
        codes: its bytes, (rows, bytes of a row) uint8 on the CPU.
        kind: a type of GGUF files.
    """
    import gguf

    return torch.from_numpy(gguf.dequantize(codes.numpy(), gguf.GGMLQuantizationType[kind]))


def width_of(size: int, kind: str) -> int:
    """The width of a matrix with this many bytes in a row.

    Example:
        >>> width_of(20, "Q4_1")
        32
    """
    import gguf

    values, stored = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    return int(size // stored * values)


def shares_steps(kind: str) -> bool:
    """Whether a type has four or five bits, and a step for each block.

    Example:
        >>> shares_steps("Q4_1"), shares_steps("Q8_0"), shares_steps("nf4")
        (True, False, False)
    """
    return kind in _BITS


def steps(value: Tensor, kind: str) -> tuple[Tensor, Tensor, Tensor, int]:
    """The values that a type holds for these, (rows, width), with each block's least value and step,
    (rows, width / 32), all on their device, and the bits of a code; see `shares_steps`.
    """
    bits = _BITS[kind]
    codes = packed(value, kind)
    heads = codes.view(len(codes), value.shape[1] // BLOCK, -1)[..., :4].contiguous()
    numbers = heads.view(torch.float16).to(torch.float32)  # step and, in some types, least value
    step = numbers[..., 0]
    low = numbers[..., 1] if kind.endswith("_1") else -(2 ** (bits - 1)) * step
    rounded, low, step = (part.to(value.device) for part in (unpacked(codes, kind), low, step))
    return rounded, low, step, bits


def _packed_by_llama_cpp(wide: Any, of_file: Any) -> Any:
    """The codes of a matrix, (rows, bytes) uint8."""
    import gguf

    rows, width = wide.shape
    block, size = gguf.GGML_QUANT_SIZES[of_file]
    codes = np.empty((rows, width // block * size), np.uint8)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (wide, codes)]
    _library().ggml_quantize_chunk(int(of_file), *pointers, 0, rows, width, None)
    return codes


@lru_cache(maxsize=1)
def _library() -> Any:
    """llama.cpp's library of tensors."""
    need_extra(LLAMA_CPP, "`quantize` q4_k_m")
    package = find_spec(LLAMA_CPP)  # located, not imported
    folders = getattr(package, "submodule_search_locations", None) or []
    files = [file for folder in folders for file in sorted((Path(folder) / "lib").iterdir())]
    file = next(file for file in files if "ggml-base" in file.name)
    library = ctypes.CDLL(str(file))
    numbers = [ctypes.c_int64] * 3  # first value, rows, values of a row
    pointers = [ctypes.c_void_p] * 2  # float32 values, room for codes
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int, *pointers, *numbers, ctypes.c_void_p]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library
