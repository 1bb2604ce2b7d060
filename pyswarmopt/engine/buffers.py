"""Positions of a large swarm, handed out without a copy."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.base.storage import IN_MEMORY, Storage

Loan = tuple[Tensor, Callable[[], np.ndarray | None]]  # what was lent, and the array by which somebody holds it


class Lender:
    """Hands out an array without copying it, and finds memory for the next one that nobody reads.

    What was lent stays as it is for as long as somebody holds it, or a view of it: the next array then goes to other
    memory, at best to that of the one before the last. A swarm that is asked, evaluated and told in a loop so has
    two arrays of positions that take turns, and no fresh memory, which costs more to map than to fill.

    Args:
        storage: where that other memory comes from.
    """

    def __init__(self, storage: Storage = IN_MEMORY) -> None:
        self._storage = storage
        self._lent: Loan | None = None
        self._former: Loan | None = None

    def __reduce__(self) -> tuple[type[Lender], tuple[Storage]]:
        """A pickled lender has lent nothing: what it did lend belongs to the process that holds it."""
        return Lender, (self._storage,)

    def lend(self, x: Tensor) -> Tensor:
        """A tensor on the memory of x, on the CPU."""
        array = self._lent[1]() if self._lent is not None and self._lent[0] is x else None
        if array is None:
            array = x.numpy().view()  # lives for as long as some tensor or array is a view of it
            self._lent = x, weakref.ref(array)
        return torch.from_numpy(array)

    def reserve(self, x: Tensor) -> None:
        """Take the room that the one after x may need, if it is on a disk, which may be full by then."""
        if self._storage.folder is not None:
            self._former = self._like(x), lambda: None

    def room(self, x: Tensor) -> Tensor:
        """Memory for what comes after x: that of x unless somebody holds it.

        Raises:
            StorageError: the disk is full; everything is as it was.
        """
        lent, former = self._lent, self._former
        if lent is None or lent[0] is not x or lent[1]() is None:
            self._lent = None
            return x
        usable = former is not None and former[1]() is None and former[0].shape == x.shape
        room = former[0] if former is not None and usable else self._like(x)
        self._lent, self._former = None, lent
        return room

    def _like(self, x: Tensor) -> Tensor:
        return self._storage.empty(tuple(x.shape), x.dtype, x.device)


__all__ = ["Lender"]
