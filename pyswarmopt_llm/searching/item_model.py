"""A model of the items: it predicts which items a mixture answers correctly.

It models margins of items answered by choosing an option. An item is correct if the right option
scores above every other option. Such a difference, a *margin*, is a smooth function of the
coefficients, while counts of correct answers are noisy and stepped. The *width* at a candidate is
the mean over items of the logistic function of the closest margin, in units of `SOFTNESS` times the
margins' standard deviation. Candidates are proposed where the expected width is greatest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from torch import Tensor

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.gaussian import (
    Kernel,
    Posterior,
    box_around,
    highest,
    kernels_for,
    likeliest,
)
from pyswarmopt_llm.searching.scoring.record import Margins

NOISES = (1e-6, 1e-4, 1e-2)  # tried for the kernel
SOFTNESS = 0.4
BEYOND = 1.0  # candidates may lie this far beyond the scored range, as a share of it


class MarginProcess:
    """Predicts margins at new positions from known margins.

    Args:
        positions: positions of the scored candidates, (N, D), at least two.
        margins: for each candidate and each of I items: the right option's score minus the score of
            each other option; None: unknown.
        kernel: None: chosen by marginal likelihood.

    Example:
        >>> x = np.linspace(0, 1, 6)[:, None]
        >>> model = MarginProcess(x, [[[p + 1, 0.5 - p]] for p in x.ravel().tolist()])
        >>> model.margins(np.array([[0.3], [0.9]])).round(2).tolist()
        [[0.2], [-0.4]]
    """

    def __init__(
        self,
        positions: Floats,
        margins: Sequence[Margins],
        kernel: Kernel | None = None,
    ) -> None:
        self._positions = positions
        items = [own for own in zip(*margins, strict=True) if all(map(bool, own))]
        columns = np.hstack([np.array(own, dtype=np.float64) for own in items])
        self._first = np.cumsum([0, *(len(own[0] or ()) for own in items[:-1])])
        kernels = kernels_for(positions, NOISES) if kernel is None else [kernel]
        self._posterior: Posterior = likeliest(kernels, positions, columns)
        self._seen = self._closest(columns)
        self._unit = SOFTNESS * (float(self._seen.std()) or 1.0)

    @property
    def kernel(self) -> Kernel:
        """The kernel in use."""
        return self._posterior.kernel

    def margins(self, points: npt.ArrayLike) -> Floats:
        """Expected closest margin of each item, (M, I), at points (M, D)."""
        return self._closest(self._posterior.predict(np.asarray(points))[0])

    def expected(self) -> Floats:
        """The width of each candidate, (N,)."""
        return self._width(self._seen)

    def propose(self, seed: int, count: int = 1) -> Sequence[Tensor]:
        """The position, (D,) float64, with the greatest expected width.

        It returns one whatever `count` is: the width does not reward uncertainty, so a second one
        would lie beside the first.
        """
        starts = self._positions[np.argsort(-self.expected(), kind="stable")]
        bounds = box_around(self._positions, BEYOND)
        return [highest(lambda x: self._width(self.margins(x)), starts, bounds, seed)]

    def _width(self, closest: Floats) -> Floats:
        """The widths, (N,), from the closest margins, (N, I)."""
        widths: Floats = expit(closest / self._unit).mean(axis=1)
        return widths

    def _closest(self, values: Floats) -> Floats:
        """The closest margin of each item, (M, I), from all margins, (M, K); only items whose
        margins are known for all candidates.
        """
        least = np.minimum.reduceat(values, self._first, axis=1)
        return np.asfortranarray(least)  # the order in which items are summed
