"""Ranks many adapters with few items: all on some items, the better half on twice as many, and so
on.

Adapters are ranked by the mean probability of the right options: eight items are too few for an
accuracy.
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
from pyswarmopt_llm.common.errors import InvalidOption, UndefinedModelError, UserError, first_line
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import LEVEL, Ends, interval
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import AdapterInfo, changed_weights, load_factors
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.scores.tasks import Item, Scoring
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig, OnItems
from pyswarmopt_llm.searching.use.exam import Exam

FIRST_ITEMS = 8
LARGE = 500.0  # a logit with a finite exponential
# task settings shared with a search
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
Round = tuple[int, int]  # number of adapters, and the items each has been scored on after the round


@dataclass(frozen=True)
class ItemAnswer:
    """A model's answer to an item.

    Attributes:
        value: value by the metric.
        probability: probability of the right option among the options; `value` without options.
    """

    value: float
    probability: float


def halvings(adapters: int, items: int, top: int, first: int = FIRST_ITEMS) -> list[Round]:
    """The rounds from `first` items to `top` adapters on all items.

    Source: Karnin, Koren and Somekh 2013, "Almost optimal exploration in multi-armed bandits",
    ICML; here an adapter's items count in all later rounds.

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
    """Forward passes per item.

    Example:
        >>> passes([(64, 8), (4, 100)])
        880
    """
    both = pairwise([(0, 0), *rounds])
    return sum(adapters * (items - before) for (_, before), (adapters, items) in both)


def halved(
    rounds: Sequence[Round], answers_of: Callable[[int, range], Sequence[ItemAnswer]]
) -> dict[int, list[ItemAnswer]]:
    """The numbers of all adapters, best first, and their answers.

    Args:
        rounds: rounds from `halvings`; each keeps the best adapters of the previous one.
        answers_of: scores an adapter, given by number, on a range of the shuffled items.

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
        dropped = survivors[count:] + dropped
        survivors = survivors[:count]
        for number in survivors:
            answers[number] += answers_of(number, range(scored, items))
        survivors.sort(key=lambda number: -mean_probability(answers[number]))
        scored = items
    return {number: answers[number] for number in survivors + dropped}


def mean_probability(answers: Sequence[ItemAnswer]) -> float:
    """The mean probability over items, by which adapters are ranked."""
    return fmean(answer.probability for answer in answers)


@dataclass(frozen=True)
class RankedAdapter:
    """An adapter, or the bare base, with its answers to the first shuffled dev items.

    Attributes:
        name: name, unique in the pool.
        path: directory or hub id, as for `search`.
        answers: answers in the items' order.
        scale: least and greatest value of an item; None: unknown.
        adapters: number of adapters ranked together.
        questions: question number of each item, if some repeat.
    """

    name: str
    path: str
    answers: tuple[ItemAnswer, ...]
    scale: Ends | None = None
    adapters: int = 1
    questions: Sequence[int] = ()

    @property
    def values(self) -> list[float]:
        """The values of its answers."""
        return [answer.value for answer in self.answers]

    @property
    def score(self) -> float:
        """The mean value."""
        return fmean(self.values)

    @property
    def interval(self) -> Ends:
        """The score's 95% interval, see `held_together`."""
        return interval(self.values, held_together(self.adapters), self.scale, self.questions)

    @property
    def probability(self) -> float:
        """The mean probability."""
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
    """The confidence of each interval for all intervals of a ranking to hold in 95% of cases,
    including the first one's, whose items selected it (Bonferroni).

    The first interval of 100 equal adapters holds in at least 95% (computed for 10 to 200 items
    that are right or wrong).
    """
    return 1 - LEVEL / adapters


def read_pool(
    specs: Sequence[str], base: BaseModel
) -> tuple[dict[str, AdapterInfo], dict[str, str], dict[str, str]]:
    """The adapters at these directories or hub ids; each is read once.

    Returns:
        Directory or hub id -> adapter, in the given order; name -> why an adapter is left out; name
        -> oddity of a ranked adapter.

    Raises:
        UserError: no adapter is given, or none can be used.
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
        ranking: best first; adapters scored on more items come before the others.
        top: number of adapters to continue with.
        base: the bare base on all dev items.
        task, metric, scoring: the scored task, metric and answer format.
        passes: forward passes per item.
        left_out: name -> why the adapter was not ranked.
        warnings: name -> oddity, as in `inspect`.
        search: command that searches with the first `top`; for a single adapter, the command that
            scores it.
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
    """Hub ids of a base's adapters, the most downloaded first.

    Args:
        base: hub id of the base, as named in its adapters' cards.
        limit: most ids.

    Raises:
        UserError: the hub does not answer, or has no adapters.
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

    One adapter is in memory at a time, besides the base.

    Args:
        adapters: directories or hub ids.
        config: base, task and scoring; its `seed` shuffles the items.
        top: number of adapters in the last round, scored on all dev items.
        on_items: called with the number of passes so far, and the total.

    Raises:
        UserError: no adapter is usable, or the task or the base is not.
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
    """An engine with the base, for these adapters."""
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
    """An exam taken by adapters in turn, with items in random order.

    Args:
        exam: items and metric.
        engine: engine that loads each adapter.
        scoring: answer format.
        seed: seed of the order.
        total: total number of passes.
        on_items: called with the number of passes so far, and the total.
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
        """An adapter's answers to these items, by default all; None: the bare base."""
        asked = self._items if numbers is None else self._items[numbers.start : numbers.stop]
        # factors are read again each time
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
        """An adapter with its answers to the first items, one of `of` adapters."""
        name = BARE if info is None else info.name
        asked = repeated(self._items[: len(found)])
        return RankedAdapter(name, path, tuple(found), self._exam.metric.scale, of, asked)


def answers_in(score: Score, items: Sequence[Item], scoring: Scoring) -> list[ItemAnswer]:
    """The answers to items, extracted from a score; see `ItemAnswer`."""
    margins = score.margins or [()] * len(items)
    return [
        ItemAnswer(value, right(item, others, scoring) if others else value)
        for item, value, others in zip(items, score.per_item, margins, strict=True)
    ]


def right(item: Item, margins: Sequence[float], scoring: Scoring) -> float:
    """The probability of the right option among the options, as in training.

    Likelihood scores are per byte; they are multiplied by the mean length of the options.

    Example:
        >>> item = Item("1", "?", {"A": "yes", "B": "never"}, "A")  # 4 bytes on average
        >>> round(right(item, (0.5,), "likelihood"), 3)  # 1 / (1 + exp(-2))
        0.881
    """
    lengths = [len(text.encode()) for text in item.options]
    scale = fmean(lengths) if scoring == "likelihood" else 1.0
    logits = [-scale * margin for margin in margins]
    probability = 1 / (1 + math.fsum(math.exp(min(logit, LARGE)) for logit in logits))
    return 0.0 if math.isnan(probability) else probability


def next_command(config: EvalConfig, adapters: Sequence[str]) -> str:
    """The command that searches with these adapters, or scores a single one, with the same reading
    of the task.
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
