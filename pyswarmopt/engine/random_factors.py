"""The coefficients r * weight of a sum of terms, drawn for many moves ahead.

Drawing a few numbers costs as much as drawing many, so a small swarm draws for many moves at a
time. Unused numbers belong to a swarm's state: a resumed swarm draws them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.random_bits import (
    FULL_SCALE,
    RandomBits,
    generator_at,
    saved_generator,
    uniform,
)
from pyswarmopt.base.record import check
from pyswarmopt.parts.velocity import SumOfTerms

MOST_MOVES = 64  # moves drawn at once
MOST_NUMBERS = 2**15  # most numbers in the coefficients of those moves, which should fit a cache
# up to this many numbers, operands of equal shape multiply in a third of a broadcast's time
FEW_COORDINATES = 16


class RandomFactors:
    """The coefficients of a sum of terms for N particles, move after move; see `SumOfTerms` for
    their random numbers.

    Args:
        rule: sum of terms.
        shape: N and D.
        generator: source of numbers per particle, and of the start of `bits`.
        dtype: dtype of the coefficients.
        whole: whether the coefficients include factors per coordinate, which are otherwise left to
            `per_block`.
        bits: stream of factors per coordinate; None before the first one is needed.
    """

    def __init__(
        self,
        rule: SumOfTerms,
        shape: tuple[int, int],
        generator: np.random.Generator,
        dtype: Any = np.float64,
        whole: bool = True,
        bits: RandomBits | None = None,
    ) -> None:
        self._rule = rule
        self._shape = shape
        self._generator = generator
        self._dtype = dtype
        self._elements = len(rule.per_coordinate) if whole else 0
        self._same_shape = whole and 1 < shape[1] <= FEW_COORDINATES
        n, dim = shape
        size = (len(rule.per_particle) + self._elements * dim + 1) * n
        self._moves = max(min(MOST_NUMBERS // size, MOST_MOVES), 1)
        self.bits = bits
        self._before: dict[str, Any] = {}  # states of generator and bits before the last draw
        self._used = self._moves  # coefficients of the moves drawn ahead
        self._made: npt.NDArray[Any] | None = None

    def next(self, move: int) -> npt.NDArray[Any]:
        """Coefficients of the next move: weights times random factors, divided by C if the rule
        normalises; (terms, N, D), or (terms, N, 1) if equal for all coordinates.
        """
        if self._used == self._moves:
            if self._rule.per_coordinate and self.bits is None:
                self.bits = RandomBits(self._generator)
            self._draw(self._generator)
            self._used = 0
        if self._made is None:
            self._made = self._coefficients(move - self._used)
        self._used += 1
        return self._made[self._used - 1]

    def per_block(self, coefficients: npt.NDArray[Any], dim: int) -> Any:
        """Coefficients of a block of D coordinates, (terms, N, 1), times factors per coordinate, if
        these are not drawn yet.
        """
        rule = self._rule
        if self._elements or self.bits is None:
            return coefficients
        weighted = list(coefficients)
        shape = (len(rule.per_coordinate), coefficients.shape[1], dim)
        drawn = self.bits.take(shape).astype(coefficients.dtype)
        for k, factor in zip(rule.per_coordinate, drawn, strict=True):
            factor *= weighted[k] * (1 / FULL_SCALE)
            weighted[k] = factor
        if rule.normalise:
            return list(rule.normalised(np.stack(np.broadcast_arrays(*weighted))))
        return weighted

    def _draw(self, generator: np.random.Generator) -> None:
        rule = self._rule
        n, dim = self._shape
        self._before = {"generator": saved_generator(generator)}
        self._scalars = uniform(generator, (self._moves, n, len(rule.per_particle)))
        if self.bits is not None and self._elements:
            self._before["bits"] = self.bits.state()
            self._numbers = self.bits.take_each(self._moves, (self._elements, n, dim))
        self._made = None

    def _coefficients(self, first: int) -> npt.NDArray[Any]:
        """Coefficients of all moves drawn ahead, starting with move `first`: (moves, terms, N, D or
        1).
        """
        rule = self._rule
        n, dim = self._shape
        weights = np.empty((self._moves, len(rule.terms), 1, 1))
        for k, term in enumerate(rule.terms):
            weight = term.weight
            weights[:, k, 0, 0] = (
                [weight(first + j) for j in range(self._moves)] if callable(weight) else weight
            )
        if not rule.per_coordinate:
            table = np.ones((self._moves, len(rule.terms), n))
            table[:, rule.per_particle] = self._scalars.transpose(0, 2, 1)
            table *= weights[..., 0]
            table = rule.normalised(table, axis=1).astype(self._dtype)[..., None]
            return np.repeat(table, dim, axis=3) if self._same_shape else table
        table = np.empty((*weights.shape[:2], n, dim if self._elements else 1), self._dtype)
        table[:] = weights
        for j, k in enumerate(rule.per_particle):
            table[:, k] *= self._scalars[:, :, j, None]
        if not self._elements:  # multiplied and normalised by `per_block`
            return table
        for j, k in enumerate(rule.per_coordinate):
            scaled = weights[:, k] / FULL_SCALE
            np.multiply(self._numbers[:, j], scaled, out=table[:, k], casting="same_kind")
        return rule.normalised(table, axis=1)

    # ---- saving ----

    def state(self) -> dict[str, Any]:
        """State for resuming; numbers drawn ahead are drawn again from it."""
        bits = {} if self.bits is None else {"bits": self.bits.state()}
        return {"used": np.array(self._used), **bits, **self._before}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Continue from a saved `state`; an empty one means a new swarm.

        Raises:
            ValueError: not a valid state.
        """
        if "bits" in saved:
            check(saved, {"bits": ("int64", "b")}, {"b": 1})
            self.bits = RandomBits.from_state(saved["bits"])
        elif self._rule.per_coordinate and "generator" in saved:
            raise ValueError("the random factors are those of another recipe")
        if "generator" in saved:
            self._draw(generator_at(saved["generator"]))
            check(saved, {"used": ("int64", "")})
            self._used = int(saved["used"])
            if not 0 <= self._used <= self._moves:
                raise ValueError("the random factors are those of another swarm")
