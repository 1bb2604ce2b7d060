"""NumPy's arrays beside torch's tensors: which is which, the functions for either, and one as the
other.

The rules of a swarm are written once for both: with operators, methods that both have, and
`namespace`, whose functions have the names of the array API standard. Nothing here imports torch
before there is a tensor: swarms and searches of NumPy arrays run without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

# a NumPy array or a torch tensor, and the dtype of one: those of a swarm are all of one kind
Array = Any
DType = Any
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def is_tensor(thing: Any) -> TypeGuard[Tensor]:
    """Whether it is a tensor of torch; where nobody has imported torch, nothing is.

    Example:
        >>> is_tensor(np.zeros(3))
        False
    """
    return _are_tensors(type(thing))


@cache
def _are_tensors(kind: type) -> bool:
    """Whether things of this type are; kept, since a swarm asks ten times a move."""
    return issubclass(kind, getattr(sys.modules.get("torch"), "Tensor", ()))


def namespace(array: Array) -> Any:
    """The module with the functions for an array: NumPy, or torch for a tensor.

    Example:
        >>> namespace(np.zeros(3)).where(np.zeros(3) < 1, 1.0, 2.0).tolist()
        [1.0, 1.0, 1.0]
    """
    return sys.modules["torch"] if is_tensor(array) else np


def like(source: Array, array: Array) -> Array:
    """An array or a tensor as one of the kind, dtype and device of another; not copied where it is
    one already.

    Example:
        >>> like(np.array([0.5]), np.zeros(3, dtype=np.float32)).dtype
        dtype('float32')
    """
    if is_tensor(array):
        # device and dtype at once: some devices have no float64
        return _as_tensor(source if is_tensor(source) else np.asarray(source, np.float64)).to(array)
    return np.asarray(as_array(source), dtype=array.dtype)


def beside(source: Array, array: Array) -> Array:
    """An array or a tensor as one of the kind of another, on its device, with its own dtype."""
    if not is_tensor(array):
        return as_array(source)
    return _as_tensor(source).to(array.device)


def _as_tensor(source: Array) -> Tensor:
    """A tensor, or an array as one on the same memory, copied where that is read only."""
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
    """Whether it is a dtype of torch.

    Example:
        >>> is_of_torch(np.float32)
        False
    """
    return isinstance(dtype, getattr(sys.modules.get("torch"), "dtype", ()))


def largest_number(dtype: DType) -> float:
    """The largest finite number of a floating dtype, NumPy's or torch's."""
    library = sys.modules["torch"] if is_of_torch(dtype) else np
    return float(library.finfo(dtype).max)


@contextmanager
def needing_torch(what: str) -> Iterator[None]:
    """Have an import that fails for want of torch say what needs it and which extra has it:
    ImportError, one line.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            f"{what} needs torch, which is not installed: install the extra 'torch'"
        ) from None


def holds_numbers(array: npt.NDArray[Any]) -> bool:
    """Whether all entries are real numbers: no None, which NumPy would read as NaN, no complex
    numbers, whose imaginary part it would drop, and no text, which it would read.

    Example:
        >>> holds_numbers(np.array([1, 2.5])), holds_numbers(np.array([1, None]))
        (True, False)
    """
    kind = array.dtype.kind
    return kind in "biuf" or (kind == "O" and all(entry is not None for entry in array.flat))


def median(values: npt.ArrayLike) -> float:
    """Median of a vector without NaN; that of NumPy imports `numpy.ma` first, which takes as long as
    a short search.

    Example:
        >>> median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])
        (2.0, 2.5)
    """
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1].mean())


def as_arrays(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The entries, tensors as arrays, on the same memory where that is the CPU's; bfloat16 as
    float32.
    """
    return {name: as_array(value) if is_tensor(value) else value for name, value in saved.items()}


def as_array(tensor: Array) -> npt.NDArray[Any]:
    """A tensor as an array, on the same memory where that is the CPU's; bfloat16 as float32, since
    NumPy has none. An array is one already.
    """
    if not is_tensor(tensor):
        return np.asarray(tensor)
    wide = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    return wide.detach().cpu().numpy()
