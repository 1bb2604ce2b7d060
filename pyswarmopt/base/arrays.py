"""NumPy's arrays beside torch's tensors: which is which, and the entries of a saved state as one or
the other.

Nothing here imports torch before there is a tensor: a search of NumPy arrays runs without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def is_tensor(thing: Any) -> TypeGuard[Tensor]:
    """Whether it is a tensor of torch; where nobody has imported torch, nothing is.

    Example:
        >>> is_tensor(np.zeros(3))
        False
    """
    return isinstance(thing, getattr(sys.modules.get("torch"), "Tensor", ()))


def torch_is_installed() -> bool:
    """Whether torch could be imported; it is not, here."""
    return find_spec("torch") is not None


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


def as_array(tensor: Tensor) -> npt.NDArray[Any]:
    """A tensor as an array, on the same memory where that is the CPU's; bfloat16 as float32, since
    NumPy has none.
    """
    wide = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    return wide.detach().cpu().numpy()


def as_tensors(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The entries, arrays as tensors on the same memory."""
    import torch

    return {
        name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in saved.items()
    }
