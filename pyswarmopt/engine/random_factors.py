"""Random factors: drawn for many moves ahead, and 16 bits each where every coordinate has its own.

A draw of few numbers costs as much as one of many, so a small swarm draws for many moves at a time. What was drawn
and not used yet belongs to the state of a swarm: a resumed one uses the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.base.checkpoint import check
from pyswarmopt.engine.numba.kernels import FULL_SCALE, GAMMA, MIX_1, MIX_2, SHIFT_1, SHIFT_2, SHIFT_3
from pyswarmopt.engine.numba.loader import COMPILER

MOST_MOVES = 64  # drawn for at once
MOST_NUMBERS = 2**15  # in the coefficients of those moves, which are to fit a cache


class RandomBits:
    """A stream of 16-bit numbers, four out of each number of `kernels.draw`.

    Args:
        generator: a CPU generator, out of which one number is drawn as the place to begin.

    Example:
        >>> bits = RandomBits(torch.Generator().manual_seed(0))
        >>> again = RandomBits.from_state(bits.state())
        >>> bool((bits.take((2, 5)) == again.take((2, 5))).all())
        True
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.at = np.uint64(int(torch.randint(2**63 - 1, (1,), generator=generator)))

    def take(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
        """The next numbers, uint16. What is left over of the last draw of 64 bits is thrown away."""
        return self.take_each(1, shape)[0]

    def take_each(self, count: int, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
        """What `count` calls of `take` would give, (count, *shape)."""
        size = math.prod(shape)
        words = (size + 3) // 4
        drawn = np.empty(count * words, np.uint64)
        if COMPILER.loops is not None:
            COMPILER.loops.draw(self.at, drawn)
        else:
            _draw(self.at, drawn)
        self.skip(len(drawn))
        return drawn.view(np.uint16).reshape(count, 4 * words)[:, :size].reshape(count, *shape)

    def skip(self, words: int) -> None:
        """Go on as if so many times 64 bits had been drawn."""
        self.at = np.uint64((int(self.at) + words * int(GAMMA)) % 2**64)

    def state(self) -> Tensor:
        """All that it takes to go on, (1,) int64."""
        return torch.from_numpy(np.array([self.at]).view(np.int64))

    @classmethod
    def from_state(cls, state: Tensor) -> RandomBits:
        """The stream whose `state` this was."""
        bits = cls(torch.Generator())
        bits.at = state.cpu().numpy().view(np.uint64)[0]
        return bits


def _draw(at: np.uint64, out: npt.NDArray[np.uint64]) -> None:
    """`kernels.draw` as passes of NumPy."""
    out[...] = np.arange(1, len(out) + 1, dtype=np.uint64)
    out *= GAMMA
    out += at
    for shift, factor in ((SHIFT_1, MIX_1), (SHIFT_2, MIX_2)):
        out ^= out >> shift
        out *= factor
    out ^= out >> SHIFT_3


class Weighted(Protocol):
    """What makes coefficients out of random numbers: a `velocity.SumOfTerms`."""

    @property
    def per_particle(self) -> list[int]:
        """Numbers of the terms with a random factor per particle."""

    @property
    def per_coordinate(self) -> list[int]:
        """Numbers of the terms with a random factor per coordinate."""

    def coefficients(
        self, first: int, scalars: npt.NDArray[np.float64], bits: npt.NDArray[np.uint16] | None, dim: int, dtype: Any
    ) -> npt.NDArray[Any]:
        """Coefficients of some moves from number `first` on, (moves, terms, N, D or 1)."""


class Factors:
    """The coefficients of a sum of terms, move after move.

    The factors per particle come from the swarm's generator, float64, (N, scalar terms) for each move, in the order of
    the terms, whatever D and the dtype: so a swarm on n coefficients and one on a million weights see the same random
    numbers. Those per coordinate come from a stream of `RandomBits`, which is made when the first ones are needed.

    Args:
        most_moves: how many moves are drawn for at once, at most.

    Attributes:
        bits: that stream; None before.
    """

    def __init__(self, most_moves: int = MOST_MOVES) -> None:
        self._most_moves = most_moves
        self.bits: RandomBits | None = None
        self._before: Tensor | None = None  # state of `bits` before it gave `_numbers`
        self._scalars = np.empty((0, 0, 0))
        self._numbers: npt.NDArray[np.uint16] | None = None
        self._used = 0
        self._made: npt.NDArray[Any] | None = None

    def next(
        self, rule: Weighted, shape: tuple[int, int], dtype: Any, move: int, generator: torch.Generator, whole: bool
    ) -> npt.NDArray[Any]:
        """Coefficients of the next move, of the given NumPy dtype: weights times random factors.

        Args:
            rule: the sum of terms.
            shape: (N, D).
            dtype: NumPy dtype of the answer.
            move: number of the move.
            generator: a CPU generator.
            whole: with the factors per coordinate; without them the caller takes those out of `bits`.

        Returns:
            (terms, N, D), or (terms, N, 1) for all coordinates alike.
        """
        if self._used == len(self._scalars):
            self._draw(rule, shape, generator, whole)
        if self._made is None:
            dim = shape[1] if whole else 1
            self._made = rule.coefficients(move - self._used, self._scalars, self._numbers, dim, dtype)
        self._used += 1
        return self._made[self._used - 1]

    def forget(self) -> None:
        """Throw away what was drawn ahead: another population draws anew."""
        self._scalars, self._numbers, self._used, self._made = np.empty((0, 0, 0)), None, 0, None

    def check(self, rule: Weighted | None) -> None:
        """Whether what was drawn ahead is for that rule.

        Raises:
            ValueError: it is for another one.
        """
        drawn = self._scalars.shape[2]
        if len(self._scalars) and (rule is None or drawn != len(rule.per_particle)):
            raise ValueError("the random factors are those of another recipe")
        numbers = self._numbers
        if numbers is not None and (rule is None or numbers.shape[1] != len(rule.per_coordinate)):
            raise ValueError("the random factors are those of another recipe")

    def _draw(self, rule: Weighted, shape: tuple[int, int], generator: torch.Generator, whole: bool) -> None:
        self.forget()
        n, dim = shape
        each_coordinate = len(rule.per_coordinate)
        size = (len(rule.per_particle) + (each_coordinate * dim if whole else 0) + 1) * n
        moves = max(min(MOST_NUMBERS // size, self._most_moves), 1)
        if each_coordinate and self.bits is None:
            self.bits = RandomBits(generator)
        drawn = (moves, n, len(rule.per_particle))
        self._scalars = torch.rand(drawn, generator=generator, dtype=torch.float64).numpy()
        if self.bits is not None and whole:
            self._before = self.bits.state()
            self._numbers = self.bits.take_each(moves, (each_coordinate, n, dim))

    # ---- saving ----

    def state(self) -> dict[str, Tensor]:
        """All that it takes to go on."""
        saved = {"scalars": torch.from_numpy(self._scalars.copy()), "used": torch.tensor(self._used)}
        if self.bits is not None:
            if self._numbers is None or self._before is None:
                saved |= {"bits": self.bits.state(), "ahead": torch.tensor(())}
            else:
                saved |= {"bits": self._before.clone(), "ahead": torch.tensor(self._numbers.shape)}
        return saved

    @classmethod
    def from_state(cls, saved: Mapping[str, Tensor], shape: tuple[int, ...]) -> Factors:
        """The factors whose `state` this was; new ones of nothing.

        Args:
            saved: that.
            shape: (N, D).

        Raises:
            ValueError: factors of another swarm.
        """
        made = cls()
        if not saved:
            return made
        n, dim = shape
        check(saved, {"scalars": (torch.float64, "mnk"), "used": (torch.int64, "")})
        moves, of = saved["scalars"].shape[:2]
        if not 0 <= int(saved["used"]) <= moves or (moves and of != n):
            raise ValueError("the random factors are those of another swarm")
        if "bits" in saved:
            check(saved, {"bits": (torch.int64, "b")}, {"b": 1})
            ahead = saved["ahead"].long().tolist()
            if ahead and not (ahead[0] == moves and ahead[2:] == [n, dim] and 0 < ahead[1] < MOST_NUMBERS):
                raise ValueError("the random factors are those of another swarm")
        made._scalars = saved["scalars"].cpu().numpy().copy()
        made._used = int(saved["used"])
        if "bits" in saved:
            made._before, made.bits = saved["bits"].cpu().clone(), RandomBits.from_state(saved["bits"])
            made._numbers = made.bits.take_each(ahead[0], tuple(ahead[1:])) if ahead else None
        return made


__all__ = ["FULL_SCALE", "Factors", "RandomBits", "Weighted"]
