"""Rank many adapters by few items: all on some, the better half on twice as many, and so on.

What decides is the mean probability of the right options: eight items tell little of an accuracy.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from pyswarmopt_llm.common.config import changed, command
from pyswarmopt_llm.common.errors import (
    InvalidOption,
    UndefinedModelError,
    UserError,
    first_line,
)
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import LEVEL, Ends, interval
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import AdapterInfo, changed_weights, load_factors
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.scores.tasks import Item, Scoring
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig
from pyswarmopt_llm.searching.use.exam import Exam, OnItems

FIRST_ITEMS = 8
LARGE = 500.0  # a logit whose exponential is still finite
# settings of the task that a search shares
AS_READ = (
    "dev",
    "columns",
    "labels",
    "template",
    "system",
    "thinking",
    "split_seed",
    "skip_bad_rows",
    "scoring",
    "max_new_tokens",
    "allow_overlap",
    "dtype",
    "device",
    "threads",
)
Round = tuple[int, int]  # adapters, and the items that each has been scored on after it


@dataclass(frozen=True)
class ItemAnswer:
    """A model's answer to an item.

    Attributes:
        value: value of the metric.
        probability: probability of the right option among the options; the value where it has none.
    """

    value: float
    probability: float


def halvings(adapters: int, items: int, top: int, first: int = FIRST_ITEMS) -> list[Round]:
    """The rounds that begin with so many items and end with `top` adapters on all of them.

    Source: Karnin, Koren and Somekh 2013, "Almost optimal exploration in multi-armed bandits",
    ICML; here the items that an adapter was scored on count in all later rounds.

    Example:
        >>> halvings(64, 100, top=4), halvings(3, 100, top=4)
        ([(64, 8), (32, 16), (16, 32), (8, 64), (4, 100)], [(3, 100)])
    """
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
    rounds: Sequence[Round], answers_of: Callable[[int, range], Sequence[ItemAnswer]]
) -> dict[int, list[ItemAnswer]]:
    """The numbers of all adapters, the best first, and their answers.

    Args:
        rounds: number of `halvings`; each goes on with the best of the one before.
        answers_of: scores an adapter, by its number, on a range of the shuffled items.

    Example:
        >>> ranking = halved([(3, 1), (2, 2)], lambda number, items: [ItemAnswer(0, number)] * len(items))
        >>> {number: len(answers) for number, answers in ranking.items()}
        {2: 2, 1: 2, 0: 1}
    """
    survivors = list(range(rounds[0][0]))
    answers: dict[int, list[ItemAnswer]] = {number: [] for number in survivors}
    dropped: list[int] = []
    scored = 0
    for count, items in rounds:
        survivors, last = survivors[:count], survivors[count:]
        dropped = last + dropped
        for number in survivors:
            answers[number] += answers_of(number, range(scored, items))
        survivors.sort(key=lambda number: -mean_probability(answers[number]))
        scored = items
    return {number: answers[number] for number in survivors + dropped}


def mean_probability(answers: Sequence[ItemAnswer]) -> float:
    """The mean over items, by which adapters are ranked."""
    return fmean(answer.probability for answer in answers)


@dataclass(frozen=True)
class RankedAdapter:
    """An adapter, or the bare base, and its answers to the first of the shuffled dev items.

    Attributes:
        name: unique in the pool.
        path: its directory or hub id, as `search` takes it.
        answers: in the items' order.
        scale: the least and the greatest value of an item; None: not known.
        adapters: that were ranked together.
        questions: the numbers of the items' questions, where some are repeated.
    """

    name: str
    path: str
    answers: tuple[ItemAnswer, ...]
    scale: Ends | None = None
    adapters: int = 1
    questions: Sequence[int] = ()

    @property
    def values(self) -> list[float]:
        """The values of its items."""
        return [answer.value for answer in self.answers]

    @property
    def score(self) -> float:
        """The mean over its items."""
        return fmean(self.values)

    @property
    def interval(self) -> Ends:
        """The 95% interval of the score, see `held_together`."""
        return interval(self.values, held_together(self.adapters), self.scale, self.questions)

    @property
    def probability(self) -> float:
        """The mean over its items."""
        return mean_probability(self.answers)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "adapter": self.name,
            "path": self.path,
            "score": self.score,
            "interval": list(self.interval),
            "probability": self.probability,
            "items": len(self.answers),
        }


def held_together(adapters: int) -> float:
    """The confidence of each interval at which all those of a ranking hold in 95% of cases, so that
    the first one's does, too, although its items made it the first (Bonferroni).

    Simulated with 20 and 100 equal adapters and 40 and 200 items, it does in at least 95%.
    """
    return 1 - LEVEL / adapters


def read_pool(
    specs: Sequence[str], base: BaseModel
) -> tuple[dict[str, AdapterInfo], dict[str, str], dict[str, str]]:
    """The adapters at these directories or hub ids; every adapter is read once.

    Returns:
        Directory or hub id of each adapter to rank, in the order given -> the adapter; name -> why
        another one is left out; name -> what is odd about one that is ranked.

    Raises:
        UserError: none is given, or none of them can be used.
    """
    report = inspect_experts(specs, base)
    left_out = {problem.expert: problem.text for problem in reversed(report.errors("delta"))}
    infos: dict[str, AdapterInfo] = {}
    for info in report.experts:
        if info.name in left_out:
            continue
        try:
            load_factors(info)  # refuses damaged weights
        except UserError as error:
            left_out[info.name] = error.text
            continue
        first = infos.setdefault(info.fingerprint, info)
        if first is not info:
            left_out[info.name] = f"has the same weights as {first.name}"
    if not infos:
        name = report.names[0]
        raise UserError(f"no adapter can be used; {name}: {left_out[name]}")
    paths = dict(zip(report.names, specs, strict=True))
    odd: dict[str, list[str]] = defaultdict(list)
    for problem in report.warnings:
        if problem.expert not in left_out:
            odd[problem.expert].append(problem.text)
    pool = {paths[info.name]: info for info in infos.values()}
    return pool, left_out, {name: "; also, ".join(texts) for name, texts in odd.items()}


@dataclass(frozen=True)
class FindResult:
    """The result of `find`.

    Attributes:
        ranking: the best first; those that were scored on more items before the others.
        top: the number of adapters to go on with.
        base: the bare base on all dev items.
        task, metric, scoring: what was scored.
        passes: forward passes of an item.
        left_out: name -> why it was not ranked.
        warnings: name -> what is odd about it, as `inspect` says it.
        search: the command that searches with the first `top`; of a single adapter, which has
            nothing to be mixed with, the one that scores it.
    """

    ranking: tuple[RankedAdapter, ...]
    top: int
    base: RankedAdapter
    task: str
    metric: str
    scoring: str
    passes: int
    left_out: Mapping[str, str]
    warnings: Mapping[str, str]
    search: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        ranking = [adapter.to_json() for adapter in self.ranking]
        return {**vars(self), "ranking": ranking, "base": self.base.to_json()}


def adapters_on_hub(base: str, limit: int) -> list[str]:
    """The hub ids of adapters of a base, the most downloaded first.

    Args:
        base: its hub id, which the cards of its adapters name.
        limit: so many at most.

    Raises:
        UserError: the hub cannot be asked, or has none.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of its client

    tags = (f"base_model:adapter:{base}", "peft")
    try:
        found = [
            str(model.id)
            for model in HfApi().list_models(filter=tags, sort="downloads", limit=limit)
        ]
    except (OSError, HTTPError) as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise InvalidOption(
            "hub", base, f"the hub cannot be asked ({why}); check the connection"
        ) from error
    if not found:
        why = "the hub has no PEFT adapter whose card names this base; give its hub id, such as org/name"
        raise InvalidOption("hub", base, why)
    return found


def find(
    adapters: Sequence[str],
    config: EvalConfig,
    top: int = 4,
    on_items: OnItems = lambda done, total: None,
) -> FindResult:
    """Rank adapters of one base by their scores on dev.

    One adapter is in memory at a time, beside the base.

    Args:
        adapters: directories or hub ids.
        config: base, task and how it is scored; its `seed` shuffles the items.
        top: number of adapters to end with, which are scored on all dev items.
        on_items: receives the number of passes so far, and of all.

    Raises:
        UserError: no adapter can be used, or the task or the base cannot.
    """
    if not config.task:
        raise InvalidOption("task", None, "missing; name a file or builtin:NAME, or give `prompts`")
    exam = Exam.of(config)
    base = resolve_base(config.base)
    pool, left_out, odd = read_pool(adapters, base)
    paths = list(pool)
    infos = list(pool.values())
    rounds = halvings(len(pool), len(exam.items), top)
    engine = _engine_for(base, infos, config)
    scoring = exam.format(engine, config.scoring)
    total = passes(rounds) + len(exam.items)
    sitting = _Sitting(exam, engine, scoring, config.seed, total, on_items)
    bare = sitting.ranked(None, config.base, sitting.answers(None), len(infos))
    by_number = halved(rounds, lambda number, numbers: sitting.answers(infos[number], numbers))
    ranking = [sitting.ranked(infos[n], paths[n], by_number[n], len(infos)) for n in by_number]
    return FindResult(
        ranking=tuple(ranking),
        top=top,
        base=bare,
        task=exam.task.name,
        metric=exam.metric.name,
        scoring=scoring,
        passes=total,
        left_out=left_out,
        warnings=odd,
        search=next_command(config, [adapter.path for adapter in ranking[:top]]),
    )


def _engine_for(base: BaseModel, infos: Sequence[AdapterInfo], config: EvalConfig) -> Engine:
    """An engine on the base, ready for these adapters."""
    engine = load_engine(
        base,
        config.dtype,
        config.device,
        config.threads,
        system=config.system,
        changed=changed_weights(infos),
    )
    engine.thinking = config.thinking
    return engine


class _Sitting:
    """An exam that adapters sit one after another, its items in a drawn order.

    Args:
        exam: items and metric.
        engine: is loaded with each adapter in turn.
        scoring: how each answers.
        seed: draws the order.
        total: number of passes of all.
        on_items: receives the number of passes so far, and of all.
    """

    def __init__(
        self,
        exam: Exam,
        engine: Engine,
        scoring: Scoring,
        seed: int,
        total: int,
        on_items: OnItems,
    ) -> None:
        self._exam = exam
        self._engine = engine
        self._scoring = scoring
        self._items = random.Random(seed).sample(exam.items, len(exam.items))
        self._total = total
        self._on_items = on_items
        self._done = 0

    def answers(self, info: AdapterInfo | None, numbers: range | None = None) -> list[ItemAnswer]:
        """An adapter's answers to these items, all by default; None: the bare base."""
        asked = self._items if numbers is None else self._items[numbers.start : numbers.stop]
        # the factors are read anew each time
        self._engine.load(Patch() if info is None else Patch(low_rank=load_factors(info)))
        try:
            score = self._exam.metric(self._engine, asked, self._scoring, self._exam.task.prompt)
        except UndefinedModelError as error:
            name = BARE if info is None else info.name
            raise UserError(f"{name}: {error.text}, or leave it out") from error
        self._done += len(asked)
        self._on_items(self._done, self._total)
        return answers_in(score, asked, self._scoring)

    def ranked(
        self, info: AdapterInfo | None, path: str, found: Sequence[ItemAnswer], of: int
    ) -> RankedAdapter:
        """An adapter with its answers to the first items, one of so many."""
        name = BARE if info is None else info.name
        asked = repeated(self._items[: len(found)])
        return RankedAdapter(name, path, tuple(found), self._exam.metric.scale, of, asked)


def answers_in(score: Score, items: Sequence[Item], scoring: Scoring) -> list[ItemAnswer]:
    """The answers to items in a score; see `ItemAnswer`."""
    margins = score.margins or [()] * len(items)
    return [
        ItemAnswer(value, right(item, others, scoring) if others else value)
        for item, value, others in zip(items, score.per_item, margins, strict=True)
    ]


def right(item: Item, margins: Sequence[float], scoring: Scoring) -> float:
    """The probability of the right option among the options, as training sees it.

    Scores by likelihood are per byte: they count times the mean length of the options.

    Example:
        >>> item = Item("1", "?", {"A": "yes", "B": "never"}, "A")  # 4 bytes on average
        >>> round(right(item, (0.5,), "likelihood"), 3)  # 1 / (1 + exp(-2))
        0.881
    """
    lengths = [len(text.encode()) for text in (item.choices or {}).values()]
    scale = fmean(lengths) if scoring == "likelihood" else 1.0
    logits = [-scale * margin for margin in margins]
    probability = 1 / (1 + math.fsum(math.exp(min(logit, LARGE)) for logit in logits))
    return 0.0 if math.isnan(probability) else probability


def next_command(config: EvalConfig, adapters: Sequence[str]) -> str:
    """The command that searches with these adapters, or scores the only one, on the task as it was
    read.
    """
    others = {name: getattr(config, name) for name in AS_READ}
    metrics = () if config.metric is None else (config.metric,)
    alone = len(adapters) == 1
    models: dict[str, Any] = {"adapter": adapters[0]} if alone else {"experts": adapters}
    return command(
        "eval" if alone else "search",
        base=config.base,
        **models,
        tasks=[config.task],
        out=None if alone else "runs/found",
        metrics=metrics,
        **changed(others),
    )
