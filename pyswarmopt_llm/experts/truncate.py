"""Approximates a weight change by the nearest LoRA of a given rank, with the error.

The truncated SVD is the nearest matrix of that rank in the Frobenius norm (Eckart & Young 1936,
Psychometrika 1); the error is the root of the sum of the squared dropped singular values.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank


class Truncated(NamedTuple):
    """A change of limited rank, with the squared Frobenius norms of the error and of the original."""

    change: LowRank
    lost: float
    total: float


def truncate_dense(change: Tensor, rank: int) -> Truncated:
    """The nearest LoRA of this rank to a dense change, (out, in) float32; `b` and `a` share the
    singular values evenly.

    Example:
        >>> nearest = truncate_dense(torch.diag(torch.tensor([3.0, 4.0])), rank=1)
        >>> nearest.change.dense().round(decimals=4).tolist(), round(nearest.lost, 3), round(nearest.total, 3)
        ([[0.0, 0.0], [0.0, 4.0]], 9.0, 25.0)
    """
    left, values, right = torch.linalg.svd(change, full_matrices=False)
    return _cut(left, values, right, rank)


def truncate_low_rank(change: LowRank, rank: int | None) -> Truncated:
    """The nearest LoRA of this rank to a change b @ a, without forming the product. The
    change itself if `rank` is None, or not exceeded.

    Example:
        >>> change = LowRank(torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0, 4.0]]))
        >>> [truncate_low_rank(change, rank).change is change for rank in (None, 1, 2)]
        [True, True, True]
    """
    if rank is None or rank >= len(change.a):
        return Truncated(change, 0.0, float(squared_norm(change.b, change.a)))
    left, inner_left = torch.linalg.qr(change.b)
    right, inner_right = torch.linalg.qr(change.a.T)
    u, values, v = torch.linalg.svd(inner_left @ inner_right.T, full_matrices=False)
    return _cut(left @ u, values, v @ right.T, rank)


def squared_norm(b: Tensor, a: Tensor) -> Tensor:
    """The squared Frobenius norm of b @ a, float64, from the Gram matrices of the factors.

    Example:
        >>> squared_norm(torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0, 4.0]])).item()
        144.0
    """
    b = b.to(torch.float64)
    a = a.to(torch.float64)
    return ((b.T @ b) * (a @ a.T)).sum()


def _cut(left: Tensor, values: Tensor, right: Tensor, rank: int) -> Truncated:
    squares = values.to(torch.float64) ** 2
    roots = values[:rank].sqrt()
    change = LowRank(b=left[:, :rank] * roots, a=roots[:, None] * right[:rank])
    return Truncated(change, float(squares[rank:].sum()), float(squares.sum()))
