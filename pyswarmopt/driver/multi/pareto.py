"""Several objectives, all minimised: dominance, crowding, hypervolume."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Bools, Floats


def non_dominated(values: npt.ArrayLike) -> Bools:
    """Find the points that no other point dominates.

    A point dominates another if it is no worse in any objective and better in at least one. Equal
    points are either all found or all left out; points with NaN are never found.

    Args:
        values: (n, M), M objectives for each point.

    Returns:
        (n,) booleans.

    Example:
        >>> non_dominated([[1.0, 3.0], [2.0, 2.0], [2.0, 4.0]]).tolist()
        [True, True, False]
    """
    v = np.asarray(values, dtype=np.float64)
    numbers = np.flatnonzero(~np.isnan(v).any(-1))
    rest = numbers[np.lexsort(v[numbers].T[::-1])]  # none is dominated by a later one
    columns = v[rest].T
    best = np.zeros(len(v), dtype=np.bool_)
    while rest.size:
        first = columns[:, :1]
        best[rest[(columns == first).all(axis=0)]] = True
        ahead = (columns < first).any(axis=0)  # in some objective
        rest = rest.compress(ahead)
        columns = columns.compress(ahead, axis=1)
    return best


def crowding_distance(values: npt.ArrayLike) -> Floats:
    """Distance between each point's neighbours on the front; infinite at its ends.

    Deb, Pratap, Agarwal & Meyarivan 2002, IEEE TEC 6(2), section III-B: for each objective the
    distance between the neighbours on either side, divided by the range, summed.

    Args:
        values: (n, M), points that do not dominate each other.

    Returns:
        (n,) distances, larger in less crowded regions.

    Example:
        >>> crowding_distance([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0]]).tolist()
        [inf, 2.0, inf]
    """
    v = np.asarray(values, dtype=np.float64)
    distances = np.zeros(len(v))
    if not len(v):
        return distances
    for column in v.T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        width = ranked[-1] - ranked[0]
        distances[order[0]] = distances[order[-1]] = math.inf
        if width > 0:
            distances[order[1:-1]] += (ranked[2:] - ranked[:-2]) / width
    return distances


def hypervolume(values: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """The volume dominated by the points, up to a reference point; larger is better.

    The result is exact, by slicing along one objective after another (Zitzler 1999; While,
    Hingston, Barone & Huband 2006, IEEE TEC 10(1)). This is fast enough for hundreds of points with
    2 or 3 objectives, but slow for many points with 5 or more.

    Args:
        values: (n, M), points; those that do not dominate the reference add nothing.
        reference: (M,), a point that is worse than every point that should count.

    Returns:
        The volume, in the product of the objectives' units.

    Raises:
        ValueError: the shapes do not match.

    Example:
        >>> hypervolume([[1.0, 2.0], [2.0, 1.0]], [3.0, 3.0])
        3.0
    """
    v = np.asarray(values, dtype=np.float64)
    corner = np.asarray(reference, dtype=np.float64)
    if corner.ndim != 1 or v.ndim != 2 or v.shape[1] != len(corner):
        raise ValueError(
            f"values have shape {v.shape} and the reference has shape {corner.shape}; use (n, M) "
            "and (M,)"
        )
    v = v[(v < corner).all(-1)]
    return _volume(v, corner)


def _volume(v: Floats, corner: Floats) -> float:
    if len(v) == 0:
        return 0.0
    if len(corner) == 1:
        return float(corner[0] - v.min())
    v = v[np.argsort(v[:, -1], kind="stable")]
    depths = np.append(v[1:, -1], corner[-1]) - v[:, -1]
    volume = 0.0
    for i, depth in enumerate(depths):
        if depth > 0:
            slab = v[: i + 1, :-1]  # points that reach as deep as this slice
            volume += float(depth) * _volume(slab[non_dominated(slab)], corner[:-1])
    return volume


__all__ = ["crowding_distance", "hypervolume", "non_dominated"]
