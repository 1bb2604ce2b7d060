"""A proposer that learns: starting points first, then candidates from a model of those scored.

There are two models. `MarginProcess` predicts which items a mixture answers correctly, where options
are compared; `ScoreProcess` predicts scores of any kind.

Both ignore harmful experts. One expert trained on wrong answers spoils every sum it is in, with
larger effects than all others together. A model with one kernel for all coefficients then sees
little else, and proposes nothing useful.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit
from scipy.stats import t as student
from torch import Tensor

from pyswarmopt.base.blas import one_thread
from pyswarmopt.base.optimizer import Ticket, UnderWay
from pyswarmopt_llm.common.config import MOST_COEFFICIENTS
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.searching.explore import Chosen
from pyswarmopt_llm.searching.shared_kernel import (
    Kernel,
    box_around,
    highest,
    kernels_for,
    likeliest,
    posterior,
)

if TYPE_CHECKING:
    from pyswarmopt.base.arrays import Floats

ERRORS = 2.5  # a harmful expert is worse than the base by this many standard errors
Margins = Sequence[Sequence[float]]  # items' margins, see `Score`
LEAST = 3  # candidates a model needs: one degree of freedom more than its mean takes
SOFTNESS = 0.4  # unit of margins, as a share of their standard deviation
NEAR = 0.03  # radius around a position about to be scored, as a share of the kernel's length
MARGIN_NOISES = (1e-6, 1e-4, 1e-2)  # tried for the kernel
SCORE_NOISES = (1e-4, 1e-2, 0.1, 0.3)  # outcomes of written answers jump
# shortest lengths tried; with longer ones a few surprises pass for noise and the model is a plane
_LENGTHS = 3
_NO_NOISE = 1e-6  # in units of the values' variance: enough for the solver


@dataclass(frozen=True)
class Candidate:
    """A candidate with all items scored.

    Attributes:
        position: (D,).
        value: combined score, which the search maximises.
        error: its standard error; NaN: unknown.
        items: scores of the items of all tasks.
        margins: margins of the items of all tasks, if options are compared.
        parts: each score as a candidate of its own, for a front.
    """

    position: Floats
    value: float
    error: float = math.nan
    items: Sequence[float] = ()
    margins: Margins = ()
    parts: Sequence[Candidate] = ()


class MarginProcess:
    """Predicts margins at new positions from known margins.

    An item is correct if the right option scores above every other option. Such a difference, a
    *margin*, is a smooth function of the coefficients, while counts of correct answers are noisy
    and stepped. The *width* at a candidate is the mean over items of the logistic function of the
    closest margin, in units of `SOFTNESS` times the margins' standard deviation. Candidates are
    proposed where the expected width is greatest.

    Args:
        candidates: at least two, of the same tasks. Items whose margins are unknown for one of them
            are ignored.

    Attributes:
        kernel: the likeliest kernel.
        beyond: proposals may lie this far beyond the scored range, as a share of it.

    Example:
        >>> x = np.linspace(0, 1, 6)
        >>> model = MarginProcess([Candidate(np.array([p]), 0, margins=[[p + 1, 0.5 - p]]) for p in x])
        >>> model.margins(np.array([[0.3], [0.9]])).round(2).tolist()
        [[0.2], [-0.4]]
    """

    beyond = 1.0

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.positions: Floats = np.stack([candidate.position for candidate in candidates])
        margins = (candidate.margins for candidate in candidates)
        items = [np.array(own) for own in zip(*margins, strict=True) if all(own)]
        columns = np.hstack(items)
        self._first = np.cumsum([0, *(own.shape[1] for own in items[:-1])])
        kernels = kernels_for(self.positions, MARGIN_NOISES)
        self._posterior = likeliest(kernels, self.positions, columns)
        self.kernel = self._posterior.kernel
        self._seen = self._closest(columns)
        self._unit = SOFTNESS * (float(self._seen.std()) or 1.0)
        self._taken: list[Floats] = []

    def margins(self, points: Floats) -> Floats:
        """Expected closest margin of each item, (M, I), at points (M, D)."""
        return self._closest(self._posterior.predict(points)[0])

    def expected(self) -> Floats:
        """The width of each candidate, (N,)."""
        return self._width(self._seen)

    def believe(self, position: Floats) -> None:
        """Keep later proposals away from a position, (D,), that is about to be scored.

        Local penalisation (González et al. 2016, arXiv 1505.08052) with a fixed radius. The width
        does not reward uncertainty, so a believed value would not move the next proposal.
        """
        self._taken.append(position)

    def gain(self, points: Floats) -> Floats:
        """The expected widths, (M,), at points (M, D); less near positions about to be scored."""
        widths = self._width(self.margins(points))
        for place in self._taken:
            apart = np.linalg.norm(points - place, axis=1) / (NEAR * self.kernel.length)
            widths = widths * (1 - np.exp(-0.5 * apart**2))
        return widths

    def _width(self, closest: Floats) -> Floats:
        """The widths, (N,), from the closest margins, (N, I)."""
        widths: Floats = expit(closest / self._unit).mean(axis=1)
        return widths

    def _closest(self, values: Floats) -> Floats:
        """The closest margin of each item, (M, I), from all margins, (M, K)."""
        least = np.minimum.reduceat(values, self._first, axis=1)
        return np.asfortranarray(least)  # the order in which items are summed


class ScoreProcess:
    """Predicts the value of new candidates from the scored ones.

    Rewards, judges, programs and written answers have no margins, only a score for each item. A few
    dozen values of their mean do not show how fast it changes. The hundreds of items do, since all
    depend on the same coefficients: they choose the kernel's length, and the mean chooses its own
    noise.

    Replies are greedy, so the noise does not come from the scores: they are step functions, and
    rescoring a candidate gives the same score. The predictions are therefore interpolated again
    without noise, so that a scored candidate has no expected improvement (re-interpolation:
    Forrester, Keane & Bressloff 2006).

    Args:
        candidates: at least three, all of the same tasks.

    Attributes:
        fitted: the likeliest length given the items, and the likeliest noise of the values given
            that length.
        best: the highest value, without noise.
        beyond: proposals may lie this far beyond the scored range, as a share of it.

    Example:
        >>> x = np.linspace(0, 1, 9)
        >>> seen = [Candidate(np.array([p]), (p + 1 - p**2) / 2, 0.0, (p, 1 - p**2)) for p in x]
        >>> model = ScoreProcess(seen)
        >>> mean, error = model.predict(np.array([[0.45], [0.55]]))
        >>> mean.round(2).tolist(), (error < 0.01).tolist()
        ([0.62, 0.62], [True, True])
    """

    beyond = 0.5

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.positions: Floats = np.stack([candidate.position for candidate in candidates])
        values = np.array([[candidate.value] for candidate in candidates])
        items = np.array([candidate.items for candidate in candidates])
        kernels = kernels_for(self.positions, SCORE_NOISES, _LENGTHS)
        columns = items[:, np.ptp(items, axis=0) > 0]
        if not columns.size:
            columns = values
        length = likeliest(kernels, self.positions, columns).kernel.length
        kernels = [Kernel(length, noise) for noise in SCORE_NOISES]
        fitted = likeliest(kernels, self.positions, values)
        self.fitted = fitted.kernel
        self._kernel = Kernel(length, _NO_NOISE)
        self._fit(self.positions, fitted.predict(self.positions)[0])

    def _fit(self, positions: Floats, values: Floats) -> None:
        """Fit the posterior to the values, (N, 1), and find the best one."""
        self._known = positions
        self._values = values
        self._posterior = posterior(self._kernel, positions, values)
        self.best = float(self.predict(positions)[0].max())

    def believe(self, position: Floats) -> None:
        """Take the prediction at a position, (D,), as an observed value, so that the next proposal
        lies elsewhere.

        The kriging believer of Ginsbourger, Le Riche & Carraro 2010, section 4.2.1.
        """
        mean = self._posterior.predict(position[None])[0]
        self._fit(np.vstack([self._known, position]), np.vstack([self._values, mean]))

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """(means (M,), standard errors (M,)) of the value at points (M, D)."""
        mean, error = self._posterior.predict(points)
        return mean[:, 0], error[:, 0]

    def gain(self, points: Floats) -> Floats:
        """Expected improvement on the best value, (M,) (Jones et al. 1998, eq. 15), with Student's
        t in place of a normal.

        The integral is from Tracey & Wolpert 2018 (arXiv 1801.06147), section 3.
        """
        mean, error = self.predict(points)
        freedom = len(self._known) - 1
        z = (mean - self.best) / error
        tail = (freedom + z**2) / (freedom - 1) * student.pdf(z, freedom)
        expected: Floats = error * (z * student.cdf(z, freedom) + tail)
        return expected

    def expected(self) -> Floats:
        """The predicted value of each candidate, (N,)."""
        return self.predict(self.positions)[0]


def proposed(
    model: MarginProcess | ScoreProcess,
    region: Floats,
    seed: int,
    count: int = 1,
    under_way: Sequence[Floats] = (),
) -> list[Tensor]:
    """The positions, (D,) float64, with the greatest gain.

    Each is chosen as if the earlier ones were known: with a model of the scores, as if its
    predictions had come true; with a model of the margins, at a distance from them, and less and less
    far beyond the scored range. The model is least sure there, and nothing corrects it before the
    whole batch is scored (research/notes/batches.md).

    Args:
        model: learnt from the candidates.
        region: positions that bound the proposals, (n, D).
        seed: seed of the first proposal.
        count: proposals to score side by side.
        under_way: positions that are being scored, (D,) each, to be taken for known, too.
    """
    for position in under_way:
        model.believe(position)
    starts = model.positions[np.argsort(-model.expected(), kind="stable")]
    batch: list[Tensor] = []
    for turn in range(count):
        if batch:
            model.believe(batch[-1].numpy())
        reach = 1 - turn / count if isinstance(model, MarginProcess) else 1.0
        bounds = box_around(region, reach * model.beyond)
        batch.append(highest(model.gain, starts, bounds, seed + turn))
    return batch


@dataclass
class Surrogate:
    """Proposes the starting points, then candidates from a model.

    Attributes:
        method: ``items`` (a model of their margins) or ``scores`` (of the value).
        starts: the first candidates, (N, D) float64; first of all the experts.
        experts: names of the experts.
        tasks: names of the tasks.
        combine: combines the tasks' scores into the value.
        most: maximum number of candidates that the model proposes.
        seed: seed of the proposals.
        at_once: candidates proposed together.
        asynchronous: whether the next candidate is proposed while others are being scored, as if they
            were known; the first one as soon as all experts and the base are.
        dropped: numbers of the experts that `starts` lacks, because screening dropped them.
        rounds: completed rounds.
        left_out: numbers of the experts in no proposal: the dropped ones, those beyond the most that
            a model can take, and those clearly worse than the base. The model ignores candidates that
            contain them.
        remarks: what a user should know about the proposals.
    """

    method: str
    starts: Tensor
    experts: Sequence[str]
    tasks: Sequence[str]
    combine: Combine
    most: int
    seed: int = 0
    at_once: int = 1
    asynchronous: bool = False
    dropped: Sequence[int] = ()
    left_out: Sequence[int] = field(default=(), init=False)
    remarks: list[str] = field(default_factory=list, init=False)
    rounds: int = field(default=0, init=False)
    _seen: dict[str, Candidate] = field(default_factory=dict, init=False)
    _started: int = field(default=0, init=False)  # candidates scored before any proposal
    _first: list[Tensor] = field(default_factory=list, init=False)  # candidates before the model's
    _learnt: int = field(default=0, init=False)  # candidates scored before the model's
    _under_way: UnderWay = field(default_factory=UnderWay, init=False)
    _waiting: list[Tensor] = field(
        default_factory=list, init=False
    )  # of the round, not yet asked for
    _told: dict[int, tuple[str, Candidate]] = field(
        default_factory=dict, init=False
    )  # of the round

    # ---- asking ----

    def is_start(self, ticket: Ticket) -> bool:
        """Whether it is one of the starting points."""
        return ticket.number < len(self.starts)

    @property
    def iteration(self) -> int:
        """The number in the history of the round under way: all proposals form one more iteration,
        with particle numbers after the starting points.
        """
        return min(self.rounds, 1)

    @property
    def pending(self) -> list[Ticket]:
        """The tickets without a row, oldest first."""
        return list(self._under_way.pending.values())

    def ask(self, n: int) -> list[Ticket]:
        """At most so many candidates of the round under way; none while rows are missing.

        Where some experts are left out, the first proposal is the sum of the others.
        """
        if not self._waiting and (self.asynchronous or not self.pending):
            self._waiting = self._next_round()
        positions, self._waiting = self._waiting[:n], self._waiting[n:]
        return [self._under_way.issue(x, self._under_way.issued) for x in positions]

    def _next_round(self) -> list[Tensor]:
        """The candidates of the next round."""
        if self._under_way.issued == 0:
            return list(self.starts)
        if self.rounds == 0 or self._is_over:
            return []
        if self._first:
            return [self._first.pop(0)]
        self._learnt = self._learnt or len(self.scored)
        return self._by_model(min(self.at_once, self.most - self._proposed))

    @property
    def _proposed(self) -> int:
        """Number of the model's candidates so far, and those before them."""
        return self._under_way.issued - len(self.starts)

    def _by_model(self, count: int) -> list[Tensor]:
        """So many candidates of the model."""
        active = self._active.numpy() > 0
        inside = [replace(c, position=c.position[active]) for c in self.scored]
        under_way = [ticket.x.numpy()[active] for ticket in self.pending]
        with one_thread():
            model = self._model(inside)
            region = model.positions
            if self.method == "scores":
                region = region[: self._learnt]
            found = proposed(model, region, self.seed + self._proposed, count, under_way)
        return [self._active.masked_scatter(self._active > 0, position) for position in found]

    # ---- telling ----

    def tell(self, ticket: Ticket, row: Row) -> None:
        """Learn the row of a candidate, whose items were all scored; after the last one of a round,
        the rows of all.
        """
        self._under_way.close(ticket)
        self._told[ticket.number] = row.key, self._candidate(ticket.x.numpy(), row)
        if self._waits:
            return
        self._seen |= dict(self._told[number] for number in sorted(self._told))
        self._told = {}
        self.rounds += 1
        if self.rounds == 1:
            self._end_starts()

    @property
    def _waits(self) -> bool:
        """Whether others are needed before the rows told are learnt."""
        if self._waiting or not self.asynchronous:
            return bool(self._waiting or self.pending)
        if self.rounds or not self.pending:
            return False
        alone = len(self.experts) - len(self.dropped)
        needed = [t for t in self.pending if t.number < alone or not t.x.any()]
        return bool(needed) or len(self._told) < LEAST

    def _candidate(self, position: Floats, row: Row) -> Candidate:
        """What is learnt of a candidate."""
        scores = [row.tasks[name] for name in self.tasks]
        error = self.combine(scores).stderr
        items = [value for score in scores for value in score.per_item]
        margins = [own for score in scores for own in score.margins]
        return Candidate(position, row.value, error, items, margins)

    def _end_starts(self) -> None:
        """Choose the experts for mixtures, and the candidates before the model's."""
        self._started = len(self._seen) + len(self.pending)
        if self._is_over:
            return
        self._leave_out()
        self._active = torch.ones(self.starts.shape[1], dtype=torch.float64)
        self._active[list(self.left_out)] = 0.0
        self._first = self._simple(self._active)[: self.most]

    @property
    def _is_over(self) -> bool:
        """Whether there are no more proposals."""
        if self.rounds == 0:
            return False
        return self._started < LEAST or self._proposed >= self.most

    # ---- the result ----

    def best(self) -> Chosen:
        """The candidate to return.

        Of the candidates about as good as the best, it is the one with the highest expectation of
        the model. About as good means within a standard error of the best value (the rule of
        Breiman et al. 1984, section 3.4.3), and not below an expert. The winner of many comparisons
        on the same items owes part of its lead to luck. Where no candidate leads the best expert,
        it is that expert.
        """
        scored = self.scored
        best = max(scored, key=lambda candidate: candidate.value)
        floor = max(candidate.value for candidate in self._alone)
        if len(scored) >= LEAST and best.value > floor:
            least = max(best.value - np.nan_to_num(best.error), floor)
            expected = self._model(scored).expected()
            near = [number for number, c in enumerate(scored) if c.value >= least]
            best = scored[max(near, key=lambda number: expected[number])]
        return Chosen(torch.from_numpy(best.position), best.value)

    def stop(self) -> dict[str, float]:
        """The reason to stop: the number of new proposals."""
        if self._waiting or self.pending or not self._is_over:
            return {}
        return {"proposals": len(self._seen) - self._started}

    @property
    def scored(self) -> list[Candidate]:
        """The candidates without harmful experts."""
        left_out = list(self.left_out)
        return [c for c in self._seen.values() if not c.position[left_out].any()]

    def _model(self, seen: Sequence[Candidate]) -> MarginProcess | ScoreProcess:
        """A model of these candidates."""
        if self.method == "scores":
            return ScoreProcess(seen)
        return MarginProcess(seen)

    def _simple(self, active: Tensor) -> list[Tensor]:
        """Candidates before the model's: the sum of the others where experts are left out."""
        return [active] if len(self.left_out) > len(self.dropped) else []

    @property
    def _alone(self) -> list[Candidate]:
        """The experts."""
        return list(self._seen.values())[: len(self.experts) - len(self.dropped)]

    def _leave_out(self) -> None:
        """Find the experts that are too many, and the harmful ones, and say so."""
        numbers = [number for number in range(len(self.experts)) if number not in self.dropped]
        values = {number: one.value for number, one in zip(numbers, self._alone, strict=True)}
        worse = sorted(numbers, key=lambda number: -values[number])[MOST_COEFFICIENTS:]
        if worse:
            self.remarks.append(
                f"only the best {MOST_COEFFICIENTS} of {len(values)} experts are mixed"
            )
        found = [numbers[place] for place in self._harmful(numbers)]
        self.left_out = sorted({*self.dropped, *worse, *found})
        if found:
            names = ", ".join(self.experts[number] for number in found)
            self.remarks.append(
                f"clearly worse than the base model, and excluded from mixtures: {names}"
            )

    def _harmful(self, numbers: Sequence[int]) -> list[int]:
        """Places of the harmful experts among those with these numbers."""
        seen = [replace(one, position=one.position[numbers]) for one in self._seen.values()]
        return harmful(seen[: len(numbers)], seen)


def harmful(experts: Sequence[Candidate], seen: Sequence[Candidate]) -> list[int]:
    """Numbers of the experts worse than the base by more than `ERRORS` standard errors of the
    difference, taken as if both had been scored on different items; an unknown error (NaN) is never
    clearly worse.

    Empty if the base is not among the candidates, or if most candidates contain some of these
    experts, as after iterations.

    Example:
        >>> base, ant, bee, cat = np.vstack([np.zeros(3), np.eye(3)])
        >>> values = [(ant, 0.6), (bee, 0.1), (cat, 0.4), (base, 0.5), (ant / 2, 0.1)]
        >>> seen = [Candidate(position, value, 0.05) for position, value in values]
        >>> harmful(seen[:3], seen)
        [1]
        >>> harmful(seen[:3], [*seen, *[Candidate(bee + cat, 0.3, 0.05)] * 4])  # most contain bee
        []
    """
    return left_out_by(below_base(experts, seen), seen)


def below_base(experts: Sequence[Candidate], seen: Sequence[Candidate]) -> list[int]:
    """Numbers of the experts clearly worse than the base; see `harmful`."""
    nothing = Candidate(seen[0].position, -math.inf)
    base = next((one for one in seen if not one.position.any()), nothing)
    return [
        number
        for number, one in enumerate(experts)
        if base.value - one.value > ERRORS * math.hypot(base.error, one.error)
    ]


def left_out_by(worse: list[int], seen: Sequence[Candidate]) -> list[int]:
    """These experts, if most candidates contain none of them."""
    without = [one for one in seen if not one.position[worse].any()]
    if 2 * len(without) > len(seen):
        return worse
    return []
