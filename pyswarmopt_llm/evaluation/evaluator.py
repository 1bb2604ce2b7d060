"""One candidate is asked: realise, load, put the questions, until all are answered or a rule has heard enough.

The same code asks in the search's own process and in a worker's; what goes between them are `Ask` or `AskItems` one way
and `Found` or `FoundItems` back, a few kilobytes each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np
from torch import Tensor

from pyswarmopt_llm.common.errors import NotFiniteError
from pyswarmopt_llm.common.interfaces import ByItems, ByParts, Engine, EngineByParts, Part, Score, Space, Utility
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.partial import Evaluation, ItemRule, Rule, Telling
from pyswarmopt_llm.metrics.combine import Combine

Parts = Sequence[tuple[str, Part[float]]]
# Number of a part, all parts, the evaluation so far -> the values of that part's items.
Take = Callable[[int, Parts, Evaluation], Sequence[float]]
# Of each item by how much the right option is above each other one; None where it was not asked.
Margins = list[list[float] | None]


@dataclass(frozen=True)
class Ask:
    """A candidate to be asked.

    Attributes:
        position: (D,).
        rules: what may end its evaluation early.
        known: task name -> the items' values that are known, NaN for others; None: nothing is known.
        telling: which items to ask first; counts where there are rules only.
    """

    position: Tensor
    rules: tuple[Rule, ...] = ()
    known: Mapping[str, Sequence[float]] | None = None
    telling: Telling = field(default_factory=Telling)


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        value: for the optimizer.
        n: items that were asked.
        items: task name -> the items' values, NaN where not asked.
        seconds: it took, of all who had a share in it.
        bounds: between which values the complete value lies; None where it is complete.
        own: value, standard error and count of those tasks whose score is not the mean of their items.
        margins: task name -> those of the items that were asked, where a rule keeps them.
    """

    value: float
    n: int
    items: Mapping[str, tuple[float, ...]]
    seconds: float
    bounds: tuple[float, float] | None = None
    own: Mapping[str, list[float]] = field(default_factory=dict)
    margins: Mapping[str, Margins] = field(default_factory=dict)


@dataclass(frozen=True)
class AskItems:
    """A share of a candidate's evaluation.

    Attributes:
        position: (D,).
        items: task name -> which of its items; None: the task as a whole.
    """

    position: Tensor
    items: Mapping[str, tuple[int, ...] | None]


@dataclass(frozen=True)
class FoundItems:
    """The answer to `AskItems`.

    Attributes:
        values: task name -> the values of the items that were asked for, in their order.
        scores: of the tasks that were asked for as a whole.
        seconds: it took.
    """

    values: Mapping[str, tuple[float, ...]]
    scores: Mapping[str, Score]
    seconds: float


class Asker:
    """Puts questions to candidates.

    Args:
        space: realises positions.
        engine: runs them.
        utilities: task name -> what is asked.
        combine: one number from the tasks' scores.

    Attributes:
        utilities: task name -> what is asked.
        by_parts: those of them that can be asked part by part.
        combine: one number from the tasks' scores.
    """

    def __init__(self, space: Space, engine: Engine, utilities: Mapping[str, Utility], combine: Combine) -> None:
        self._space, self._engine, self.combine = space, engine, combine
        self.utilities = dict(utilities)
        self._parted = engine if isinstance(engine, EngineByParts) else None
        self.by_parts = {name: asked for name, asked in utilities.items() if isinstance(asked, ByParts)}

    @property
    def can_stop(self) -> bool:
        """Whether an evaluation may end early: only where everything can be asked part by part."""
        return self._parted is not None and len(self.by_parts) == len(self.utilities)

    def load(self, position: Tensor) -> None:
        """Make the candidate at a position the one that is asked."""
        self._engine.load(self._space.realise(position))

    def ask(self, ask: Ask) -> Found:
        """Ask what is not known of a candidate, as far as the rules want to know it.

        Raises:
            NotFiniteError: its score is not a number.
        """
        start = time.perf_counter()
        choosing = next((rule for rule in ask.rules if isinstance(rule, ItemRule)), None)
        if choosing is not None:
            return timed(self._ask_items_first(ask, choosing), time.perf_counter() - start)
        self.load(ask.position)
        if ask.rules or ask.known is not None:
            found = self.ask_parts(ask, _take)
        else:
            found = self.total({name: utility(self._engine) for name, utility in self.utilities.items()})
        return timed(found, time.perf_counter() - start)

    def ask_items(self, ask: AskItems, load: bool = True) -> FoundItems:
        """Ask a share of a candidate's items; the candidate is there already unless `load`."""
        start = time.perf_counter()
        if load:
            self.load(ask.position)
        values: dict[str, tuple[float, ...]] = {}
        scores: dict[str, Score] = {}
        for name, wanted in ask.items.items():
            if wanted is None:
                scores[name] = self.utilities[name](self._engine)
                continue
            known = {
                i: value
                for part in self._parts_of(name)
                if not set(wanted).isdisjoint(part.indices)
                for i, value in zip(part.indices, part.ask(), strict=True)
            }
            values[name] = tuple(known[i] for i in wanted)
        return FoundItems(values, scores, time.perf_counter() - start)

    def total(self, scores: Mapping[str, Score]) -> Found:
        """What the complete scores of all tasks come to.

        Raises:
            NotFiniteError: not a number.
        """
        total = self.combine(list(scores.values()))
        items = {name: tuple(score.per_item) for name, score in scores.items()}
        return _finite(Found(total.value, total.n, items, 0.0, own=own_values(scores)))

    def _ask_items_first(self, ask: Ask, rule: ItemRule) -> Found:
        """Ask those items that a rule wants first, then all others; the candidate is loaded if any is asked."""
        load = cache(lambda: self.load(ask.position))
        unknown = {name: np.isnan(values) for name, values in self.evaluation(ask.known).values.items()}
        margins: dict[str, Margins] = {name: [None] * len(found) for name, found in unknown.items()}

        def some(name: str, indices: Sequence[int]) -> list[float]:
            load()
            asked = self.utilities[name]
            if not isinstance(asked, ByItems):
                raise TypeError(f"{name}: its items cannot be asked one by one")
            answers = asked.ask_some(self._engine, indices)
            for i, answer in zip(indices, answers, strict=True):
                margins[name][i] = _stored(answer.margins)
            return [answer.value for answer in answers]

        wanted = [
            (name, tuple(i for i in np.flatnonzero(found).tolist() if (i in rule.first[name]) == first))
            for first in (True, False)
            for name, found in unknown.items()
        ]
        parts = [(name, Part(indices, partial(some, name, indices))) for name, indices in wanted if indices]
        found = self.ask_parts(ask, _take, parts)
        return replace(found, margins=margins) if rule.keeps_margins else found

    def ask_parts(self, ask: Ask, take: Take, parts: Parts | None = None) -> Found:
        """Ask part by part until a rule tells a value or nothing is left.

        Args:
            ask: the candidate.
            take: gives the values of one part.
            parts: to be asked, each with something unknown; None: as the engine batches them.

        Raises:
            NotFiniteError: the score is not a number.
        """
        evaluation = self.evaluation(ask.known)
        before = evaluation.asked
        if parts is None:
            parts = [
                (name, part)
                for name, part in self.parts()
                if np.isnan(evaluation.values[name][list(part.indices)]).any()
            ]
        order = ask.telling.order(evaluation, parts, ask.rules)
        while (told := told_by(ask.rules, evaluation)) is None and not evaluation.complete:
            k = next(order)
            name, part = parts[k]
            evaluation.values[name][list(part.indices)] = take(k, parts, evaluation)
        bounds = None if evaluation.complete else evaluation.bounds()
        value = evaluation.bounds()[1] if told is None or bounds is None else told
        items = {name: tuple(values.tolist()) for name, values in evaluation.values.items()}
        return _finite(Found(value, evaluation.asked - before, items, 0.0, bounds))

    def evaluation(self, known: Mapping[str, Sequence[float]] | None) -> Evaluation:
        """An evaluation of which so much is known."""
        return Evaluation.of(self.by_parts, self.combine, known)

    def parts(self) -> list[tuple[str, Part[float]]]:
        """All that can be asked part by part."""
        return [(name, part) for name in self.by_parts for part in self._parts_of(name)]

    def _parts_of(self, name: str) -> Sequence[Part[float]]:
        return () if self._parted is None else self.by_parts[name].parts(self._parted)


def told_by(rules: Sequence[Rule], evaluation: Evaluation) -> float | None:
    """What the first rule that ends the evaluation tells; None to go on."""
    return next((told for rule in rules if (told := rule(evaluation)) is not None), None)


def timed(found: Found, seconds: float) -> Found:
    """`found` with the seconds it took."""
    return replace(found, seconds=round(seconds, 4))


def own_values(scores: Mapping[str, Score]) -> dict[str, list[float]]:
    """Value, standard error and count of those scores that are not the mean of their items."""
    return {
        name: [score.value, score.stderr, score.n]
        for name, score in scores.items()
        if not score.per_item or score.value != score_of(score.per_item).value
    }


def _take(k: int, parts: Parts, evaluation: Evaluation) -> Sequence[float]:
    """The values of a part that is asked here and now."""
    return parts[k][1].ask()


def _stored(margins: Sequence[float]) -> list[float] | None:
    """Six digits are more than a model's rounding leaves; what is not a number is as good as not asked."""
    return [float(f"{m:.6g}") for m in margins] if margins and all(map(math.isfinite, margins)) else None


def _finite(found: Found) -> Found:
    if not math.isfinite(found.value):
        raise NotFiniteError(f"the score is {found.value}")
    return found


__all__ = ["Ask", "AskItems", "Asker", "Found", "FoundItems", "own_values", "timed", "told_by"]
