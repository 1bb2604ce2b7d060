"""Where a swarm's numbers are: arrays or tensors, of which dtype, on which device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Array, DType, beside, is_of_torch, is_tensor, needing_torch

FLOATING = ("float16", "float32", "float64")  # NumPy dtypes supported by swarms


def kind_of(dtype: DType, device: Any, positions: Array | None) -> tuple[DType, Any]:
    """The dtype and device of a swarm: of tensors if any of the three arguments is torch's, else of
    arrays.
    """
    if device is None and not is_of_torch(dtype) and not is_tensor(positions):
        return np.dtype(_floating_name(dtype)), "cpu"
    with needing_torch(f"device={device!r}"):
        import torch
    if dtype is None and is_tensor(positions) and positions.is_floating_point():
        dtype = positions.dtype
    elif not is_of_torch(dtype):
        dtype = getattr(torch, _floating_name(dtype))
    if not dtype.is_floating_point:
        raise _no_dtype(dtype)
    return dtype, _usable(device)


def _floating_name(dtype: Any) -> str:
    """The name of a NumPy floating dtype; None means float64."""
    try:
        name = np.dtype(dtype).name
    except TypeError:
        raise _no_dtype(dtype) from None
    if name not in FLOATING:
        raise _no_dtype(dtype)
    return name


def _no_dtype(dtype: Any) -> ValueError:
    return ValueError(
        f"dtype={dtype!r}: use float64, float32 or float16, or a floating dtype of torch"
    )


def _usable(device: Any) -> Any:
    """The torch device, by default the CPU, if this machine has it."""
    with needing_torch(f"device={device!r}"):
        import torch
    chosen = "cpu" if device is None else device
    try:
        torch.ones(1, device=chosen).cpu()
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device={str(chosen)!r} cannot be used: {reason}") from error
    return torch.device(chosen)


def mover(device: Any) -> Callable[[Array], Array]:
    """A function that moves an array or tensor to a device; None leaves it where it is."""
    if device is None:
        return lambda large: large
    there = _usable(device)
    import torch

    here = torch.empty(0, device=there)
    return lambda large: beside(large, here)
