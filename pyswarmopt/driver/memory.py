"""Memory of evaluated points, to avoid repeated calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import NONE, check

NUMBERS = 2**16  # most coordinates and values kept
Value = Floats | float


class Memory:
    """The latest points with their values.

    Args:
        canonical: maps a point, (D,), to the representative of all points that look alike to the
            objective; None if there are none.

    Example:
        >>> memory = Memory()
        >>> memory.keep(np.array([0.0, 1.0]), 3.0)
        >>> memory.recall(np.array([-0.0, 1.0])), memory.recall(np.array([1.0, 1.0]))
        (3.0, None)
    """

    def __init__(self, canonical: Callable[[Floats], Floats] | None = None) -> None:
        self._canonical = canonical
        self._known: dict[bytes, Value] = {}

    def __len__(self) -> int:
        return len(self._known)

    def keys(self, points: Floats) -> list[bytes]:
        """A key for each point, (n, D), equal for points that the objective cannot distinguish."""
        same = points if self._canonical is None else np.array(list(map(self._canonical, points)))
        return [x.tobytes() for x in same + 0.0]  # -0 is 0

    def key(self, x: Floats) -> bytes:
        """The key of a point, (D,)."""
        return self.keys(x[None])[0]

    def recall(self, x: Floats) -> Value | None:
        """The value at x, (D,); NaN for a failed call, None if unknown."""
        return self.recall_key(self.key(x))

    def recall_key(self, key: bytes) -> Value | None:
        """As `recall`, for the point with this key."""
        return self._known.get(key)

    def keep(self, x: Floats, value: Value) -> None:
        """Store the value at x, (D,), replacing the oldest if there are too many."""
        self.keep_key(self.key(x), value)

    def keep_key(self, key: bytes, value: Value) -> None:
        """As `keep`, for the point with this key."""
        known = self._known
        known[key] = value
        if len(known) * (len(key) // 8 + 1) > NUMBERS:
            del known[next(iter(known))]

    def keep_all(self, points: Floats, values: Iterable[Value]) -> None:
        """Store many, (n, D)."""
        for x, value in zip(points, values, strict=True):
            self.keep(x, value)

    def state_dict(self) -> dict[str, Any]:
        """Arrays for `load_state_dict`."""
        points = (
            np.frombuffer(b"".join(self._known)).reshape(len(self), -1) if self._known else NONE
        )
        return {"memory.points": points, "memory.values": _rows(list(self._known.values()))}

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
        self._known = dict(zip((x.tobytes() for x in points), rows, strict=True))


def _rows(values: Sequence[Value]) -> Floats:
    """Values, (n, v), padded with NaN where one has fewer numbers, as after a failed call."""
    if {*map(type, values)} <= {float, np.float64}:  # the usual case, a hundred times faster
        return np.array(values, dtype=np.float64).reshape(len(values), 1)
    alike: Any = values
    if {*map(type, values)} == {np.ndarray} and len({value.shape for value in alike}) == 1:
        return np.array(values, dtype=np.float64).reshape(len(values), -1)
    rows = np.full((len(values), max(map(np.size, values))), math.nan)
    for row, value in zip(rows, values, strict=True):
        row[: np.size(value)] = value
    return rows
