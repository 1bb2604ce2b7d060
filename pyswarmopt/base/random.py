"""Random numbers of a swarm, all from one NumPy generator: its seed, its state, and factors of
16 bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Array, dtype_name, like

FULL_SCALE = 65536.0  # a factor is 16 random bits / FULL_SCALE, in [0, 1)


def sixteen_bits(generator: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Whole numbers below `FULL_SCALE`, four out of each 64 bits: faster than any distribution."""
    size = math.prod(shape)
    words = generator.bit_generator.random_raw((size + 3) // 4)
    return words.view(np.uint16)[:size].reshape(shape)


def normal(generator: np.random.Generator, like_these: Array) -> Array:
    """Normally distributed numbers with the shape, kind and precision of `like_these`."""
    precision: Any = np.float32
    if dtype_name(like_these) == "float64":
        precision = np.float64
    return like(generator.standard_normal(tuple(like_these.shape), precision), like_these)


def generator_at(state: Any) -> np.random.Generator:
    """A generator with the state of another one's ``bit_generator``.

    Raises:
        ValueError: `state` is not a generator's state.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> generator_at(generator.bit_generator.state).random() == generator.random()
        True
    """
    generator = np.random.default_rng(0)
    try:
        generator.bit_generator.state = state
    except Exception as error:
        raise ValueError("the state of the random generator is not valid") from error
    return generator
