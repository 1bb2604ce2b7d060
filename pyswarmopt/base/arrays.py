"""NumPy arrays beside torch tensors: telling them apart, functions for both, and conversion.

The rules of a swarm are written once for both: with operators, common methods, and `namespace`,
whose functions have the names of the array API standard. Nothing here imports torch before there is
a tensor: swarms and searches on NumPy arrays run without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
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
    return sys.modules["torch"] if is_tensor(array) else np


def like(source: Array, array: Array) -> Array:
    """An array or tensor converted to another's kind, dtype and device; not copied if unnecessary.

    Example:
        >>> like(np.array([0.5]), np.zeros(3, dtype=np.float32)).dtype
        dtype('float32')
    """
    if is_tensor(array):
        # device and dtype in one step: some devices have no float64
        return _as_tensor(source if is_tensor(source) else np.asarray(source, np.float64)).to(array)
    return np.asarray(as_array(source), dtype=array.dtype)


def beside(source: Array, array: Array) -> Array:
    """An array or tensor converted to another's kind and device, with its own dtype."""
    if not is_tensor(array):
        return as_array(source)
    tensor = _as_tensor(source)
    return tensor if array.is_cpu and tensor.is_cpu else tensor.to(array.device)


def _as_tensor(source: Array) -> Tensor:
    """A tensor, or an array as a tensor on the same memory (copied if read-only)."""
    if is_tensor(source):
        return source
    flags = source.flags
    if not (flags.writeable and flags.c_contiguous):
        source = source.copy()
    return sys.modules["torch"].from_numpy(source)


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
    library = sys.modules["torch"] if is_of_torch(dtype) else np
    return float(library.finfo(dtype).max)


@contextmanager
def needing_torch(what: str) -> Iterator[None]:
    """Turn a failed import of torch into a one-line ImportError with the feature and the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            f"{what} needs torch, which is not installed: install the extra 'torch'"
        ) from None


def holds_numbers(array: npt.NDArray[Any]) -> bool:
    """Whether all entries are real numbers: no None (NumPy would read NaN), no complex numbers (it
    would drop imaginary parts), and no text (it would parse it).

    Example:
        >>> holds_numbers(np.array([1, 2.5])), holds_numbers(np.array([1, None]))
        (True, False)
    """
    kind = array.dtype.kind
    return kind in "biuf" or (kind == "O" and all(entry is not None for entry in array.flat))


def median(values: npt.ArrayLike) -> float:
    """Median of a vector without NaN; NumPy's would first import `numpy.ma`, which takes as long as
    a short search.

    Example:
        >>> median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])
        (2.0, 2.5)
    """
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1].mean())


def untensored(data: Any) -> Any:
    """Tensors, also those in lists and tuples, as arrays; anything else unchanged.

    Example:
        >>> untensored([1.0, (2.0, None)])
        [1.0, [2.0, None]]
    """
    if isinstance(data, list | tuple):
        return [untensored(each) for each in data]
    return as_array(data) if is_tensor(data) else data


def as_array(tensor: Array) -> npt.NDArray[Any]:
    """A tensor as an array, sharing memory if on the CPU; bfloat16 becomes float32, which NumPy
    lacks. Arrays are returned unchanged.
    """
    if not is_tensor(tensor):
        return np.asarray(tensor)
    wide = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    return wide.detach().cpu().numpy()
