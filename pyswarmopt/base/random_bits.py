"""Random numbers of a swarm: a NumPy generator, and a stream of 16-bit numbers for factors per
coordinate.

The generator is the Mersenne Twister. Its bits become numbers as in torch's CPU generator, so a
seed gives the same run on arrays and on tensors, in this version and in earlier ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Array, Floats, Ints, beside, dtype_name, like
from pyswarmopt.base.record import check

FULL_SCALE = 65536.0  # a factor is 16 random bits / FULL_SCALE, in [0, 1)
# SplitMix64's increment: an odd number near 2^64 / golden ratio
GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
SHIFT_1 = np.uint64(30)
SHIFT_2 = np.uint64(27)
SHIFT_3 = np.uint64(31)

FEW = 256  # for so few words a call of `integers` is not worth it
HALF = np.uint64(32)  # bits
MANTISSA = np.uint64(2**53 - 1)  # bits of a uniform number
TWISTER = 624  # 32-bit words of the Mersenne Twister
# A saved generator has torch's layout: 64-bit words, of which these are used.
SAVED_BYTES = 5056
LEFT = 1  # words left before the Twister makes new ones, plus one
SEEDED = np.uint64(2**32)  # a flag beside that number
PLACE = 2  # index of the next word
WORDS = slice(3, 3 + TWISTER)


# ---- the generator ----


def generator_of(seed: int | None) -> np.random.Generator:
    """A swarm's own generator; None takes a seed from the operating system.

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
        # the 32 bits of the first word of a Mersenne Twister
        seeded = np.random.RandomState(seed % 2**32)
        twister.state = seeded.get_state(legacy=False)  # type: ignore[assignment]
    return np.random.Generator(twister)


def uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Numbers uniform in [0, 1): the lower 53 of 64 bits."""
    bits = _words(generator, math.prod(shape))
    bits &= MANTISSA
    return np.reshape(bits * 2.0**-53, shape).astype(np.float64, copy=False)


def normal(generator: np.random.Generator, like_these: Array) -> Array:
    """Normally distributed numbers with the count, kind and precision of `like_these`.

    For 32 bits and fewer they are made by Box & Muller 1958 in arrays, in half the time of NumPy's
    ziggurat; their magnitudes are below 5.8.
    """
    shape = tuple(like_these.shape)
    if dtype_name(like_these) == "float64":
        return like(generator.standard_normal(shape), like_these)
    numbers = _box_muller(generator, math.prod(shape)).reshape(shape)
    return like(beside(numbers, like_these), like_these)


def whole(generator: np.random.Generator, below: int, shape: tuple[int, ...]) -> Ints:
    """Whole numbers from 0 to below `below`, which must be far below 2^32."""
    bits = generator.bit_generator.random_raw(math.prod(shape)).astype(np.uint32).reshape(shape)
    return (bits % np.uint32(below)).astype(np.int64)


def _words(generator: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    """Random 64-bit words, (count,), whose upper halves are drawn first."""
    if count > FEW:
        return generator.integers(2**64, size=count, dtype=np.uint64)
    # the same without argument checks, which take longer for so few numbers
    words = generator.bit_generator.random_raw(2 * count)
    return (words[::2] << HALF) | words[1::2]


def _box_muller(generator: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    """Normal numbers, (count,), from uniform ones."""
    u = generator.random((2, (count + 1) // 2), dtype=np.float32)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - u[0]))
    angle = np.float32(2 * math.pi) * u[1]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def saved_generator(generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The state of a generator, (5056,) uint8."""
    twister: Any = generator.bit_generator.state["state"]
    words = np.zeros(SAVED_BYTES // 8, dtype="<u8")
    words[LEFT] = SEEDED + TWISTER + 1 - twister["pos"]
    words[PLACE] = twister["pos"]
    words[WORDS] = twister["key"]
    return words.view(np.uint8)


def generator_at(saved: Any) -> np.random.Generator:
    """A generator with a saved state.

    Raises:
        ValueError: not a generator's state.
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

    Each number depends only on its place in the stream, so it vectorises. `at` is the place times
    GAMMA.
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
    """A stream of 16-bit numbers, four per number of `split_mix`; a generator draws its start.

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
        """The results of `count` calls of `take`, (count, *shape)."""
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
