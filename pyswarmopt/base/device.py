"""Where a swarm's numbers are: arrays or tensors, of which dtype, on which device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Array, DType, beside, is_of_torch, is_tensor, needing_torch

FLOATING = ("float16", "float32", "float64", "bfloat16")  # the last one is torch's alone


def kind_of(dtype: DType, device: Any, positions: Array | None) -> tuple[DType, Any]:
    """The dtype and device of a swarm: of tensors if any of the three arguments is torch's, else of
    arrays.
    """
    of_arrays = device is None and not is_of_torch(dtype) and not is_tensor(positions)
    if dtype is None and is_tensor(positions) and positions.is_floating_point():
        dtype = positions.dtype
    try:
        name = str(dtype).removeprefix("torch.") if is_of_torch(dtype) else np.dtype(dtype).name
    except TypeError:
        name = ""
    if name not in FLOATING[: 3 if of_arrays else 4]:
        raise ValueError(
            f"dtype={dtype!r}: use float64, float32 or float16, or a floating dtype of torch"
        )
    if of_arrays:
        return np.dtype(name), "cpu"
    with needing_torch(f"device={device!r}"):
        import torch
    return getattr(torch, name), _usable(device)


def _usable(device: Any) -> Any:
    """The torch device, by default the CPU, if this machine has it."""
    with needing_torch(f"device={device!r}"):
        import torch
    chosen = "cpu" if device is None else device
    try:
        return torch.ones(1, device=chosen).cpu() and torch.device(chosen)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device={str(chosen)!r} cannot be used: {reason}") from error


def mover(device: Any) -> Callable[[Array], Array]:
    """A function that moves an array or tensor to a device; None leaves it where it is."""
    if device is None:
        return lambda large: large
    import torch

    here = torch.empty(0, device=_usable(device))
    return lambda large: beside(large, here)
