"""Memory of evaluated points, to avoid repeated calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE, check
from pyswarmopt.driver.call import Value

NUMBERS = 2**16  # most coordinates and values kept


class Memory:
    """The latest points with their values.

    Args:
        canonical: maps a point, (D,), to the representative of all points that look alike to the
            objective; None if there are none.

    Example:
        >>> memory = Memory()
        >>> memory.keep(memory.key(np.array([0.0, 1.0])), 3.0)
        >>> memory.known.get(memory.key(np.array([-0.0, 1.0])))
        3.0
    """

    def __init__(self, canonical: Callable[[Floats], Floats] | None = None) -> None:
        self._canonical = canonical
        self.known: dict[bytes, Value] = {}

    def key(self, x: Floats) -> bytes:
        """A key of a point, (D,), equal for points that the objective cannot distinguish."""
        same = x if self._canonical is None else self._canonical(x)
        return (same + 0.0).tobytes()  # -0 is 0

    def keep(self, key: bytes, value: Value) -> None:
        """Store the value of the point with this key, NaN if the call failed; the oldest goes if
        there are too many.
        """
        known = self.known
        known[key] = value
        if len(known) * (len(key) // 8 + 1) > NUMBERS:
            del known[next(iter(known))]

    def state_dict(self) -> dict[str, Any]:
        """Arrays for `load_state_dict`."""
        points: Floats = NONE
        if self.known:
            points = np.frombuffer(b"".join(self.known)).reshape(len(self.known), -1)
        return {"memory.points": points, "memory.values": _rows(list(self.known.values()))}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing, or has another kind.
        """
        check(saved, {"memory.values": ("float64", "nv")})
        points = saved["memory.points"]
        values = saved["memory.values"]
        if len(values):
            check(saved, {"memory.points": ("float64", "nD")}, {"n": len(values)})
        rows = values[:, 0].tolist() if values.shape[1] == 1 else list(values.copy())
        self.known = dict(zip((x.tobytes() for x in points), rows, strict=True))


def _rows(values: Sequence[Value]) -> Floats:
    """Values, (n, v), padded with NaN where one has fewer numbers, as after a failed call."""
    try:
        return np.array(values, dtype=np.float64).reshape(len(values), -1 if values else 1)
    except ValueError:  # of several lengths
        rows = np.full((len(values), max(map(np.size, values))), math.nan)
        for row, value in zip(rows, values, strict=True):
            row[: np.size(value)] = value
        return rows
