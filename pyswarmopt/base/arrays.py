"""NumPy arrays and torch tensors alike: type checks, common functions, conversion, memory, blocks,
dtypes and devices.

The rules of a swarm are written once for both: with operators, common methods, and `namespace`,
whose functions have the names of the array API standard. Nothing here imports torch before there is
a tensor: swarms and searches on NumPy arrays run without it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

# a NumPy array or a torch tensor, and its dtype; a swarm uses one kind only
Array = Any
DType = Any
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
FLOATING = ("float16", "float32", "float64", "bfloat16")  # the last one is torch's alone
BLOCK = 2**16  # numbers in a block; with its temporaries it fits a cache of 1 or 2 MiB
EVERY = slice(None)


def is_tensor(thing: Any) -> TypeGuard[Tensor]:
    """Whether an object is a torch tensor; never true while torch is not imported.

    Example:
        >>> is_tensor(np.zeros(3))
        False
    """
    return _are_tensors(thing.__class__)


@lru_cache(maxsize=16)  # a swarm asks ten times per move; bounded, for it keeps types alive
def _are_tensors(kind: type) -> bool:
    return issubclass(kind, getattr(sys.modules.get("torch"), "Tensor", ()))


def namespace(array: Array) -> Any:
    """The module with the functions for an array: NumPy, or torch for a tensor.

    Example:
        >>> namespace(np.zeros(3)).where(np.zeros(3) < 1, 1.0, 2.0).tolist()
        [1.0, 1.0, 1.0]
    """
    if is_tensor(array):
        return sys.modules["torch"]
    return np


def like(source: Array, array: Array) -> Array:
    """Convert an array or tensor to another's type, dtype and device, without copying if possible.

    Example:
        >>> like(np.array([0.5]), np.zeros(3, dtype=np.float32)).dtype
        dtype('float32')
    """
    if is_tensor(array):
        if not is_tensor(source):
            source = np.asarray(source, np.float64)
        # device and dtype in one step: some devices have no float64
        return _as_tensor(source).to(array)
    return np.asarray(as_array(source), dtype=array.dtype)


def beside(source: Array, array: Array) -> Array:
    """Convert an array or tensor to another's type and device; it keeps its dtype."""
    if not is_tensor(array):
        return as_array(source)
    tensor = _as_tensor(source)
    if array.is_cpu and tensor.is_cpu:
        return tensor
    return tensor.to(array.device)


def _as_tensor(source: Array) -> Tensor:
    """A tensor, or an array as a tensor on the same memory (copied if read-only)."""
    if is_tensor(source):
        return source
    return sys.modules["torch"].from_numpy(np.require(source, requirements=["C", "W"]))


def dtype_name(value: Any) -> str:
    """The name of an array's or a tensor's dtype; empty for anything else.

    Example:
        >>> dtype_name(np.zeros(3)), dtype_name(3)
        ('float64', '')
    """
    return str(getattr(value, "dtype", "")).removeprefix("torch.")


def is_of_torch(dtype: Any) -> bool:
    """Whether it is a torch dtype.

    Example:
        >>> is_of_torch(np.float32)
        False
    """
    return isinstance(dtype, getattr(sys.modules.get("torch"), "dtype", ()))


def largest_number(dtype: DType) -> float:
    """The largest finite number of a floating dtype (NumPy or torch)."""
    if is_of_torch(dtype):
        return float(sys.modules["torch"].finfo(dtype).max)
    return float(np.finfo(dtype).max)


@contextmanager
def needing(package: str, what: str, cure: str) -> Iterator[None]:
    """Turn a failed import of a package into a one-line ImportError with the feature and the cure."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ImportError(f"{what} needs {package}, which is not installed: {cure}") from None


def needing_torch(what: str) -> AbstractContextManager[None]:
    """As `needing`, of torch."""
    return needing("torch", what, "install the extra 'torch'")


def holds_numbers(array: npt.NDArray[Any]) -> bool:
    """Whether all entries are real numbers: no None (NumPy would read NaN), no complex numbers (it
    would drop imaginary parts), no text (it would parse it), and no other objects.

    Example:
        >>> holds_numbers(np.array([1, 2.5])), holds_numbers(np.array([1, None]))
        (True, False)
        >>> holds_numbers(np.array({"loss": 1.0}))
        False
    """
    kind = array.dtype.kind
    return kind in "biuf" or (kind == "O" and all(map(_is_real, array.flat)))


def _is_real(entry: Any) -> bool:
    """Whether Python can convert an object to a float without parsing it."""
    return hasattr(entry, "__float__") or hasattr(entry, "__index__")


def median(values: npt.ArrayLike) -> float:
    """Median of a vector without NaN; NumPy's would first import `numpy.ma`, which takes as long as
    a short search.

    Example:
        >>> median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])
        (2.0, 2.5)
    """
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1].mean())


def padded(rows: Iterable[Any]) -> Floats:
    """Rows of different lengths as one array, padded with infinity."""
    return np.array([*zip_longest(*rows, fillvalue=math.inf)], dtype=np.float64).T


def untensored(data: Any) -> Any:
    """Convert tensors to arrays, and masked arrays to arrays with NaN, also in lists and tuples;
    anything else is unchanged.

    Example:
        >>> untensored([1.0, (2.0, None)])
        [1.0, [2.0, None]]
    """
    if isinstance(data, list | tuple):
        return [untensored(each) for each in data]
    return as_array(data) if is_tensor(data) or is_masked(data) else data


def is_masked(data: Any) -> bool:
    """Whether an object is one of NumPy's masked arrays, whose masked values are missing.

    Example:
        >>> is_masked(np.ma.masked), is_masked(np.zeros(3))
        (True, False)
    """
    kind = type(data)
    return kind is not np.ndarray and issubclass(kind, np.ndarray) and hasattr(data, "filled")


def as_array(tensor: Array) -> npt.NDArray[Any]:
    """A tensor as an array, sharing memory if on the CPU; bfloat16 becomes float32, which NumPy
    lacks. Masked values become NaN; other arrays are returned unchanged.
    """
    if is_masked(tensor):
        return tensor.astype(np.float64).filled(math.nan)
    if not is_tensor(tensor):
        return np.asarray(tensor)
    if dtype_name(tensor) == "bfloat16":
        tensor = tensor.float()
    return tensor.detach().cpu().numpy()


# ---- memory ----


def empty(shape: tuple[int, ...], dtype: DType, device: Any = "cpu") -> Array:
    """An uninitialised array, or a tensor if the dtype is torch's.

    Raises:
        ValueError: there is not enough memory.

    Example:
        >>> empty((3, 4), np.dtype("float32")).shape
        (3, 4)
    """
    try:
        if isinstance(dtype, np.dtype):
            return np.empty(shape, dtype)
        import torch

        return torch.empty(shape, dtype=dtype, device=device)
    except (MemoryError, RuntimeError, ValueError) as error:
        numbers = " x ".join(map(str, shape))
        raise ValueError(f"not enough memory for {numbers} numbers; use fewer particles") from error


def copied(source: Array, device: Any = None) -> Array:
    """A contiguous copy; of a tensor on the same device unless `device` is given."""
    if not is_tensor(source):
        return source.copy()
    copy = empty(tuple(source.shape), source.dtype, device or source.device)
    return copy.copy_(source.detach())


def blocks(n: int, dim: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks of an (n, dim) array, in memory order: some rows, or a part of
    one.

    Example:
        >>> [(rows.start, rows.stop) for rows, columns in blocks(100, 1000)]
        [(0, 65), (65, 100)]
    """
    height = max(BLOCK // dim, 1)
    for i in range(0, n, height):
        for j in range(0, dim, BLOCK):
            yield slice(i, min(i + height, n)), slice(j, min(j + BLOCK, dim))


# ---- dtype and device ----


def kind_of(dtype: DType, device: Any, positions: Array | None) -> tuple[DType, Any]:
    """The dtype and device of a swarm: of tensors if any of the three arguments is torch's, else of
    arrays.
    """
    of_arrays = device is None and not is_of_torch(dtype) and not is_tensor(positions)
    if dtype is None and is_tensor(positions) and positions.is_floating_point():
        dtype = positions.dtype
    try:
        if is_of_torch(dtype):
            name = str(dtype).removeprefix("torch.")
        else:
            name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in FLOATING or (of_arrays and name == "bfloat16"):
        raise ValueError(
            f"dtype={dtype!r}: use float64, float32 or float16, or a floating-point torch dtype"
        )
    if of_arrays:
        return np.dtype(name), "cpu"
    device = _usable(device)
    return getattr(sys.modules["torch"], name), device


def _usable(device: Any) -> Any:
    """The torch device, by default the CPU, if this machine has it."""
    with needing_torch(f"device={device!r}"):
        import torch
    if device is None:
        device = "cpu"
    try:
        return torch.ones(1, device=device).cpu() and torch.device(device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device={str(device)!r} cannot be used: {reason}") from error
