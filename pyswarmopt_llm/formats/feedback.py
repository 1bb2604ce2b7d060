"""Rounding with error feedback: what a layer computes is kept, rather than each of its weights.

A change of less than half a step is lost if every weight goes to the nearest value of the format. GPTQ
(Frantar, Ashkboos, Hoefler & Alistarh 2023, arXiv 2210.17323) rounds the weights of a row one after
another, and changes those that are not rounded yet so that the row's product with typical inputs stays
as it is. A weight in twenty then moves by a whole step where all were to move by a twentieth.

The steps are those of the base: weights at the ends of a block's range stay there, so that the format's
own tool finds the same steps and codes again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyswarmopt_llm.formats.gguf_types import BLOCK, steps

DAMPING = 0.1  # added to the inputs' second moments, as a share of their mean diagonal
STRIPE = 128  # columns whose errors reach the columns after them at once


@dataclass(frozen=True)
class BlockGrid:
    """The values that a type with blocks of 32 can hold for a matrix.

    Attributes:
        low: the least code's value, (rows, width / 32).
        step: difference of neighbouring values, which may be negative, (rows, width / 32).
        top: greatest code.
        held: codes of the weights that define the steps, (rows, width); -1 for all others.
    """

    low: Tensor
    step: Tensor
    top: int
    held: Tensor

    def codes(self, values: Tensor, column: int) -> Tensor:
        """The codes nearest to values of a column, (rows,)."""
        low, step = self.low[:, column // BLOCK], self.step[:, column // BLOCK]
        places = torch.where(step == 0, 0.0, (values - low) / step)
        return places.round().clamp(0, self.top)

    def rounded(self, values: Tensor, column: int) -> Tensor:
        """What a column, (rows,), becomes: the nearest values, but for weights that define the steps."""
        held = self.held[:, column]
        codes = torch.where(held < 0, self.codes(values, column), held)
        return self.step[:, column // BLOCK] * codes + self.low[:, column // BLOCK]


def block_grid(base: Tensor, kind: str) -> BlockGrid:
    """The values that a type can hold if its steps are those of a base's weight.

    Args:
        base: (rows, width), float32.
        kind: a type of GGUF files, see `shares_steps`.

    Example:
        >>> grid = block_grid(torch.linspace(-8, 7, 32)[None], "Q4_0")
        >>> grid.low.item(), grid.step.item(), grid.top, grid.held[0, :3].tolist()
        (-8.0, 1.0, 15, [0.0, 0.0, -1.0])
    """
    rounded, low, step, bits = steps(base, kind)
    top = 2**bits - 1
    grid = BlockGrid(low, step, top, torch.full_like(rounded, -1.0))
    codes = torch.stack([grid.codes(rounded[:, n], n) for n in range(rounded.shape[1])], dim=1)
    ends = codes == 0
    if kind.endswith("_1"):  # both ends define the steps, else the weight furthest from 0
        ends |= codes == top
    return BlockGrid(low, step, top, torch.where(ends, codes, -1.0))


def rounded_with_feedback(value: Tensor, grid: BlockGrid, moments: Tensor) -> Tensor:
    """A matrix on a grid whose product with typical inputs is near that of `value`.

    Args:
        value: (rows, width), float32.
        grid: the values to choose from.
        moments: sum of the inputs' outer products, (width, width).

    Returns:
        (rows, width), float32.

    Example:
        >>> grid = block_grid(torch.linspace(-8, 7, 32)[None], "Q4_0")
        >>> value = torch.tensor([[-8.0, -8.0] + 30 * [0.25]])
        >>> found = rounded_with_feedback(value, grid, torch.ones(32, 32))  # all inputs are equal
        >>> value[0, 2:].sum().item(), found[0, 2:].sum().item(), value.round()[0, 2:].sum().item()
        (7.5, 7.0, 0.0)
    """
    order = moments.diagonal().argsort(descending=True)  # those that matter most come first
    factor = _feedback(moments[order][:, order]).to(value.dtype)
    left = value[:, order]
    found = torch.empty_like(value)
    columns = order.tolist()
    width = len(columns)
    for start in range(0, width, STRIPE):
        end = min(start + STRIPE, width)
        errors = torch.zeros_like(left[:, start:end])
        for number in range(start, end):
            column = columns[number]
            found[:, column] = grid.rounded(left[:, number], column)
            error = (left[:, number] - found[:, column]) / factor[number, number]
            left[:, number + 1 : end] -= error[:, None] * factor[number, number + 1 : end]
            errors[:, number - start] = error
        left[:, end:] -= errors @ factor[start:end, end:]
    return found


def _feedback(moments: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse of the damped moments, float64: row n has the share of the
    error of weight n that each later one takes over (Frantar et al. 2023, section 3.3).
    """
    damped = moments.double()
    unused = damped.diagonal() == 0
    damped.diagonal()[unused] = 1.0
    damped.diagonal().add_(DAMPING * damped.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True)
