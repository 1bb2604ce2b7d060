"""The coefficients r * weight of a sum of terms, drawn for many moves ahead.

A draw of few numbers costs as much as one of many, so a small swarm draws for many moves at a time.
Numbers that were drawn and not used yet belong to the state of a swarm: a resumed swarm uses the
same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.base.checkpoint import check
from pyswarmopt.base.random_bits import FULL_SCALE, RandomBits
from pyswarmopt.base.state import entries_under
from pyswarmopt.parts.velocity import SumOfTerms

MOST_MOVES = 64  # drawn for at once
MOST_NUMBERS = 2**15  # in the coefficients of those moves, which are to fit a cache
# up to which operands of one shape are multiplied in a third of the time of a broadcast
FEW_COORDINATES = 16
FACTORS = "factors."  # prefix of the random factors in a saved state


class Factors:
    """The coefficients of a sum of terms, move after move; which random numbers they hold: see
    `SumOfTerms`.

    At most `most_moves` moves are drawn at once. `bits` is the stream of the factors per
    coordinate, None before the first one is needed.
    """

    def __init__(
        self, generator: torch.Generator, dtype: Any = np.float64, most_moves: int = MOST_MOVES
    ) -> None:
        self._generator, self._dtype, self._most_moves = generator, dtype, most_moves
        self.bits: RandomBits | None = None
        self._before: Tensor | None = None  # state of `bits` before `_numbers` were taken
        self._scalars = np.empty((0, 0, 0))
        self._numbers: npt.NDArray[np.uint16] | None = None
        self._used = 0
        self._made: npt.NDArray[Any] | None = None

    def next(
        self, rule: SumOfTerms, shape: tuple[int, int], move: int, whole: bool = True
    ) -> npt.NDArray[Any]:
        """Coefficients of the next move: weights times random factors, divided by C where the rule
        normalises.

        (terms, N, D), or (terms, N, 1) if all coordinates have the same, as without `whole`: then
        the factors per coordinate are left to `per_block`.
        """
        if self._used == len(self._scalars):
            self._draw(rule, shape, whole)
        if self._made is None:
            self._made = self._coefficients(rule, move - self._used, shape[1] if whole else 1)
        self._used += 1
        return self._made[self._used - 1]

    def per_block(self, rule: SumOfTerms, coefficients: npt.NDArray[Any], dim: int) -> Any:
        """Coefficients of a block of D coordinates, (terms, N, 1), times factors per coordinate, if
        there are any.
        """
        if self.bits is None or not rule.per_coordinate:
            return coefficients
        weighted = list(coefficients)
        shape = (len(rule.per_coordinate), coefficients.shape[1], dim)
        drawn = self.bits.take(shape).astype(coefficients.dtype)
        for k, factor in zip(rule.per_coordinate, drawn, strict=True):
            factor *= weighted[k] * (1 / FULL_SCALE)
            weighted[k] = factor
        return (
            list(rule.normalised(np.stack(np.broadcast_arrays(*weighted))))
            if rule.normalise
            else weighted
        )

    def forget(self) -> None:
        """Discard what was drawn ahead, for another population."""
        self._scalars, self._numbers, self._used, self._made = np.empty((0, 0, 0)), None, 0, None

    def _draw(self, rule: SumOfTerms, shape: tuple[int, int], whole: bool) -> None:
        self.forget()
        n, dim = shape
        each_coordinate = len(rule.per_coordinate)
        size = (len(rule.per_particle) + (each_coordinate * dim if whole else 0) + 1) * n
        moves = max(min(MOST_NUMBERS // size, self._most_moves), 1)
        if each_coordinate and self.bits is None:
            self.bits = RandomBits(self._generator)
        drawn = (moves, n, len(rule.per_particle))
        self._scalars = torch.rand(drawn, generator=self._generator, dtype=torch.float64).numpy()
        if self.bits is not None and whole:
            self._before = self.bits.state()
            self._numbers = self.bits.take_each(moves, (each_coordinate, n, dim))

    def _coefficients(self, rule: SumOfTerms, first: int, dim: int) -> npt.NDArray[Any]:
        """Those of all moves drawn ahead, of which the first has that number: (moves, terms, N, D
        or 1).
        """
        moves, n, _ = self._scalars.shape
        weights = np.empty((moves, len(rule.terms), 1, 1))
        for k, term in enumerate(rule.terms):
            weight = term.weight
            weights[:, k, 0, 0] = (
                [weight(first + j) for j in range(moves)] if callable(weight) else weight
            )
        if not rule.per_coordinate:
            table = np.ones((moves, len(rule.terms), n))
            table[:, rule.per_particle] = self._scalars.transpose(0, 2, 1)
            table *= weights[..., 0]
            table = rule.normalised(table, axis=1).astype(self._dtype)[..., None]
            return np.repeat(table, dim, axis=3) if 1 < dim <= FEW_COORDINATES else table
        bits = self._numbers
        table = np.empty((moves, len(rule.terms), n, dim), self._dtype)
        kept = [k for k in range(len(rule.terms)) if bits is None or k not in rule.per_coordinate]
        table[:, kept] = weights[:, kept]
        for j, k in enumerate(rule.per_particle):
            table[:, k] *= self._scalars[:, :, j, None]
        if bits is None:  # multiplied and normalised by `per_block`
            return table
        for j, k in enumerate(rule.per_coordinate):
            np.multiply(
                bits[:, j], weights[:, k] / FULL_SCALE, out=table[:, k], casting="same_kind"
            )
        return rule.normalised(table, axis=1)

    # ---- saving ----

    def state(self) -> dict[str, Tensor]:
        """What a resume needs."""
        saved = {
            "scalars": torch.from_numpy(self._scalars.copy()),
            "used": torch.tensor(self._used),
        }
        if self.bits is not None:
            if self._numbers is None or self._before is None:
                saved |= {"bits": self.bits.state(), "ahead": torch.tensor(())}
            else:
                saved |= {"bits": self._before.clone(), "ahead": torch.tensor(self._numbers.shape)}
        return saved

    def load(self, saved: Mapping[str, Tensor]) -> None:
        """Continue from a saved `state`; an empty one discards what was drawn ahead."""
        self.forget()
        self.bits = None
        if not saved:
            return
        self._scalars = saved["scalars"].cpu().numpy().copy()
        self._used = int(saved["used"])
        if "bits" in saved:
            self._before, self.bits = (
                saved["bits"].cpu().clone(),
                RandomBits.from_state(saved["bits"]),
            )
            count, *shape = saved["ahead"].long().tolist() or (0,)
            self._numbers = self.bits.take_each(count, tuple(shape)) if count else None


def check_factors(
    state: Mapping[str, Any], shape: tuple[int, ...], rule: SumOfTerms | None
) -> None:
    """Refuse the random factors in a swarm's saved state if they do not fit N, D and the recipe's
    sum of terms.
    """
    saved = entries_under(FACTORS, state)
    if not saved:
        return
    check(saved, {"scalars": (torch.float64, "mnk"), "used": (torch.int64, "")})
    moves, n, kinds = saved["scalars"].shape
    if not 0 <= int(saved["used"]) <= moves or (moves and n != shape[0]):
        raise ValueError("the random factors are those of another swarm")
    ahead: list[int] = []
    if "bits" in saved:
        check(saved, {"bits": (torch.int64, "b")}, {"b": 1})
        ahead = saved["ahead"].long().tolist()
        if ahead and not (
            ahead[0] == moves and ahead[2:] == list(shape) and 0 < ahead[1] < MOST_NUMBERS
        ):
            raise ValueError("the random factors are those of another swarm")
    scalars, elements = (
        (0, 0) if rule is None else (len(rule.per_particle), len(rule.per_coordinate))
    )
    if (
        (rule is None and (moves or ahead))
        or (moves and kinds != scalars)
        or (ahead and ahead[1] != elements)
    ):
        raise ValueError("the random factors are those of another recipe")
