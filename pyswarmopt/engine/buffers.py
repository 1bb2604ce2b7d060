"""The memory of a swarm: NumPy views of its tensors, and positions handed out without a copy."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyswarmopt.base.inputs import matrix, take_over
from pyswarmopt.base.state import State
from pyswarmopt.base.storage import empty
from pyswarmopt.engine.reference import tensors
from pyswarmopt.parts.velocity import Snapshot

# what was lent, and the array that exists while it is in use
Loan = tuple[Tensor, Callable[[], np.ndarray | None]]

NUMPY_DTYPES = (torch.float64, torch.float32)
# numbers; up to there a copy costs less than the memory that a loan saves is worth
LENT_FROM = 2**18
FEW_NUMBERS = 2**12  # up to which a comparison in Python beats one in torch


class Lender:
    """Hands out an array without copying it, and reuses a buffer that has no other reference for
    the next one.

    What was lent does not change while there is a reference to it or to a view of it: the next
    array then goes to other memory, if possible to that of the one before the last. An ask,
    evaluate, tell loop so alternates between two arrays of positions and needs no fresh memory,
    which costs more to map than to fill.
    """

    def __init__(self) -> None:
        self._lent: Loan | None = None
        self._former: Loan | None = None

    def lend(self, x: Tensor) -> Tensor:
        """A tensor on the memory of x, on the CPU."""
        array = self._lent[1]() if self._lent is not None and self._lent[0] is x else None
        if array is None:
            array = x.numpy().view()  # exists for as long as some tensor or array is a view of it
            self._lent = x, weakref.ref(array)
        return torch.from_numpy(array)

    def buffer_after(self, x: Tensor) -> Tensor:
        """Memory for the array after x: that of x unless a loan of it is in use."""
        lent, former = self._lent, self._former
        if lent is None or lent[0] is not x or lent[1]() is None:
            self._lent = None
            return x
        usable = former is not None and former[1]() is None and former[0].shape == x.shape
        buffer = (
            former[0] if former is not None and usable else empty(tuple(x.shape), x.dtype, x.device)
        )
        self._lent, self._former = None, lent
        return buffer


class Buffers:
    """What the backends keep of a state's memory from move to move.

    Attributes:
        in_numpy: whether NumPy can work on the tensors: those on the CPU, of a dtype that it has.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.in_numpy = (
            state.positions.dtype in NUMPY_DTYPES and state.positions.device.type == "cpu"
        )
        self.renew()

    def renew(self) -> None:
        """Forget everything about a former population."""
        self._viewed: tuple[Any, ...] = (None,) * 5  # the tensors of which `_arrays` are views
        self._arrays: Snapshot
        self._copied: tuple[Tensor | None, npt.NDArray[Any]] = None, np.empty(0)
        self._lender = Lender()
        self.arrays()  # the views of the former population would keep its memory

    def arrays(self) -> Snapshot:
        """The large arrays, in NumPy if possible; kept, since making views costs as much as using
        them.
        """
        st = self._state
        if not self.in_numpy:
            return tensors(st)
        x, v, p, g, w = self._viewed
        if not (
            x is st.positions
            and v is st.velocities
            and p is st.best_positions
            and g is st.leader_position
            and w is st.worst_position
        ):
            self._viewed = (
                st.positions,
                st.velocities,
                st.best_positions,
                st.leader_position,
                st.worst_position,
            )
            x, v, p, g, w = (tensor.numpy() for tensor in self._viewed)
            self._arrays = Snapshot(x, v, p, g[None], w[None])
        return self._arrays

    def hand_out(self) -> Tensor:
        """The positions for the user: a copy, or a loan where a copy would be large (see
        `Lender`).
        """
        positions = self._state.positions
        if not self.in_numpy:
            return positions.clone()
        x = self.arrays().x
        if x.size >= LENT_FROM:
            return self._lender.lend(positions)
        copy = x.copy()
        self._copied = torch.from_numpy(copy), copy
        return self._copied[0]

    def is_unedited(self, returned: Any) -> bool:
        """Whether that is the copy of the present positions that was handed out last, with the same
        numbers.
        """
        handed, copy = self._copied
        return (
            handed is returned
            and copy.size <= FEW_NUMBERS
            and copy.tobytes() == self.arrays().x.tobytes()
        )

    def adopt(self, told: Any, repaired: bool) -> None:
        """Take over positions, (N, D), that the user told: the present ones, unless they were
        repaired.

        Raises:
            ValueError: other positions that were not `repaired`, or another shape.
        """
        if self.is_unedited(told):
            return
        current = self._state.positions
        if (
            isinstance(told, Tensor)
            and told.dtype == current.dtype
            and told.device == current.device
        ):
            lent = told.data_ptr() == current.data_ptr() and told.shape == current.shape
            if (lent and told.stride() == current.stride()) or torch.equal(told, current):
                return  # the usual case, without a copy
        source = matrix("positions", told, tuple(current.shape))
        room = empty(tuple(current.shape), current.dtype, current.device)
        take_over("positions", source, room)
        if repaired:
            self._state.positions = room
        elif not torch.equal(room, current):
            raise ValueError(
                "tell() must be given the positions that ask() returned; if you repaired them, "
                "say repaired=True"
            )

    def for_next(self) -> Tensor:
        """Memory for the next positions: that of the present ones unless the user holds them."""
        return self._lender.buffer_after(self._state.positions)

    def own_positions(self) -> None:
        """Have the positions in memory that the user does not hold, so that they may be edited."""
        buffer = self.for_next()
        if buffer is not self._state.positions:
            self._state.positions = buffer.copy_(self._state.positions)
