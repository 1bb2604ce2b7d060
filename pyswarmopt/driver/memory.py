"""Memory of the points that were evaluated: a call that would repeat one is not made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import check

NUMBERS = 2**16  # coordinates and values that are kept
Value = Floats | float


class Memory:
    """The latest points with their values.

    Args:
        canonical: from a point, (D,), to the one that stands for all that look alike to the objective;
            None where none do.

    Example:
        >>> memory = Memory()
        >>> memory.keep(np.array([0.0, 1.0]), 3.0)
        >>> memory.recall(np.array([-0.0, 1.0])), memory.recall(np.array([1.0, 1.0]))
        (3.0, None)
    """

    def __init__(self, canonical: Callable[[Floats], Floats] | None = None) -> None:
        self._canonical = canonical
        self._known: dict[bytes, tuple[Floats, Value]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def key(self, x: Floats) -> bytes:
        """Equal for points that the objective cannot tell apart."""
        same = x if self._canonical is None else self._canonical(x)
        return (same + 0.0).tobytes()  # -0 is 0

    def recall(self, x: Floats) -> Value | None:
        """The value at x, (D,), NaN where the call failed; None where it is not known."""
        return self.recall_key(self.key(x))

    def recall_key(self, key: bytes) -> Value | None:
        """As `recall`, of the point with this key."""
        known = self._known.get(key)
        return None if known is None else known[1]

    def keep(self, x: Floats, value: Value) -> None:
        """Keep the value at x, (D,), in place of the oldest if there are too many."""
        if len(x) < NUMBERS:
            self._known[self.key(x)] = x.copy(), value
        while len(self._known) * (len(x) + np.size(value)) > NUMBERS:
            del self._known[next(iter(self._known))]

    def keep_all(self, points: Iterable[Floats], values: Iterable[Value]) -> None:
        """Keep many."""
        for x, value in zip(points, values, strict=True):
            self.keep(x, value)

    def state_dict(self) -> dict[str, Any]:
        """Arrays from which `load_state_dict` restores it."""
        width = max((np.size(value) for _, value in self._known.values()), default=1)
        values = np.full((len(self), width), math.nan)
        for row, (_, value) in zip(values, self._known.values(), strict=True):
            row[: np.size(value)] = value
        points = np.array([x for x, _ in self._known.values()])
        return {"memory.points": points, "memory.values": values}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; other entries of `saved` are ignored.

        Raises:
            ValueError: an entry is missing, or of another kind.
        """
        check(saved, {"memory.values": ("float64", "nv")})
        points, values = saved["memory.points"], saved["memory.values"]
        if len(values):
            check(saved, {"memory.points": ("float64", "nD")}, {"n": len(values)})
        self._known = {}
        self.keep_all(points, values[:, 0].tolist() if values.shape[1] == 1 else values.copy())
