"""A stream of random 16-bit numbers: cheap factors where every coordinate has its own."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FULL_SCALE = 65536.0  # a factor is 16 random bits / FULL_SCALE, in [0, 1)
# what SplitMix64 adds at each number: an odd 2^64 / golden ratio
GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFT_1, SHIFT_2, SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)


def split_mix(at: np.uint64, count: int) -> npt.NDArray[np.uint64]:
    """The next numbers of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom
    number generators").

    Each number follows from its place in the stream alone, so it vectorises. `at` is that place
    times GAMMA.
    """
    numbers = np.arange(1, count + 1, dtype=np.uint64)
    numbers *= GAMMA
    numbers += at
    for shift, factor in ((SHIFT_1, MIX_1), (SHIFT_2, MIX_2)):
        numbers ^= numbers >> shift
        numbers *= factor
    numbers ^= numbers >> SHIFT_3
    return numbers


class RandomBits:
    """A stream of 16-bit numbers, four from each of `split_mix`; where it begins is drawn from a
    CPU generator.

    Example:
        >>> bits = RandomBits(torch.Generator().manual_seed(0))
        >>> again = RandomBits.from_state(bits.state())
        >>> bool((bits.take((2, 5)) == again.take((2, 5))).all())
        True
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.at = np.uint64(int(torch.randint(2**63 - 1, (1,), generator=generator)))

    def take(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
        """The next numbers, uint16. The rest of the last 64-bit number is discarded."""
        return self.take_each(1, shape)[0]

    def take_each(self, count: int, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
        """The result of `count` calls of `take`, (count, *shape)."""
        size = math.prod(shape)
        words = (size + 3) // 4
        drawn = split_mix(self.at, count * words)
        self.at = np.uint64((int(self.at) + len(drawn) * int(GAMMA)) % 2**64)
        return drawn.view(np.uint16).reshape(count, 4 * words)[:, :size].reshape(count, *shape)

    def state(self) -> Tensor:
        """The position in the stream, (1,) int64."""
        return torch.from_numpy(np.array([self.at]).view(np.int64))

    @classmethod
    def from_state(cls, state: Tensor) -> RandomBits:
        """The stream at a saved `state`."""
        bits = cls(torch.Generator())
        bits.at = state.cpu().numpy().view(np.uint64)[0]
        return bits
