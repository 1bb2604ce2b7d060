"""The positions of a large swarm for the user: the swarm's own memory, not a copy."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Array, beside
from pyswarmopt.base.storage import empty

LENT_FROM = 2**18  # from this many numbers on, a copy takes longer than tracking a loan
Numbers = npt.NDArray[Any]


def _nobody() -> None:
    """Stands for a reference to something a user holds."""


class Lender:
    """Hands out positions on the CPU.

    A lent array does not change while it, or a view of it, is referenced: the next positions go to
    other memory, if possible the previous positions'. A loop of ask, evaluate and tell alternates
    between two arrays.
    """

    def __init__(self) -> None:
        self._lent: Array = None
        self._former: Array = None
        # Each returns an array that exists as long as some tensor or array is a view of it.
        self._held: Callable[[], Numbers | None] = _nobody
        self._former_held: Callable[[], Numbers | None] = _nobody

    def hand_out(self, x: Array, array: Numbers) -> Array:
        """x itself, whose memory is the array's."""
        view = self._held() if self._lent is x else None
        if view is None:
            # The base of a view of a view is the end of the chain, unless that is no array: so the
            # user's views keep this array alive.
            view = np.asarray(memoryview(array))  # type: ignore[arg-type]
            self._lent = x
            self._held = weakref.ref(view)
        return beside(view, x)

    def next_after(self, x: Array) -> Array:
        """Memory for the positions after x: x's own unless the user holds it."""
        if self._lent is not x or self._held() is None:
            return x
        room = self._former
        if room is None or self._former_held() is not None or room.shape != x.shape:
            room = empty(tuple(x.shape), x.dtype)
        self._former = x
        self._former_held = self._held
        return room
