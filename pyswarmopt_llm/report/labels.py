"""Places labels of points in a picture without overlaps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyswarmopt.base.arrays import Floats

MARK = 6.0  # half the side of a point's mark
GAP = 3.0  # between a label and other labels or points' marks
STEP = 6.0  # distance between tried places


def place_labels(
    points: Floats, sizes: Floats, room: Sequence[float]
) -> list[tuple[float, float] | None]:
    """The middle of each label: beside its point if free, else the nearest free place.

    Args:
        points: labelled points, (n, 2), in units equal along both axes, such as pixels.
        sizes: width and height of each label, (n, 2).
        room: left, lowest, right and highest coordinate that a label may reach.

    Returns:
        The middle of each point's label; None if the room is full.

    Example:
        >>> same = np.array([[50.0, 50.0], [50.0, 50.0]])
        >>> place_labels(same, np.array([[20.0, 10.0]] * 2), (0, 0, 100, 100))
        [(69.0, 50.0), (31.0, 50.0)]
    """
    low, high = np.reshape(room, (2, 2))
    taken = points
    spans = np.full_like(points, MARK)
    found: list[tuple[float, float] | None] = []
    for point, half in zip(points, sizes / 2, strict=True):
        places = _candidates(point, half, low, high)
        distance = abs(places[:, None] - taken) - (half + spans + GAP)
        free = places[~(distance < -1e-9).all(axis=2).any(axis=1)]
        if not len(free):
            found.append(None)
            continue
        found.append((float(free[0][0]), float(free[0][1])))
        taken = np.vstack([taken, free[:1]])
        spans = np.vstack([spans, half])
    return found


def _candidates(point: Floats, half: Floats, low: Floats, high: Floats) -> Floats:
    """Possible places of a label inside the room: right, left, above and below its point, then all
    others, nearest first.
    """
    sides = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)])
    beside = point + sides * (half + MARK + GAP)
    lowest = low + half
    highest = high - half
    axes = [np.arange(a, b + 1e-9, STEP) for a, b in zip(lowest, highest, strict=True)]
    anywhere = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    nearest = anywhere[np.linalg.norm(anywhere - point, axis=1).argsort(kind="stable")]
    places = np.vstack([beside, nearest])
    return places[((places >= lowest) & (places <= highest)).all(axis=1)]
