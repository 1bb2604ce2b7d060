"""Points of a grid that a Gaussian process proposes: all parameters have a few values.

Where each parameter is an integer, an ordered list or a category, the points are those of a grid.
The greatest expected improvement is found by changing one parameter at a time, to any of its
values, so a proposal is the best among its own neighbours, and no point is proposed twice.
"""

from __future__ import annotations

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.default.box import Kinds
from pyswarmopt.default.gaussian import AROUND, Merit, Proposals

SAMPLED = 512  # points drawn all over the grid
CLIMBS = 3  # points from which the greatest improvement is looked for
MOST_CHANGES = 256  # changes of one parameter of a point


def is_grid(kinds: Kinds) -> bool:
    """Whether each parameter has a few values."""
    valued = (kinds.whole | ~kinds.ordered).all()
    return bool(valued) and int(_values(kinds).sum()) <= MOST_CHANGES


class GridProposals(Proposals):
    """Like `Proposals`, for points of a grid."""

    def _chosen(
        self, merit: Merit, points: Floats, scores: Floats, random: np.random.Generator
    ) -> Floats:
        seen = {point.tobytes() for point in points}
        leaders = points[np.argsort(scores, kind="stable")[:AROUND]]
        drawn = self.kinds.snap(random.random((SAMPLED, points.shape[1])))
        near = [one_changed(self.kinds, leader) for leader in leaders]
        starts = _unseen(np.concatenate([drawn, *near]), seen)
        if not len(starts):  # hardly any is left
            return super()._chosen(merit, points, scores, random)
        merits = merit(starts)
        order = np.argsort(-merits, kind="stable")[:CLIMBS]
        tops = [self._climbed(merit, starts[i], float(merits[i]), seen) for i in order]
        return max(tops, key=lambda top: top[1])[0]

    def _climbed(
        self, merit: Merit, point: Floats, height: float, seen: set[bytes]
    ) -> tuple[Floats, float]:
        """A point, (M,), that no change of one parameter improves, with its merit."""
        while True:
            near = _unseen(one_changed(self.kinds, point), seen)
            if not len(near):
                return point, height
            merits = merit(near)
            i = int(merits.argmax())
            if merits[i] <= height:
                return point, height
            point = near[i]
            height = float(merits[i])


def one_changed(kinds: Kinds, point: Floats) -> Floats:
    """All points, (n, M), in which one parameter of a snapped point, (M,), has another value.

    Example:
        >>> kinds = Kinds(np.array([3, 0, 0]), np.array([0, 1, 1]), np.zeros(3, bool))
        >>> one_changed(kinds, np.array([0.5, 1.0, 0.0])).round(2).tolist()
        [[0.17, 1.0, 0.0], [0.83, 1.0, 0.0], [0.5, 0.0, 1.0]]
    """
    changed = []
    for parameter in range(kinds.count):
        own = np.flatnonzero(kinds.parameter == parameter)
        if len(own) == 1:
            levels = int(kinds.levels[own[0]])
            values = ((np.arange(levels) + 0.5) / levels)[:, None]
        else:
            values = np.eye(len(own))
        others = values[(values != point[own]).any(axis=1)]
        points = np.tile(point, (len(others), 1))
        points[:, own] = others
        changed.append(points)
    return np.concatenate(changed)


def _values(kinds: Kinds) -> Floats:
    """Number of values of each coordinate; a label counts as one."""
    return np.where(kinds.whole, kinds.levels, 1)


def _unseen(points: Floats, seen: set[bytes]) -> Floats:
    """Those of the points, (n, M), that are not seen yet."""
    return points[[point.tobytes() not in seen for point in points]]
