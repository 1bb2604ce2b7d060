"""What users hand over, as checked tensors and arrays of the swarm's own memory; a ValueError says what is wrong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.base.blocks import blocks
from pyswarmopt.base.state import Bools, Floats


def as_matrix(
    name: str,
    given: npt.ArrayLike | Tensor,
    dtype: torch.dtype,
    device: torch.device,
    shape: tuple[int, ...] | None = None,
) -> Tensor:
    """A finite (n, D) tensor, a copy of what was given."""
    source = matrix(name, given, shape)
    return take_over(name, source, torch.empty(tuple(source.shape), dtype=dtype, device=device))


def matrix(name: str, given: npt.ArrayLike | Tensor, shape: tuple[int, ...] | None = None) -> Tensor | np.ndarray:
    """What was given as a real tensor or array of shape (n, D), not copied if it is one already."""
    if isinstance(given, Tensor):
        given = given.detach()
    elif not isinstance(given, np.ndarray):
        given = np.asarray(given)
    _refuse_complex(name, given)
    if isinstance(given, np.ndarray) and given.dtype.kind not in "biuf":
        given = np.asarray(given, dtype=np.float64)
    if shape is not None and tuple(given.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(given.shape)}")
    if given.ndim != 2 or 0 in given.shape:
        raise ValueError(f"{name} must have shape (n, D), n and D at least 1; got {tuple(given.shape)}")
    return given


def take_over(name: str, source: Tensor | np.ndarray, out: Tensor) -> Tensor:
    """`out`, (n, D), filled block by block with a `matrix` of its shape, whose values must be finite."""
    for rows, columns in blocks(*out.shape):
        part = source[rows, columns]
        if isinstance(part, np.ndarray):
            part = torch.from_numpy(np.array(part, dtype=np.float64))
        copied = out[rows, columns].copy_(part)
        finite = torch.isfinite(copied)
        if not finite.all():
            row = rows.start + int((~finite).any(1).nonzero()[0])
            raise ValueError(f"{name}[{row}] holds a value that is not finite")
    return out


def as_values(given: npt.ArrayLike | Tensor, shape: tuple[int, ...]) -> Floats:
    """A real float64 array of exactly that shape (nothing is broadcast), a copy."""
    if isinstance(given, Tensor):
        given = (given.double() if given.dtype == torch.bfloat16 else given).numpy(force=True)
    if not isinstance(given, np.ndarray):
        given = np.asarray(given)
    _refuse_complex("values", given)
    values = np.array(given, dtype=np.float64)
    if values.shape != shape:
        raise ValueError(f"values must have shape {shape}, one for each position; got {values.shape}")
    return values


def _refuse_complex(name: str, given: Tensor | np.ndarray) -> None:
    if given.is_complex() if isinstance(given, Tensor) else given.dtype.kind == "c":
        raise ValueError(f"{name} are complex: a swarm takes real numbers, such as abs(value)")


def as_mask(given: npt.ArrayLike | Tensor, count: int) -> Bools:
    """A boolean array of shape (count,)."""
    mask = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    if mask.shape != (count,) or mask.dtype != np.bool_:
        raise ValueError(f"dropped must be {count} booleans, got shape {mask.shape} of {mask.dtype}")
    return mask
