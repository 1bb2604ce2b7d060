"""Proposals for a front: several scores of a mixture, none of which is given up for another.

Each score has a process of its own (`ScoreProcess`); a candidate is proposed where the expected
gain in hypervolume is greatest (Emmerich, Giannakoglou & Naujoks 2006, IEEE TEC 10(4)).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from scipy.special import ndtr

from pyswarmopt.driver.multi.pareto import non_dominated
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.metrics.metric import Metric
from pyswarmopt_llm.searching.explore import Chosen
from pyswarmopt_llm.searching.surrogate import (
    Candidate,
    ScoreProcess,
    Surrogate,
    below_base,
    left_out_by,
)

if TYPE_CHECKING:
    from pyswarmopt.base.arrays import Floats
    from pyswarmopt_llm.searching.prepare import Job

STRENGTHS = (0.25, 0.5, 0.75)  # of the best expert: the single knob between base and expert
EDGE = 0.1  # the hypervolume's corner is worse than the front by this share of its range
NARROWEST = 0.25  # least range of a front, as a share of that of all candidates
_FAR = -1e6  # below every normalised cost


class FrontProcess:
    """Predicts several scores of new candidates.

    Costs are the scores with the other sign, from 0 to 1 over the candidates that no other dominates,
    so that nothing is gained where all of them are better.

    Args:
        candidates: at least three, with all scores as `parts`.
        limits: the greatest possible value of each score, (M,); infinite: unknown. Nothing is gained
            beyond it, whatever a process predicts.

    Attributes:
        positions: (N, D).
        beyond: see `ScoreProcess`.
    """

    beyond = ScoreProcess.beyond

    def __init__(self, candidates: Sequence[Candidate], limits: Sequence[float]) -> None:
        self.positions: Floats = np.stack([candidate.position for candidate in candidates])
        self._processes = []
        for parts in zip(*(candidate.parts for candidate in candidates), strict=True):
            placed = zip(parts, candidates, strict=True)
            own = [replace(part, position=whole.position) for part, whole in placed]
            self._processes.append(ScoreProcess(own))
        scores = self._predicted(self.positions)[0]
        front = scores[non_dominated(-scores)]
        self._best = scores.max(axis=0)
        wide = np.maximum(np.ptp(front, axis=0), NARROWEST * np.ptp(scores, axis=0))
        self._unit = np.where(wide > 0, wide, 1.0)
        self._costs = (self._best - scores) / self._unit
        self._corner = (self._best - front.min(axis=0)) / self._unit + EDGE
        self._ideal = np.clip((self._best - np.array(limits)) / self._unit, _FAR, 0.0)
        self._lower, self._upper = free_boxes(self._costs, self._corner, self._ideal)

    def believe(self, position: Floats) -> None:
        """Take the predictions at a position, (D,), as observed; see `ScoreProcess.believe`."""
        costs = (self._best - self._predicted(position[None])[0]) / self._unit
        for process in self._processes:
            process.believe(position)
        self._costs = np.vstack([self._costs, costs])
        self._lower, self._upper = free_boxes(self._costs, self._corner, self._ideal)

    def gain(self, points: Floats) -> Floats:
        """The expected gain in hypervolume, (n,), at points (n, D)."""
        scores, errors = self._predicted(points)
        costs = ((self._best - scores) / self._unit)[:, None]
        spread = (errors / self._unit)[:, None]
        sides = ahead(self._upper, costs, spread) - ahead(self._lower, costs, spread)
        volumes: Floats = sides.prod(axis=2).sum(axis=1)
        return volumes

    def expected(self) -> Floats:
        """The negative sum of each candidate's costs, (N,)."""
        total: Floats = -self._costs[: len(self.positions)].sum(axis=1)
        return total

    def _predicted(self, points: Floats) -> tuple[Floats, Floats]:
        """(scores, standard errors), (n, M) each, at points (n, D)."""
        found = [process.predict(points) for process in self._processes]
        means, errors = (np.stack(columns, axis=1) for columns in zip(*found, strict=True))
        return means, errors


def ahead(ends: Floats, costs: Floats, spread: Floats) -> Floats:
    """The expectation of ``max(end - cost, 0)`` for a normal cost: (n, B, M).

    Args:
        ends: (B, M).
        costs: means, (n, 1, M).
        spread: standard deviations, (n, 1, M).

    Example:
        >>> ahead(np.array([[1.0]]), np.array([[[0.0]]]), np.array([[[1e-9]]])).round(6).tolist()
        [[[1.0]]]
        >>> round(float(ahead(np.zeros((1, 1)), np.zeros((1, 1, 1)), np.ones((1, 1, 1)))[0, 0, 0]), 4)
        0.3989
    """
    z = (ends - costs) / spread
    density = np.exp(-0.5 * np.minimum(np.abs(z), 38.0) ** 2) / math.sqrt(2 * math.pi)
    expected: Floats = spread * (z * ndtr(z) + density)
    return np.maximum(expected, 0.0)


def free_boxes(costs: Floats, corner: Floats, ideal: Floats) -> tuple[Floats, Floats]:
    """Disjoint boxes that fill what no point dominates, from the ideal to a corner: lower and upper
    ends, (B, M).

    The volume that a point would add is the sum of its parts in these boxes. They are cut along one
    objective after the other, as in the core's `hypervolume`.

    Args:
        costs: points, (a, M); lower is better.
        corner: (M,).
        ideal: the least possible costs, (M,).

    Example:
        >>> lower, upper = free_boxes(np.array([[0.5, 0.5]]), np.ones(2), np.zeros(2))
        >>> upper.tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    front = costs[non_dominated(costs)]
    front = front[(front < corner).all(axis=1)]
    boxes = list(_cut(front, corner, ideal))
    lower, upper = (np.array(ends) for ends in zip(*boxes, strict=True))
    return lower, upper


def _cut(front: Floats, corner: Floats, ideal: Floats) -> Iterable[tuple[list[float], list[float]]]:
    """The boxes of `free_boxes`, as lists of lower and of upper ends."""
    last = front[:, -1]
    if len(corner) == 1:
        yield [float(ideal[0])], [float(last.min(initial=corner[0]))]
        return
    front = front[np.argsort(last, kind="stable")]
    depths = [float(ideal[-1]), *front[:, -1].tolist(), float(corner[-1])]
    for count, (start, end) in enumerate(pairwise(depths)):
        if start < end:
            slab = front[:count, :-1]  # points that reach as deep as this slice
            for lower, upper in _cut(slab[non_dominated(slab)], corner[:-1], ideal[:-1]):
                yield [*lower, start], [*upper, end]


@dataclass
class FrontProposer(Surrogate):
    """Proposes the starting points, then candidates from a process of each score.

    Attributes:
        floors: score -> least value, which is above that of all others in the choice of a point.
        limits: score -> greatest possible value, where known.
        lower: scores of which lower is better, for the rule's sentence.
        knob: whether a position of 0 is the base, so that a share of an expert is its strength.
    """

    floors: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    lower: Sequence[str] = ()
    knob: bool = True

    def _candidate(self, position: Floats, row: Row) -> Candidate:
        """What is learnt of a candidate, with each score as one of its own."""
        scores = [row.tasks[name] for name in self.tasks]
        parts = [Candidate(position, score.value, score.stderr, score.per_item) for score in scores]
        return replace(super()._candidate(position, row), parts=parts)

    def best(self) -> Chosen:
        """The point of the front that the rule chooses, see `choose`; the front has the best first
        score first.
        """
        seen = list(self._seen.values())
        front = [seen[number] for number in self._on_front(seen)]
        values = np.array([[part.value for part in one.parts] for one in front])
        expert = max(self._alone, key=lambda one: one.value)
        ends = [one for one in seen if not one.position.any()] * self.knob + [expert]
        known = np.array([[part.value for part in one.parts] for one in ends])
        choice = choose(self.tasks, values, known, self.floors, self.lower)
        limits = limits_of(self.tasks, known, self.floors)
        chosen = front[choice.number]
        return Chosen(
            torch.from_numpy(chosen.position),
            chosen.value,
            front=[torch.from_numpy(one.position) for one in front],
            rule=choice.rule,
            limits={name: x for name, x in limits.items() if math.isfinite(x)},
            remarks=_constant(self.tasks, seen),
        )

    def _on_front(self, seen: Sequence[Candidate]) -> list[int]:
        """Numbers of the non-dominated candidates, one of several equal ones, the best first score
        first.
        """
        values = np.array([[part.value for part in one.parts] for one in seen])
        _, first = np.unique(-values, axis=0, return_index=True)  # also sorts them
        kept: list[int] = first[non_dominated(-values[first])].tolist()
        return kept

    def _model(self, seen: Sequence[Candidate]) -> FrontProcess:  # type: ignore[override]
        """A process of each score of these candidates."""
        return FrontProcess(seen, [self.limits.get(name, math.inf) for name in self.tasks])

    def _harmful(self, numbers: Sequence[int]) -> list[int]:
        """Numbers of the experts that are harmful by every score."""
        experts = self._alone
        everyone = list(self._seen.values())
        found = set(range(len(experts)))
        for number in range(len(self.tasks)):
            own = [one.parts[number] for one in everyone]
            found &= {*below_base(own[: len(experts)], own)}
        return left_out_by(sorted(found), everyone)


def front_proposer(job: Job) -> FrontProposer:
    """The proposer of a search for a front."""
    config = job.config
    objectives = job.objectives
    return FrontProposer(
        config.method,
        job.starts,
        job.pool.space.expert_names,
        objectives.names,
        objectives.combine,
        config.proposals or 0,
        config.seed,
        config.batch or 1,
        config.asynchronous,
        floors=job.floors,
        limits={name: limit_of(metric) for name, metric in objectives.metrics.items()},
        lower=[name for name, metric in objectives.metrics.items() if metric.lower],
        knob=job.knob,
    )


def limit_of(metric: Metric) -> float:
    """The greatest possible value of a score; infinite if unknown.

    Example:
        >>> limit_of(Metric("tokens", lower=True)), limit_of(Metric("mine.py:score"))
        (0.0, inf)
    """
    if metric.lower:  # tokens and nats
        return 0.0
    if metric.scale is None:
        return math.inf
    return metric.scale[1]


def _constant(names: Sequence[str], seen: Sequence[Candidate]) -> list[str]:
    """A remark on each score that is the same for all candidates."""
    remarks = []
    for number, name in enumerate(names):
        if len({one.parts[number].value for one in seen}) == 1:
            remarks.append(
                f"{name} is the same for all candidates on dev, so it trades with nothing"
            )
    return remarks


class ChosenPoint(NamedTuple):
    """A point of a front, and why it was chosen."""

    number: int
    rule: str


def choose(
    names: Sequence[str],
    values: Floats,
    known: Floats,
    floors: Mapping[str, float],
    lower: Sequence[str] = (),
) -> ChosenPoint:
    """The point with the best first score of those whose other scores are not below their floors:
    as given, else the worse of the base's and the best expert's; the point nearest to the floors if
    none meets them.

    Args:
        names: names of the scores.
        values: scores of the points, (k, M), higher is better.
        known: scores of base and best expert, (1 or 2, M).
        floors: score -> least value.
        lower: scores of which lower is better, so that they are told with the other sign.

    Example:
        >>> points = np.array([[0.75, -60.0], [0.5, -30.0], [0.25, -10.0]])
        >>> base_and_expert = np.array([[0.0, -50.0], [0.5, -45.0]])
        >>> choose(["right", "tokens"], points, base_and_expert, {}, ["tokens"])
        ChosenPoint(number=1, rule='the best right with tokens at most 50, no worse than base or best expert')
        >>> choose(["right", "tokens"], points, base_and_expert, {"tokens": -8.0}, ["tokens"]).rule
        'no point has tokens at most 8; the nearest misses tokens by 2'
    """
    limits = np.array([*limits_of(names, known, floors).values()])
    fits = (values >= limits).all(axis=1)
    if fits.any():
        numbers = np.flatnonzero(fits)
        number = int(numbers[values[numbers, 0].argmax()])
        stated = bounds_text(names, limits, lower)
        whose = _whose(names, floors)
        return ChosenPoint(number, f"the best {names[0]} with {stated}, {whose}")
    wide = np.where(np.ptp(values, axis=0) > 0, np.ptp(values, axis=0), 1.0)
    short = np.maximum(limits - values, 0.0) / wide
    number = int(short.max(axis=1).argmin())
    worst = int(short[number].argmax())
    off = f"{names[worst]} by {limits[worst] - values[number, worst]:.3g}"
    return ChosenPoint(
        number, f"no point has {bounds_text(names, limits, lower)}; the nearest misses {off}"
    )


def limits_of(names: Sequence[str], known: Floats, floors: Mapping[str, float]) -> dict[str, float]:
    """Score -> least value in a choice, see `choose`; the first has none unless it is given.

    Example:
        >>> limits_of(["right", "tokens"], np.array([[0.0, -50.0], [0.5, -45.0]]), {})
        {'right': -inf, 'tokens': -50.0}
    """
    worst = [-math.inf, *known.min(axis=0)[1:].tolist()]
    return {**dict(zip(names, worst, strict=True)), **floors}


def _whose(names: Sequence[str], floors: Mapping[str, float]) -> str:
    """Where the limits come from, in words."""
    own = "no worse than base or best expert"
    if not floors:
        return own
    rest = [name for name in names[1:] if name not in floors]
    return f"as given; {' and '.join(rest)} {own}" if rest else "as given"


def bounds_text(names: Sequence[str], limits: Floats, lower: Sequence[str]) -> str:
    """The finite limits of scores, in words."""
    stated = [
        f"{name} {bound_text(limit, name in lower)}"
        for name, limit in zip(names, limits.tolist(), strict=True)
        if math.isfinite(limit)
    ]
    return " and ".join(stated)


def bound_text(limit: float, lower: bool) -> str:
    """The limit of a score, in words; if lower is better, the limit has the other sign.

    Example:
        >>> bound_text(-50.0, lower=True), bound_text(0.25, lower=False)
        ('at most 50', 'at least 0.25')
    """
    if lower:
        return f"at most {-limit:.3g}"
    return f"at least {limit:.3g}"
