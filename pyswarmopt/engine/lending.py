"""Positions for the user: a copy of few numbers, the swarm's own memory where they are many."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.base.storage import empty

LENT_FROM = 2**18  # numbers, from which on a copy takes longer than to keep track of a loan
Array = npt.NDArray[Any]


def _nobody() -> None:
    """In place of a reference to what a user holds."""


class Lender:
    """Hands out positions on the CPU.

    What was lent does not change while there is a reference to it or to a view of it: the next
    positions then go to other memory, if possible to that of those before. A loop of ask, evaluate
    and tell alternates between two arrays.
    """

    def __init__(self) -> None:
        self._lent: Tensor | None = None
        self._former: Tensor | None = None
        # Each gives an array that exists as long as some tensor or array is a view of it.
        self._held: Callable[[], Array | None] = _nobody
        self._former_held: Callable[[], Array | None] = _nobody

    def hand_out(self, x: Tensor, array: Array) -> Tensor:
        """A copy of x, whose memory is that of the array, or x itself."""
        if array.size < LENT_FROM:
            return torch.from_numpy(array.copy())
        view = self._held() if self._lent is x else None
        if view is None:
            view = array.view()
            self._lent, self._held = x, weakref.ref(view)
        return torch.from_numpy(view)

    def next_after(self, x: Tensor) -> Tensor:
        """Memory for the positions after x: that of x unless the user holds it."""
        if self._lent is not x or self._held() is None:
            return x
        room = self._former
        if room is None or self._former_held() is not None or room.shape != x.shape:
            room = empty(tuple(x.shape), x.dtype)
        self._former, self._former_held = x, self._held
        return room
