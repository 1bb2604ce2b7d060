"""Random numbers of a swarm: one NumPy generator, and a stream of 16-bit numbers where every
coordinate has a factor of its own.

The generator is the Mersenne Twister. Its bits become numbers in the way of torch's generator on the
CPU, so that a seed gives the same run on arrays and on tensors, of this version and of those before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, Ints, beside
from pyswarmopt.base.record import check

FULL_SCALE = 65536.0  # a factor is 16 random bits / FULL_SCALE, in [0, 1)
# what SplitMix64 adds at each number: an odd 2^64 / golden ratio
GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFT_1, SHIFT_2, SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)

MANTISSA = np.uint64(2**53 - 1)  # the bits of a uniform number
TWISTER = 624  # words of the Mersenne Twister, of 32 bits each
# A saved generator is laid out as torch's: 64-bit words, of which these are used.
SAVED_BYTES = 5056
LEFT = 1  # how many of the Twister's words are left before it makes new ones, plus one
SEEDED = np.uint64(2**32)  # a flag beside that number
PLACE = 2  # of the next word
WORDS = slice(3, 3 + TWISTER)


# ---- the generator ----


def generator_of(seed: int | None) -> np.random.Generator:
    """A generator of a swarm's own; None takes a seed from the operating system.

    Raises:
        ValueError: a seed of more than 63 bits.

    Example:
        >>> uniform(generator_of(0), (2,)).round(3).tolist()
        [0.97, 0.708]
    """
    twister = np.random.MT19937()
    if seed is not None:
        if seed >= 2**63:
            raise ValueError(f"seed={seed}: a swarm takes one below 2**63")
        # the 32 bits that the first word of a Mersenne Twister has
        seeded = np.random.RandomState(seed % 2**32)
        twister.state = seeded.get_state(legacy=False)  # type: ignore[assignment]
    return np.random.Generator(twister)


def uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Numbers uniform in [0, 1): the lower 53 of 64 bits."""
    bits = _words(generator, math.prod(shape))
    bits &= MANTISSA
    return np.reshape(bits * 2.0**-53, shape).astype(np.float64, copy=False)


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Normally distributed numbers (Box & Muller 1958), made in groups of 16; where the last group
    is not full, the last 16 are drawn anew.
    """
    count = math.prod(shape)
    whole_groups = count - count % 16
    u = uniform(generator, (count,))
    numbers = np.empty(max(count, 16))
    numbers[:whole_groups] = _box_muller(u[:whole_groups])
    if whole_groups < count:
        numbers[-16:] = _box_muller(uniform(generator, (16,)))
    return numbers[:count].reshape(shape)


def whole(generator: np.random.Generator, below: int, shape: tuple[int, ...]) -> Ints:
    """Whole numbers from 0 to below `below`, which is far smaller than 2^32."""
    bits = generator.integers(2**32, size=shape, dtype=np.uint32)
    return (bits % np.uint32(below)).astype(np.int64)


def _words(generator: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    """Random bits, (count,), of which the upper 32 are the first."""
    return generator.integers(2**64, size=count, dtype=np.uint64)


def _box_muller(uniform: Floats) -> Floats:
    """Normal numbers of uniform ones in groups of 16, (n,)."""
    u = uniform.reshape(-1, 2, 8)
    radius = np.sqrt(-2 * np.log(1 - u[:, 0]))
    angle = 2 * math.pi * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


def saved_generator(generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The state of a generator, (5056,) uint8."""
    twister: Any = generator.bit_generator.state["state"]
    words = np.zeros(SAVED_BYTES // 8, dtype="<u8")
    words[LEFT] = SEEDED + TWISTER + 1 - twister["pos"]
    words[PLACE] = twister["pos"]
    words[WORDS] = twister["key"]
    return words.view(np.uint8)


def generator_at(saved: Any) -> np.random.Generator:
    """A generator in a saved state.

    Raises:
        ValueError: not the state of a generator.
    """
    check({"generator": saved}, {"generator": ("uint8", "g")}, {"g": SAVED_BYTES})
    words = np.array(beside(saved, np.empty(0))).view("<u8")
    place = TWISTER + 1 - int(words[LEFT] % SEEDED)
    if not 0 <= place <= TWISTER or (words[WORDS] >= 2**32).any():
        raise ValueError("not the state of a random generator")
    twister = np.random.MT19937()
    state: Any = {"key": words[WORDS].astype(np.uint32), "pos": place}
    twister.state = {"bit_generator": "MT19937", "state": state}
    return np.random.Generator(twister)


# ---- the stream of 16-bit numbers ----


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
    generator.

    Example:
        >>> bits = RandomBits(generator_of(0))
        >>> again = RandomBits.from_state(bits.state())
        >>> bool((bits.take((2, 5)) == again.take((2, 5))).all())
        True
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self.at = np.uint64(int(_words(generator, 1)[0]) % (2**63 - 1))

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

    def state(self) -> Ints:
        """The position in the stream, (1,) int64."""
        return np.array([self.at]).view(np.int64)

    @classmethod
    def from_state(cls, state: Any) -> RandomBits:
        """The stream at a saved `state`."""
        bits = cls.__new__(cls)
        bits.at = np.array(beside(state, np.empty(0))).view(np.uint64)[0]
        return bits
