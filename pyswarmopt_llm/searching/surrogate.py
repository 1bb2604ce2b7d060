"""A surrogate: it is told of the candidates that were scored, proposes others, and chooses one.

Its models are Gaussian processes over the coefficients, with an unknown mean and scale. Scores are
smooth functions of the coefficients, up to noise. How smooth, a single one does not tell, but
hundreds of them do: all have one kernel, and each has a mean and a variance of its own. With flat
priors on means and log scales the prediction is Student's t (Santner, Williams & Notz 2003, section
4.1).

Of items that are answered by choosing among options the margins are modelled. An item is right
where the right option's score is above that of every other. Such a difference, a *margin*, is a
smooth function of the coefficients, where counts of right answers are noisy and stepped. The
*width* at a candidate is the mean over items of the logistic function of the closest rival's
margin, in units of `SOFTNESS` times the margins' standard deviation: proposals are where the
expected width is greatest. Other scores have a model of their own (`score_surrogate`).

Experts that harm are not learnt from. One expert that was trained on wrong answers spoils everything
that it is added to, and what it does to scores is larger than what all others do. A model with one
kernel for all coefficients then sees little else, and proposes nothing of use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import cholesky, solve_triangular
from scipy.spatial.distance import cdist
from scipy.special import expit, stdtr
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt.parts.stopping import MaxIter, Patience
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.optimizers import maximise
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.scoring.record import Margins, Row

Floats = npt.NDArray[np.float64]
_LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # tried, in units of the positions' own spread
_TINY = 1e-12  # of a variance: a column that never changed
ERRORS = 2.5  # standard errors by which such an expert is worse than the base
LEAST = 3  # candidates that a model needs: one degree of freedom more than its mean takes
PARTICLES = 40  # of the swarm that maximises what a model predicts
_PATIENCE = 10
NOISES = (1e-6, 1e-4, 1e-2)  # tried for the kernel
SOFTNESS = 0.4
_ITERATIONS = 100  # of the swarm that maximises the width
LEAST_LEAD = 1.0  # standard errors that the model has to expect of a mixture
_score_model: Callable[..., CandidateModel] = lazy(
    "pyswarmopt_llm.searching.score_surrogate:ScoreModel"
)


@dataclass(frozen=True)
class Candidate:
    """A candidate whose items were all scored.

    Attributes:
        position: (D,).
        scores: of each task, with those of its items.
        value: what the search maximises, their combination.
        margins: of the items of all tasks, where rows hold them.
    """

    position: Floats
    scores: Sequence[Score]
    value: float
    margins: Margins = field(default_factory=list)


class CandidateModel(Protocol):
    """A model of the candidates that were scored."""

    def expected(self) -> Floats:
        """(N,) what it expects of each of them, in any unit."""

    def propose(self, seed: int, count: int) -> Sequence[Tensor]:
        """At most so many positions, (D,) float64, of which it expects most; none: of nothing
        enough.
        """


@dataclass
class Surrogate:
    """Learns from candidates, proposes others, and chooses the one to hand over.

    Attributes:
        of: ``items`` or ``scores``, what it models.
        tasks: their names.
        combine: the tasks' scores into the value.
        most: candidates that it proposes at most.
        choosy: whether a mixture has to promise something, for a model of the items.
        noisy: whether the same candidate does not score the same again. The model of the items
            estimates its noise from the margins in any case.
        left_out: numbers of the experts that are in no proposal: they are clearly worse than the
            base. What was scored with them is not learnt from.
    """

    of: str
    tasks: Sequence[str]
    combine: Combine
    most: int
    choosy: bool = False
    noisy: bool = False
    left_out: Sequence[int] = field(default=(), init=False)
    _seen: dict[str, Candidate] = field(default_factory=dict, init=False)

    def tell(self, position: Tensor, row: Row) -> None:
        """Learn from a candidate, (D,), if all its items were scored."""
        if row.complete:
            scores = [row.score(name) for name in self.tasks]
            margins = [own for name in self.tasks for own in row.margins.get(name, ())]
            x = position.detach().cpu().double().numpy().copy()
            self._seen[row.key] = Candidate(x, scores, row.value, margins)

    def propose(self, seed: int, at_once: int) -> Iterator[Sequence[Tensor]]:
        """Candidates to score, (D,) float64, at most as many at once as are scored side by side.

        Each batch is learnt from before the next is taken. The sum of the experts that do not harm
        is the first, where others do.
        """
        everyone = list(self._seen.values())
        if len(everyone) < LEAST:
            return
        positions = np.stack([candidate.position for candidate in everyone])
        values = np.array([candidate.value for candidate in everyone])
        self.left_out = harmful(positions, values, np.array([*map(self._error, everyone)]))
        active = torch.ones(positions.shape[1], dtype=torch.float64)
        active[list(self.left_out)] = 0.0
        proposed = int(bool(self.left_out))
        if proposed:
            yield [active]
        begun = len(self.scored)
        while proposed < self.most:
            inside = [replace(c, position=c.position[active.numpy() > 0]) for c in self.scored]
            model = self._fit(inside, begun)
            batch = model.propose(seed + proposed, min(at_once, self.most - proposed))
            if not batch:
                return
            yield [active.masked_scatter(active > 0, position) for position in batch]
            proposed += len(batch)

    def choice(self, floor: float) -> Tensor | None:
        """The position to hand over, (D,) float64; None: the optimizer's best.

        Of the candidates that are about as good as the best, that of which most is expected. About
        as good is within a standard error of the best value (the rule of Breiman et al. 1984,
        section 3.4.3), and not below `floor`. The winner of many comparisons on the same items owes
        part of its lead to luck.
        """
        scored = self.scored
        if len(scored) < LEAST:
            return None
        best = max(scored, key=lambda candidate: candidate.value)
        least = max(best.value - np.nan_to_num(self._error(best)), floor)
        near = [number for number, c in enumerate(scored) if c.value >= least]
        if not near:
            return None
        expected = self._fit(scored, 0).expected()
        return torch.from_numpy(scored[max(near, key=lambda number: expected[number])].position)

    def _fit(self, seen: Sequence[Candidate], begun: int) -> CandidateModel:
        """A model of candidates, so many of which were there before the first was proposed."""
        if self.of == "scores":
            return _score_model(seen, self.combine, self.noisy, begun)
        positions = np.stack([candidate.position for candidate in seen])
        margins = [candidate.margins for candidate in seen]
        least_lead = LEAST_LEAD if self.choosy and len(seen) == begun else -math.inf
        return ItemModel(positions, margins, least_lead=least_lead)

    @property
    def scored(self) -> list[Candidate]:
        """The candidates without experts that harm."""
        left_out = list(self.left_out)
        return [c for c in self._seen.values() if not c.position[left_out].any()]

    def _error(self, candidate: Candidate) -> float:
        """The standard error of a candidate's value; NaN: unknown."""
        return self.combine(candidate.scores).stderr


def argmax(
    gain: Callable[[Floats], Floats],
    starts: Floats,
    seed: int,
    iterations: int,
    bounds: Sequence[tuple[float, float]] | None = None,
) -> Tensor:
    """The position, (D,) float64, where a swarm finds the greatest gain.

    Swarms on scores have to feel their way; this one can look at a model thousands of times.

    Args:
        gain: (N,) of positions (N, D).
        starts: (N, D), the best first; the swarm begins at `PARTICLES` of them.
        seed: of the swarm.
        iterations: at most so many.
        bounds: D pairs (lower, upper).
    """
    stop = (Patience(_PATIENCE), MaxIter(iterations))
    swarm = pso.Swarm(
        bounds=None if bounds is None else list(bounds),
        positions=torch.from_numpy(starts[:PARTICLES]),
        population=PARTICLES,
        recipe=replace(pso.recipes.constriction(), stop=stop, restart=()),
        maximize=True,
        seed=seed,
        dtype=torch.float64,
    )
    return maximise(swarm, lambda points: gain(points.numpy()).tolist()).x


def harmful(positions: Floats, values: Floats, errors: Floats) -> list[int]:
    """Numbers of the experts that are worse than the base by more than `ERRORS` standard errors of
    the difference, as if both had been scored on different items.

    None where the base is not among the candidates, or where most candidates have some of these
    experts, as after iterations.

    Args:
        positions: (N, D) coefficients of the candidates.
        values: (N,) their scores.
        errors: (N,) the scores' standard errors; what has none (NaN) is never clearly worse.

    Example:
        >>> positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> harmful(positions, np.array([0.5, 0.6, 0.1, 0.4]), np.full(4, 0.05))
        [1]
    """
    bases = np.flatnonzero(~positions.any(axis=1))
    if not bases.size:
        return []
    behind = values[bases[0]] - values
    worse = behind > ERRORS * np.hypot(errors[bases[0]], errors)
    alone = (positions == 1).any(axis=1) & (np.count_nonzero(positions, axis=1) == 1)
    experts: list[int] = np.unique(positions[worse & alone].argmax(axis=1)).tolist()
    without = ~positions[:, experts].any(axis=1)
    return experts if 2 * without.sum() > len(positions) else []


@dataclass(frozen=True)
class Kernel:
    """Matérn's covariance with smoothness 5/2 (Rasmussen & Williams 2006, eq. 4.17), and
    independent noise.

    Attributes:
        length: distance over which values change.
        noise: variance of what is not smooth (a model's answers in bfloat16), in units of a
            column's variance.
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


class Posterior:
    """A process given columns that were seen at the same positions.

    With the covariance K = L Lᵀ of these n positions and the columns y: `root` is L, `ones` L⁻¹1,
    `level` the mean by generalised least squares, `residual` L⁻¹(y - level), `variance`
    residualᵀresidual / (n - 1).

    Args:
        kernel: the same for all columns.
        positions: (N, D), at least two.
        columns: (N, K).
    """

    def __init__(self, kernel: Kernel, positions: Floats, columns: Floats) -> None:
        self.kernel, self._positions = kernel, positions
        n = len(positions)
        self._root = cholesky(kernel(positions, positions) + kernel.noise * np.eye(n), lower=True)
        self._ones = solve_triangular(self._root, np.ones(n), lower=True)
        y = solve_triangular(self._root, columns, lower=True)
        self._level = self._ones @ y / (self._ones @ self._ones)
        self._residual = y - np.outer(self._ones, self._level)
        self._variance = np.maximum((self._residual**2).sum(0) / (n - 1), _TINY)

    @property
    def evidence(self) -> float:
        """Log marginal likelihood but for a constant, with flat priors on the means and on the log
        variances.
        """
        free, width = len(self._positions) - 1, self._variance.size
        volume = np.log(np.diag(self._root)).sum() + 0.5 * np.log(self._ones @ self._ones)
        return float(-0.5 * free * np.log(self._variance).sum() - width * volume)

    def predict(self, points: Floats, noise: float = 0.0) -> tuple[Floats, Floats]:
        """(means (M, K), standard errors (M, K)) of Student's t with n - 1 degrees of freedom.

        Args:
            points: (M, D).
            noise: variance that the new values have beside the smooth part, in units of a column's
                own.
        """
        k = solve_triangular(self._root, self.kernel(self._positions, points), lower=True)
        mean = self._level + k.T @ self._residual
        off = 1 - self._ones @ k
        share = 1 + noise - (k**2).sum(0) + off**2 / (self._ones @ self._ones)
        return mean, np.sqrt(np.maximum(share, _TINY)[:, None] * self._variance)


def likeliest(kernels: Iterable[Kernel], positions: Floats, columns: Floats) -> Posterior:
    """The posterior with the kernel under which the columns, (N, K), are likeliest."""
    posteriors = (Posterior(kernel, positions, columns) for kernel in kernels)
    return max(posteriors, key=lambda posterior: posterior.evidence)


def kernels_for(
    positions: Floats, noises: Sequence[float], lengths: int = len(_LENGTHS)
) -> list[Kernel]:
    """Kernels to try: with each noise, the shortest lengths by the spread of the positions, (N, D)."""
    unit = float(np.sqrt((cdist(positions, positions) ** 2).mean())) or 1.0
    return [Kernel(unit * length, noise) for length in _LENGTHS[:lengths] for noise in noises]


class ItemModel:
    """Predicts margins at new positions from what they were at others.

    Args:
        positions: (N, D) of the candidates that were scored, at least two.
        margins: of each candidate, for each of I items the score of the right option minus that of
            each other one; None: not known.
        kernel: None: chosen by marginal likelihood.
        least_lead: standard errors that it has to expect a proposal to be ahead of the best.

    Example:
        >>> x = np.linspace(0, 1, 6)[:, None]
        >>> model = ItemModel(x, [[[math.sin(3 * p)], [p - 0.45]] for p in x.ravel().tolist()])
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
        self._positions, self._least_lead, self._count = positions, least_lead, len(margins[0])
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
            >>> model = ItemModel(x, [[[p + 1, 0.5 - p]] for p in x.ravel().tolist()])
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
        position = argmax(lambda x: self._width(self.margins(x)), starts, seed, _ITERATIONS)
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
