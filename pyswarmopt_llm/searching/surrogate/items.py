"""A model of items that are answered by choosing among options.

An item is right where the right option's score is above that of every other. Such a difference, a
*margin*, is a smooth function of the coefficients, where counts of right answers are noisy and
stepped. The *width* at a candidate is the mean over items of the logistic function of the closest
rival's margin, in units of `SOFTNESS` times the margins' standard deviation: proposals are where
the expected width is greatest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit, stdtr
from torch import Tensor

from pyswarmopt_llm.searching.scoring.record import Margins
from pyswarmopt_llm.searching.surrogate.surrogate import (
    Floats,
    Kernel,
    Posterior,
    argmax,
    kernels_for,
    likeliest,
)

NOISES = (1e-6, 1e-4, 1e-2)  # tried for the kernel
SOFTNESS = 0.4
_ITERATIONS = 100  # of the swarm that maximises the width


class ItemModel:
    """Predicts margins at new positions from what they were at others.

    Args:
        positions: (N, D) of the candidates that were scored, at least two.
        margins: (N, I, R): for each of I items the score of the right option minus that of each of
            R others; NaN where an item has fewer options.
        kernel: None: chosen by marginal likelihood.
        least_lead: standard errors that it has to expect a proposal to be ahead of the best.

    Example:
        >>> x = np.linspace(0, 1, 6)[:, None]
        >>> model = ItemModel(x, np.stack([np.sin(3 * x), x - 0.45], axis=1))
        >>> model.right(np.array([[0.1], [0.9]])).round(2).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """

    def __init__(
        self,
        positions: Floats,
        margins: Floats,
        kernel: Kernel | None = None,
        least_lead: float = -math.inf,
    ) -> None:
        self._positions, self._least_lead, self._shape = positions, least_lead, margins.shape[1:]
        flat = margins.reshape(len(margins), -1)
        there = ~np.isnan(margins.sum(axis=0))  # for all candidates
        self._items, self._there = there.any(axis=1), there.ravel()
        kernels = kernels_for(positions, NOISES) if kernel is None else [kernel]
        self._posterior: Posterior = likeliest(kernels, positions, flat[:, self._there])
        self._seen = self._closest(flat[:, self._there])
        self._unit = SOFTNESS * (float(self._seen.std()) or 1.0)

    @property
    def kernel(self) -> Kernel:
        """The kernel in use."""
        return self._posterior.kernel

    def right(self, points: npt.ArrayLike) -> Floats:
        """Probability (M, I) that the candidates at these points, (M, D), get each item right.

        That of being above the closest rival: an upper bound of the probability of being above all,
        and near it, since one rival usually decides.
        """
        mean, error = self._posterior.predict(np.asarray(points), self.kernel.noise)
        return self._closest(stdtr(len(self._positions) - 1, mean / error))

    def margins(self, points: npt.ArrayLike) -> Floats:
        """Expected margins (M, I) of the closest rival.

        Example:
            >>> x = np.linspace(0, 1, 6)[:, None]
            >>> ItemModel(x, np.stack([x + 1, 0.5 - x], axis=2)).margins(np.array([[0.3], [0.9]])).round(2).tolist()
            [[0.2], [-0.4]]
        """
        return self._closest(self._posterior.predict(np.asarray(points))[0])

    def expected(self) -> Floats:
        """(N,) the width of each candidate."""
        return self._width(self._seen)

    def propose(self, seed: int, count: int = 1) -> Sequence[Tensor]:
        """The position, (D,) float64, where a swarm finds the greatest expected width, if it is
        expected to be far enough ahead.

        It is one however many are asked for: what is unknown is no gain, and so another would be
        beside it.
        """
        starts = self._positions[np.argsort(-self.expected(), kind="stable")]
        position = argmax(lambda x: self._width(self.margins(x)), starts, seed, _ITERATIONS)
        return [position] if self._lead(position.numpy()) >= self._least_lead else []

    def _lead(self, point: Floats) -> float:
        """By how much a candidate, (D,), is expected to be ahead of the best, in standard errors of
        that one's accuracy.
        """
        best = float((self._seen > 0).mean(axis=1).max())
        error = math.sqrt(max(best * (1 - best), 1e-12) / self._shape[0])
        return (float(self.right(point[None]).mean()) - best) / error

    def _width(self, closest: Floats) -> Floats:
        """(N,) from the (N, I) margins of the closest rivals."""
        widths: Floats = expit(closest / self._unit).mean(axis=1)
        return widths

    def _closest(self, values: Floats) -> Floats:
        """(M, I) the least of each item's rivals, from the (M, K) values of all rivals; of the items
        of which all candidates' margins are known.
        """
        cube = np.full((len(values), self._there.size), np.inf)
        cube[:, self._there] = values
        least: Floats = cube.reshape(-1, *self._shape).min(axis=2)
        return least[:, self._items]


def as_cube(rows: Sequence[Margins]) -> Floats:
    """Margins of candidates as (N, I, R), NaN where an item has fewer options than another, or a
    margin is not known.

    Example:
        >>> as_cube([[[1.0, 2.0], [3.0]], [[0.5, 1.5], [4.0]]]).tolist()
        [[[1.0, 2.0], [3.0, nan]], [[0.5, 1.5], [4.0, nan]]]
    """
    rivals = max(len(margins or ()) for row in rows for margins in row)
    cube = np.full((len(rows), len(rows[0]), rivals), np.nan)
    for n, row in enumerate(rows):
        for i, margins in enumerate(row):
            cube[n, i, : len(margins or ())] = margins or ()
    return cube
