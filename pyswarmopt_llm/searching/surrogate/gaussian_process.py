"""Predict which items a candidate gets right, from the candidates scored so far: a Gaussian
process.

An item is right where the right option's score is above that of every other. Such a difference, a
*margin*, is a smooth function of the coefficients. How smooth, a single margin does not tell, but
hundreds of them do: all have one kernel, and each has a mean and a variance of its own. Nothing
here runs a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.spatial.distance import cdist
from scipy.special import stdtr

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

# What is tried for the kernel: lengths in units of the positions' own spread, noise in units of a
# margin's variance.
LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
NOISES = (1e-6, 1e-4, 1e-2)
_TINY = 1e-12  # of a variance: a margin that never changed


@dataclass(frozen=True)
class Kernel:
    """Matérn's covariance with smoothness 5/2 (Rasmussen & Williams 2006, eq. 4.17), and
    independent noise.

    Attributes:
        length: distance over which margins change.
        noise: variance of what is not smooth (a model's answers in bfloat16), in units of a
            margin's variance.
    """

    length: float
    noise: float

    def __call__(self, points: Floats, other: Floats) -> Floats:
        """Correlations (N, M) of the smooth part between positions (N, D) and (M, D).

        Example:
            >>> Kernel(1.0, 0.0)(np.zeros((1, 2)), np.array([[0.0, 0.0], [1.0, 0.0]])).round(4).tolist()
            [[1.0, 0.524]]
        """
        r = np.sqrt(5) * cdist(points, other) / self.length
        values: Floats = (1 + r + r**2 / 3) * np.exp(-r)
        return values


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process with an unknown mean and scale, given columns (margins) seen at the same
    candidates (rows).

    With the covariance K = L Lᵀ of these n candidates and the margins y: `root` is L, `level` the
    mean by generalised least squares, `rest` L⁻¹(y - level), `weights` K⁻¹(y - level), `ones` L⁻¹1,
    `variance` restᵀrest / (n - 1).
    """

    columns: Places
    rows: Places
    root: Floats
    level: Floats
    rest: Floats
    weights: Floats
    ones: Floats
    variance: Floats

    @classmethod
    def of(cls, covariance: Floats, columns: Places, rows: Places, margins: Floats) -> Posterior:
        """That of these columns and rows of `margins`, (N, K), whose rows have this covariance, (N,
        N).
        """
        root = cholesky(covariance[np.ix_(rows, rows)], lower=True)
        ones = solve_triangular(root, np.ones(len(rows)), lower=True)
        y = solve_triangular(root, margins[np.ix_(rows, columns)], lower=True)
        level = ones @ y / (ones @ ones)
        rest = y - np.outer(ones, level)
        variance = np.maximum((rest**2).sum(0) / (len(rows) - 1), _TINY)
        weights = solve_triangular(root, rest, lower=True, trans=1)
        return cls(columns, rows, root, level, rest, weights, ones, variance)

    @property
    def evidence(self) -> float:
        """Log marginal likelihood but for a constant, with flat priors on the means and on the log
        variances.
        """
        width, free = len(self.columns), len(self.rows) - 1
        volume = np.log(np.diag(self.root)).sum() + 0.5 * np.log(self.ones @ self.ones)
        return float(-0.5 * free * np.log(self.variance).sum() - width * volume)

    def predict(self, between: Floats, noise: float) -> tuple[Floats, Floats]:
        """(means (M, K), standard errors (M, K)) of Student's t with n - 1 degrees of freedom.

        Args:
            between: (N, M) covariances of all candidates and the new ones.
            noise: variance that the new values have beside the smooth part, in units of a column's
                own.
        """
        k = solve_triangular(self.root, between[self.rows], lower=True)
        mean = self.level + k.T @ self.rest
        off = 1 - self.ones @ k
        share = 1 + noise - (k**2).sum(0) + off**2 / (self.ones @ self.ones)
        return mean, np.sqrt(np.maximum(share, _TINY)[:, None] * self.variance)


class ItemModel:
    """Predicts margins at new positions from what they were at others.

    Each margin is its own mean plus its own scale times a Gaussian process, all with one kernel.
    With flat priors on means and log scales the prediction is Student's t (Santner, Williams & Notz
    2003, section 4.1). Margins that were seen at the same candidates share one solve.

    Args:
        positions: (N, D) of the candidates that were scored.
        margins: (N, I, R): for each of I items the score of the right option minus that of each of
            R others; NaN where an item was not scored, or has fewer options.
        kernel: None: chosen by marginal likelihood.

    Attributes:
        kernel: the one in use.

    Raises:
        ValueError: shapes that do not fit, or numbers that are infinite.

    Example:
        >>> x = np.linspace(0, 1, 6)[:, None]
        >>> model = ItemModel(x, np.stack([np.sin(3 * x), x - 0.45], axis=1))
        >>> model.right(np.array([[0.1], [0.9]])).round(2).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """

    def __init__(
        self, positions: npt.ArrayLike, margins: npt.ArrayLike, kernel: Kernel | None = None
    ) -> None:
        self._positions: Floats = np.asarray(positions, dtype=np.float64)
        cube: Floats = np.asarray(margins, dtype=np.float64)
        if self._positions.ndim != 2 or cube.ndim != 3 or len(self._positions) != len(cube):
            raise ValueError(
                f"positions {self._positions.shape} and margins {cube.shape}: give (N, D) and (N, "
                "I, R)"
            )
        if np.isinf(cube).any() or not np.isfinite(self._positions).all():
            raise ValueError("positions and margins have to be finite (NaN: not scored)")
        self._shape = cube.shape[1:]
        flat = cube.reshape(len(cube), -1)
        self._margins, self._patterns = flat, list(_patterns(flat))
        self.kernel = (
            max(_kernels(self._positions), key=self._evidence) if kernel is None else kernel
        )
        self._groups = list(self._solved(self.kernel))

    def right(self, positions: npt.ArrayLike) -> Floats:
        """Probability (M, I) that the candidates at these positions, (M, D), get each item right.

        That of being above the closest rival: an upper bound of the probability of being above all,
        and near it, since one rival usually decides. One half where an item was seen at fewer than
        two candidates.
        """
        new: Floats = np.asarray(positions, dtype=np.float64)
        above = np.full((len(new), self._margins.shape[1]), np.nan)
        between = self.kernel(self._positions, new)
        for group in self._groups:
            mean, error = group.predict(between, self.kernel.noise)
            above[:, group.columns] = stdtr(len(group.rows) - 1, mean / error)
        return np.where(np.isnan(probabilities := self._closest(above)), 0.5, probabilities)

    def margins(self, positions: npt.ArrayLike) -> Floats:
        """Expected margins (M, I) of the closest rival; NaN where an item was seen at fewer than
        two candidates.

        Example:
            >>> x = np.linspace(0, 1, 6)[:, None]
            >>> ItemModel(x, np.stack([x + 1, 0.5 - x], axis=2)).margins(np.array([[0.3], [0.9]])).round(2).tolist()
            [[0.2], [-0.4]]
        """
        new: Floats = np.asarray(positions, dtype=np.float64)
        means = np.full((len(new), self._margins.shape[1]), np.nan)
        between = self.kernel(self._positions, new)
        for group in self._groups:
            means[:, group.columns] = group.level + between[group.rows].T @ group.weights
        return self._closest(means)

    def _closest(self, predicted: Floats) -> Floats:
        """(M, I) from (M, I * R): the least of each item's rivals that something is known of; NaN
        if of none.
        """
        cube = predicted.reshape(-1, *self._shape)
        least: Floats = np.where(np.isnan(cube), np.inf, cube).min(axis=2)
        return np.where(np.isinf(least), np.nan, least)

    def _evidence(self, kernel: Kernel) -> float:
        return sum(group.evidence for group in self._solved(kernel))

    def _solved(self, kernel: Kernel) -> Iterator[Posterior]:
        covariance = kernel(self._positions, self._positions) + kernel.noise * np.eye(
            len(self._positions)
        )
        for columns, rows in self._patterns:
            yield Posterior.of(covariance, columns, rows, self._margins)


def _patterns(margins: Floats) -> Iterator[tuple[Places, Places]]:
    """Margins (columns) that were seen at the same candidates (rows), if at two or more of them."""
    patterns, owner = np.unique(~np.isnan(margins), axis=1, return_inverse=True)
    for k, pattern in enumerate(patterns.T):
        rows = np.flatnonzero(pattern)
        if len(rows) > 1:
            yield np.flatnonzero(owner == k), rows


def _kernels(positions: Floats) -> list[Kernel]:
    """What is tried."""
    return [Kernel(length, noise) for length in lengths_for(positions) for noise in NOISES]


def lengths_for(positions: Floats) -> list[float]:
    """Lengths to try, from the spread of the positions, (N, D)."""
    unit = float(np.sqrt((cdist(positions, positions) ** 2).mean())) or 1.0
    return [unit * length for length in LENGTHS]
