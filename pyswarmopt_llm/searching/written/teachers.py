"""Mixtures that know what the best one does not: their replies are learned from, too.

A search scores dozens of mixtures, which are right on different prompts. Together a few of them
answer far more prompts well than the best one alone, and more than it does in several samples
(measured in research/notes/written-answers.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt_llm.scores.metrics.combine import Combine, combined_value
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.written.schedule import TEACHERS

Floats = npt.NDArray[np.float64]


def complementary(
    rows: Sequence[Row],
    chosen: Tensor,
    tasks: Sequence[str],
    count: int = TEACHERS,
    combine: Combine | None = None,
) -> list[Tensor]:
    """Positions of mixtures that score best beside the chosen one, if of each item the best counts;
    see `covering`.

    Args:
        rows: of a search in a space whose positions are coefficients, (n,).
        chosen: the mixture that is trained, (n,); if no row has it, the best of all comes first.
        tasks: of the rows' items; each counts alike.
        count: how many at most.
        combine: of the tasks' scores, if they all ask the same; each reply counts by what it makes.

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
    values = np.array([_of_items(row, tasks, combine) for row in scored])
    known = np.full(values.shape[1], -np.inf)
    for position, of_items in zip(positions, values, strict=True):
        if position.equal(chosen):
            known = of_items
    return [positions[number] for number in covering(values, known, count)]


def _of_items(row: Row, tasks: Sequence[str], combine: Combine | None) -> Floats:
    """Values of all items; of several tasks such that their sum is the sum of the tasks' means."""
    parts = [np.array(row.item_values(task)) for task in tasks]
    if combine is not None:
        return np.array([combined_value(combine, scores) for scores in zip(*parts, strict=True)])
    return np.concatenate([part / len(part) for part in parts])


def covering(values: Floats, known: Floats, count: int) -> list[int]:
    """Numbers of candidates that are added one by one, each where the sum of the items' best values
    gains most, of equals the first; fewer, if no other gains (Nemhauser, Wolsey & Fisher 1978).

    Args:
        values: of each candidate and item, (candidates, items).
        known: best value of each item so far, (items,).
        count: how many at most.

    Example:
        >>> covering(np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0]]), np.array([1, 0, 0]), 4)
        [1]
    """
    numbers: list[int] = []
    best = known
    while len(numbers) < count:
        together = np.maximum(values, best).sum(axis=1)
        number = int(together.argmax())
        if not together[number] > best.sum():
            break
        best = np.maximum(best, values[number])
        numbers.append(number)
    return numbers


__all__ = ["complementary", "covering"]
