"""A model of the items: it predicts which of them a mixture gets right.

Of items that are answered by choosing among options the margins are modelled. An item is right
where the right option's score is above that of every other. Such a difference, a *margin*, is a
smooth function of the coefficients, where counts of right answers are noisy and stepped. The
*width* at a candidate is the mean over items of the logistic function of the closest rival's
margin, in units of `SOFTNESS` times the margins' standard deviation: proposals are where the
expected width is greatest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, stdtr
from torch import Tensor

from pyswarmopt_llm.common.gaussian import (
    Floats,
    Kernel,
    Posterior,
    box_around,
    highest,
    kernels_for,
    likeliest,
)
from pyswarmopt_llm.searching.scoring.record import Margins
from pyswarmopt_llm.searching.surrogate import Candidate, CandidateModel, Surrogate

NOISES = (1e-6, 1e-4, 1e-2)  # tried for the kernel
SOFTNESS = 0.4
BEYOND = 1.0  # of the range of what was scored: so far beyond it candidates are proposed
LEAST_LEAD = 1.0  # standard errors that a choosy model has to expect of a mixture


@dataclass
class ItemModel(Surrogate):
    """The default: experts, base, average and sum, then what a model of the items proposes.

    It estimates the noise of the scores from the margins.

    Attributes:
        choosy: whether a mixture has to promise a standard error more than the best candidate.
    """

    choosy: bool = False

    def _fit(self, seen: Sequence[Candidate]) -> CandidateModel:
        choosy = self.choosy and len(seen) == self._learnt
        return MarginProcess(
            np.stack([candidate.position for candidate in seen]),
            [candidate.margins for candidate in seen],
            least_lead=LEAST_LEAD if choosy else -math.inf,
        )


class MarginProcess:
    """Predicts margins at new positions from what they were at others.

    Args:
        positions: (N, D) of the candidates that were scored, at least two.
        margins: of each candidate, for each of I items the score of the right option minus that of
            each other one; None: not known.
        kernel: None: chosen by marginal likelihood.
        least_lead: standard errors that it has to expect a proposal to be ahead of the best.

    Example:
        >>> x = np.linspace(0, 1, 6)[:, None]
        >>> model = MarginProcess(x, [[[math.sin(3 * p)], [p - 0.45]] for p in x.ravel().tolist()])
        >>> model.right(np.array([[0.1], [0.9]])).round(2).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """

    def __init__(
        self,
        positions: Floats,
        margins: Sequence[Margins],
        kernel: Kernel | None = None,
        least_lead: float = -math.inf,
    ) -> None:
        self._positions = positions
        self._least_lead = least_lead
        self._count = len(margins[0])
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
            >>> model = MarginProcess(x, [[[p + 1, 0.5 - p]] for p in x.ravel().tolist()])
            >>> model.margins(np.array([[0.3], [0.9]])).round(2).tolist()
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
        bounds = box_around(self._positions, BEYOND)
        position = highest(lambda x: self._width(self.margins(x)), starts, bounds, seed)
        return [position] if self._lead(position.numpy()) >= self._least_lead else []

    def _lead(self, point: Floats) -> float:
        """Expected lead of a candidate, (D,), over the best, in standard errors of
        that one's accuracy.
        """
        best = float((self._seen > 0).mean(axis=1).max())
        error = math.sqrt(max(best * (1 - best), 1e-12) / self._count)
        return (float(self.right(point[None]).mean()) - best) / error

    def _width(self, closest: Floats) -> Floats:
        """(N,) from the (N, I) margins of the closest rivals."""
        widths: Floats = expit(closest / self._unit).mean(axis=1)
        return widths

    def _closest(self, values: Floats) -> Floats:
        """(M, I) the least of each item's rivals, from the (M, K) values of all rivals; of the items
        of which all candidates' margins are known.
        """
        least = np.minimum.reduceat(values, self._first, axis=1)
        return np.asfortranarray(least)  # the order in which the items are summed
