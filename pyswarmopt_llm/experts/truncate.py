"""A weight change as a LoRA of a given rank: the nearest one, and how far it is.

The truncated SVD is the nearest matrix of that rank in the Frobenius norm (Eckart & Young 1936,
Psychometrika 1); what is lost is the root of the sum of the squared singular values that were cut.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyswarmopt_llm.common.interfaces import LowRank


class Truncated(NamedTuple):
    """A change of limited rank; the squared Frobenius norms of what was cut, and of the whole."""

    change: LowRank
    lost: float
    total: float


def truncate_dense(change: Tensor, rank: float) -> Truncated:
    """The nearest LoRA of that rank to a dense change, (out, in) float32; `b` and `a` share the
    singular values evenly. A rank below 1 is a share: of the smallest rank that keeps so much of
    the squared norm.

    Example:
        >>> nearest = truncate_dense(torch.diag(torch.tensor([3.0, 4.0])), rank=1)
        >>> nearest.change.dense().round(decimals=4).tolist(), round(nearest.lost, 3), round(nearest.total, 3)
        ([[0.0, 0.0], [0.0, 4.0]], 9.0, 25.0)
    """
    left, values, right = torch.linalg.svd(change, full_matrices=False)
    return _cut(left, values, right, rank)


def truncate_low_rank(change: LowRank, rank: float | None) -> Truncated:
    """The nearest LoRA of that rank, or share, to a change given as b @ a; no dense matrix is
    formed. None, or a rank that it does not exceed: the change itself.

    Example:
        >>> change = LowRank(torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0, 4.0]]))
        >>> [truncate_low_rank(change, rank).change is change for rank in (None, 1, 2, 0.5)]
        [True, True, True, False]
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


def rank_of(squares: Tensor, rank: float) -> int:
    """The rank that is meant: itself, or, of a share below 1, the smallest that keeps so much.

    Args:
        squares: squares of the singular values, descending.
        rank: at least 1, or a share.

    Example:
        >>> squares = torch.tensor([16.0, 8.0, 1.0])
        >>> rank_of(squares, 2), rank_of(squares, 0.64), rank_of(squares, 0.65)
        (2, 1, 2)
    """
    if rank >= 1:
        return int(rank)
    kept = squares.cumsum(0)
    enough = (
        rank * kept[-1] * (1 - torch.finfo(torch.float32).eps)
    )  # of a share that is met exactly
    return int((kept < enough).sum()) + 1


def _cut(left: Tensor, values: Tensor, right: Tensor, rank: float) -> Truncated:
    squares = values.to(torch.float64) ** 2
    rank = rank_of(squares, rank)
    roots = values[:rank].sqrt()
    change = LowRank(b=left[:, :rank] * roots, a=roots[:, None] * right[:rank])
    return Truncated(change, float(squares[rank:].sum()), float(squares.sum()))
