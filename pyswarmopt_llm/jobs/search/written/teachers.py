"""Mixtures that know what the best one does not: their replies are learned from, too.

A search scores dozens of mixtures, which are right on different prompts. Together a few of them
answer far more prompts well than the best one alone, and more than it does in several samples
(measured in docs/research/written-answers.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.evaluation.record import Row

TEACHERS = 4


def complementary(
    rows: Sequence[Row], chosen: Tensor, tasks: Sequence[str], count: int = TEACHERS
) -> list[Tensor]:
    """Positions of mixtures that score best beside the chosen one, if of each item the best counts.

    They are added one by one, each where it gains most (greedy maximum coverage: Nemhauser, Wolsey
    & Fisher 1978), of equals the first; fewer, if no other gains.

    Args:
        rows: of a search in a space whose positions are coefficients, (n,).
        chosen: the mixture that is trained, (n,); one of the rows, or what these are added to.
        tasks: of the rows' items; each counts alike.
        count: how many at most.

    Example:
        >>> def row(items):
        ...     return Row("search", 0, 0, "", [float(items.count("1")), 0.0], 0.5, 4, 0.1, {"t": items})
        >>> rows = [row("1100"), row("0111"), row("1000")]
        >>> complementary(rows, torch.tensor([2.0, 0.0], dtype=torch.float64), ["t"])
        [tensor([3., 0.], dtype=torch.float64)]
    """
    scored = [row for row in rows if row.complete]
    if not scored:
        return []
    positions = [torch.tensor(row.coefficients, dtype=torch.float64) for row in scored]
    values = [[np.array(row.item_values(task)) for task in tasks] for row in scored]
    weighted = np.array([np.concatenate([of / len(of) for of in tasks_of]) for tasks_of in values])
    best = np.full(weighted.shape[1], -np.inf)
    for position, scores in zip(positions, weighted, strict=True):
        if position.equal(chosen):
            best = scores
    teachers: list[Tensor] = []
    while len(teachers) < count:
        together = np.maximum(weighted, best).sum(axis=1)
        first = int(together.argmax())
        if not together[first] > best.sum():
            break
        best = np.maximum(best, weighted[first])
        teachers.append(positions[first])
    return teachers


__all__ = ["complementary"]
