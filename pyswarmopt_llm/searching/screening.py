"""Screening: many experts are scored on more and more dev items, and those behind are dropped.

`searching.halving` says who. What each expert answered is stored part by part, so that a resumed
search drops the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.events import note
from pyswarmopt_llm.common.statistics import Score, score_of
from pyswarmopt_llm.run.combined import combined_difference
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.run.result import Dropped
from pyswarmopt_llm.searching.halving import leaving, rounds, share
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scorer import Items, Scorer, position_key

PHASE = "screen"  # of the rows of parts, with the number of items asked before
SEED = 11  # of the order of the items, beside the search's


@dataclass(frozen=True)
class Screened:
    """The experts after screening.

    Attributes:
        rows: number of each expert that may be mixed -> its row, on all dev items.
        dropped: number of each other one -> why.
    """

    rows: Mapping[int, Row]
    dropped: Mapping[int, Dropped] = field(default_factory=dict)

    def summary(self, experts: int, items: int) -> str:
        """How many were dropped, in a sentence."""
        if not self.dropped:
            return f"screening: none of {experts} experts is clearly behind the best"
        asked = {one.examples for one in self.dropped.values()}
        few = f"{min(asked)}" if len(asked) == 1 else f"{min(asked)} to {max(asked)}"
        return (
            f"screening: {len(self.dropped)} of {experts} experts were dropped after {few} of {items} dev "
            "examples; result.json says why"
        )


def screen(job: Job, scorer: Scorer) -> Screened:
    """Score all experts, on all dev items or until they are dropped.

    Args:
        job: the search, which screens its experts.
        scorer: dev scorer.
    """
    answers = Answers(job)
    vertices = job.pool.space.vertices()
    left = list(range(len(vertices)))
    dropped: dict[int, Dropped] = {}
    for turn, (start, end) in enumerate(pairwise([0, *rounds(job.items)])):
        items = next_items(job, start, end)
        rows = scorer.score_part(
            [vertices[number] for number in left], left, items, f"{PHASE} {start}"
        )
        if any(score.whole for score in rows[0].tasks.values()):  # no item has a score
            return Screened(dict(enumerate(scorer.score(list(vertices), 0))))
        answers.add(items, dict(zip(left, rows, strict=True)))
        if end < job.items:
            dropped |= answers.leave(left, turn)
            left = [number for number in left if number not in dropped]
    screened = Screened({n: scorer.add(answers.row(n, vertices[n]), n) for n in left}, dropped)
    job.tell(note(screened.summary(len(vertices), job.items)))
    return screened


def next_items(job: Job, start: int, end: int) -> dict[str, tuple[int, ...]]:
    """Task -> the items that a round asks, when `start` of all items have been asked; drawn by the
    search's seed, for scores of one task the same.
    """
    drawn: dict[str, tuple[int, ...]] = {}
    for name, count in job.objectives.items.items():
        order = np.random.default_rng([job.config.seed, SEED]).permutation(count)
        first, last = (share(one, count, job.items) for one in (start, end))
        drawn[name] = tuple(sorted(order[first:last].tolist()))
    return drawn


class Answers:
    """What the experts have answered so far.

    Args:
        job: the search.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._scales = {name: m.scale for name, m in job.objectives.metrics.items()}
        self._asked: dict[str, list[int]] = {name: [] for name in job.objectives.names}
        self._parts: dict[int, list[Row]] = {}

    def add(self, items: Items, rows: Mapping[int, Row]) -> None:
        """Add the rows of experts on these further items."""
        for name, places in items.items():
            self._asked[name] += places
        for number, row in rows.items():
            self._parts.setdefault(number, []).append(row)

    def scores(self, number: int) -> dict[str, Score]:
        """Task -> an expert's score on all items that it was asked."""
        rows = self._parts[number]
        return {
            name: joined([row.tasks[name] for row in rows], self._asked[name])
            for name in self._asked
        }

    def value(self, number: int) -> float:
        """An expert's combined score on these items."""
        return self._job.objectives.combine(list(self.scores(number).values())).value

    def p_value(self, best: int, other: int) -> float:
        """P of the one-sided test that an expert is behind the best, on the same items."""
        asked = {}
        for name, places in self._asked.items():
            questions = self._job.objectives.questions[name].get("dev", [])
            asked[name] = [questions[place] for place in sorted(places)] if questions else []
        found = combined_difference(
            self.scores(best),
            self.scores(other),
            self._job.objectives.combine,
            self._scales,
            asked,
        )
        if found is None or found.difference <= 0:
            return 1.0
        return found.p_value / 2

    def leave(self, left: Sequence[int], turn: int) -> dict[int, Dropped]:
        """The experts that leave after a round, of those left."""
        values = {number: self.value(number) for number in left}
        best = max(left, key=values.__getitem__)
        found = leaving(values, partial(self.p_value, best), turn)
        examples = sum(map(len, self._asked.values()))
        names = self._job.pool.space.expert_names
        return {
            number: Dropped(examples, values[number], names[best], values[best], p)
            for number, p in found.items()
        }

    def row(self, number: int, position: Tensor) -> Row:
        """The row of an expert that has answered everything; its parts are counted where they were
        scored.
        """
        scores = self.scores(number)
        total = self._job.objectives.combine(list(scores.values()))
        coefficients = self._job.pool.space.coefficients(position).tolist()
        key = position_key(position)
        return replace(Row.of(scores, total), key=key, coefficients=coefficients, n=0)


def joined(parts: Sequence[Score], places: Sequence[int]) -> Score:
    """The score of items that were scored in parts.

    Args:
        parts: their scores, each a mean over its items.
        places: the place of each item of all parts, one part after the other.

    Example:
        >>> joined([score_of([1.0, 0.0]), score_of([0.5])], [2, 0, 1]).per_item
        (0.0, 0.5, 1.0)
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    items = [value for part in parts for value in part.per_item]
    margins = [own for part in parts for own in part.margins]
    answers = [answer for part in parts for answer in part.answers]
    named = {
        name: sum(part.named[name] * part.n for part in parts) / len(items)
        for name in parts[0].named
    }
    return replace(
        score_of([items[k] for k in order]),
        named=named,
        margins=tuple(margins[k] for k in order) if margins else (),
        answers=tuple(answers[k] for k in order) if answers else (),
    )
