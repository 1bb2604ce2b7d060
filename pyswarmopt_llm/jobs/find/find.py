"""Rank many adapters by few items: all on some, the better half on twice as many, and so on.

Source: Karnin, Koren and Somekh 2013, "Almost optimal exploration in multi-armed bandits", ICML;
here the items that an adapter was scored on count in all later rounds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from pyswarmopt_llm.common.commands import changed, command, task_settings
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.jobs.evaluate.config import BARE, EvalConfig
from pyswarmopt_llm.jobs.evaluate.model import Exam, OnItems
from pyswarmopt_llm.jobs.find.pool import Candidate, read_pool
from pyswarmopt_llm.models.adapters.adapter import load_factors
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.load import load_engine
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.tasks import Scoring

TOP = 4
FIRST_ITEMS = 8
AS_READ = (  # settings of the task that a search shares
    *("dev", "columns", "template", "split_seed", "skip_bad_rows", "scoring", "max_new_tokens"),
    *("temperature", "samples", "allow_overlap", "dtype", "device", "threads"),
)

# number of an adapter, range of the shuffled items -> their values
ItemValues = Callable[[int, range], Sequence[float]]
Round = tuple[int, int]  # adapters, and the items that each has been scored on after it


@dataclass(frozen=True)
class Ranked:
    """An adapter, or the bare base, and its score on the first of the shuffled dev items.

    Attributes:
        name: unique in the pool.
        path: as `search` takes it.
        values: of these items, in their order.
    """

    name: str
    path: str
    values: tuple[float, ...]

    @property
    def score(self) -> float:
        """The mean over its items."""
        return fmean(self.values)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the score."""
        return interval(self.values)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "adapter": self.name,
            "path": self.path,
            "score": self.score,
            "interval": list(self.interval),
            "items": len(self.values),
        }


@dataclass(frozen=True)
class FindResult:
    """The result of `find`.

    Attributes:
        ranking: the best first; those that were scored on more items before the others.
        top: the number of adapters to go on with.
        base: the bare base on all dev items.
        task, metric, scoring: what was scored.
        passes: forward passes of an item.
        left_out: name -> why it cannot be used.
        copies: name -> the adapter with the same weights.
        search: the command that searches with the first `top`.
    """

    ranking: tuple[Ranked, ...]
    top: int
    base: Ranked
    task: str
    metric: str
    scoring: str
    passes: int
    left_out: Mapping[str, str]
    copies: Mapping[str, str]
    search: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        ranking = [adapter.to_json() for adapter in self.ranking]
        return {**vars(self), "ranking": ranking, "base": self.base.to_json()}


def find(
    adapters: Sequence[str],
    config: EvalConfig,
    top: int = TOP,
    budget: int | None = None,
    on_items: OnItems | None = None,
) -> FindResult:
    """Rank adapters of one base by their scores on dev.

    One adapter is in memory at a time, beside the base.

    Args:
        adapters: directories, folders of them, hub ids, or .txt files that list them.
        config: base, task and how it is scored; its `seed` shuffles the items.
        top: number of adapters to end with, which are scored on all dev items.
        budget: maximum number of forward passes of an item, the base's included.
        on_items: receives the number of passes so far, and of all.

    Raises:
        UserError: no adapter can be used, the task or the base cannot, or the budget is too small.
    """
    exam = Exam.of(config)
    base = resolve_base(config.base)
    pool = read_pool(adapters, base)
    items = len(exam.items)
    rounds = plan(len(pool.candidates), items, top, budget)
    engine = load_engine(base, config.dtype, config.device, config.threads)
    plain = exam.score(engine, config.scoring)
    scores = Scores(exam, engine, plain.scoring, config.seed, pool.candidates)
    total = passes(rounds) + items
    done = items

    def progress(scored: int) -> None:
        nonlocal done
        done += scored
        if on_items is not None:
            on_items(done, total)

    values = halved(rounds, scores, progress)
    ranking = []
    for number, scored in values.items():
        candidate = pool.candidates[number]
        ranking.append(Ranked(candidate.name, candidate.path, tuple(scored)))
    best = [adapter.path for adapter in ranking[:top]]
    return FindResult(
        ranking=tuple(ranking),
        top=top,
        base=Ranked(BARE, config.base, plain.score.per_item),
        task=exam.task.name,
        metric=exam.metric.name,
        scoring=plain.scoring,
        passes=total,
        left_out=pool.left_out,
        copies=pool.copies,
        search=search_command(config, best),
    )


def plan(adapters: int, items: int, top: int, budget: int | None = None) -> list[Round]:
    """The rounds of a pool: the first with `FIRST_ITEMS`, or with what the budget allows.

    Raises:
        InvalidOption: the budget is not enough for a single item.

    Example:
        >>> plan(64, 100, top=4)
        [(64, 8), (32, 16), (16, 32), (8, 64), (4, 100)]
        >>> plan(64, 100, top=4, budget=3000)[0], plan(3, 100, top=4)
        ((64, 21), [(3, 100)])
    """
    if budget is None:
        return halvings(adapters, items, top, FIRST_ITEMS)
    plans = (halvings(adapters, items, top, first) for first in range(items, 0, -1))
    for rounds in plans:
        if passes(rounds) + items <= budget:
            return rounds
    least = passes(rounds) + items
    raise InvalidOption(
        "budget",
        budget,
        f"{adapters} adapters and the base take {least} passes at least; give as many",
    )


def halvings(adapters: int, items: int, top: int, first: int) -> list[Round]:
    """The rounds that begin with so many items and end with `top` adapters on all of them."""
    rounds = []
    scored = min(first, items)
    while adapters > top and scored < items:
        rounds.append((adapters, scored))
        adapters = max(top, (adapters + 1) // 2)
        scored = min(2 * scored, items)
    return [*rounds, (adapters, items)]


def passes(rounds: Sequence[Round]) -> int:
    """Forward passes of an item.

    Example:
        >>> passes([(64, 8), (4, 100)])
        880
    """
    both = pairwise([(0, 0), *rounds])
    return sum(adapters * (items - before) for (_, before), (adapters, items) in both)


def halved(
    rounds: Sequence[Round],
    score: ItemValues,
    on_scored: Callable[[int], None] = lambda items: None,
) -> dict[int, list[float]]:
    """The numbers of all adapters, the best first, and the values of their items.

    Args:
        rounds: of `plan`; each goes on with the best of the one before.
        score: scores an adapter, by its number, on a range of the shuffled items.
        on_scored: receives the number of items of each call.

    Example:
        >>> halved([(3, 1), (2, 2)], lambda number, items: [number % 3 / 2] * len(items))
        {2: [1.0, 1.0], 1: [0.5, 0.5], 0: [0.0]}
    """
    survivors = list(range(rounds[0][0]))
    values: dict[int, list[float]] = {number: [] for number in survivors}
    dropped: list[int] = []
    scored = 0
    for count, items in rounds:
        survivors, last = survivors[:count], survivors[count:]
        dropped = last + dropped
        for number in survivors:
            values[number] += score(number, range(scored, items))
            on_scored(items - scored)
        survivors.sort(key=lambda number: -fmean(values[number]))
        scored = items
    return {number: values[number] for number in survivors + dropped}


class Scores:
    """Scores candidates on the dev items in a random order, which is the same for all.

    Args:
        exam: the items and how they are scored.
        engine: with the base.
        scoring: the answer format.
        seed: of the order.
        candidates: by number.
    """

    def __init__(
        self,
        exam: Exam,
        engine: TransformersEngine,
        scoring: Scoring,
        seed: int,
        candidates: Sequence[Candidate],
    ) -> None:
        self._exam, self._engine, self._scoring = exam, engine, scoring
        self._candidates = candidates
        self._items = random.Random(seed).sample(exam.items, len(exam.items))

    def __call__(self, number: int, items: range) -> Sequence[float]:
        """The values of these items."""
        self._engine.load(Patch(low_rank=load_factors(self._candidates[number].info)))
        task, metric = self._exam.task, self._exam.metric
        chosen = self._items[items.start : items.stop]
        utility = metric.build(chosen, self._scoring, self._engine.chat, task.prompt)
        return utility(self._engine).per_item


def search_command(config: EvalConfig, adapters: Sequence[str]) -> str:
    """The command that searches with these adapters, on the task as it was read."""
    others = {name: getattr(config, name) for name in AS_READ}
    metrics = () if config.metric is None else (config.metric,)
    return command(
        "search",
        base=config.base,
        experts=adapters,
        **task_settings([config.task]),
        out="runs/found",
        metrics=metrics,
        **changed(others),
    )
