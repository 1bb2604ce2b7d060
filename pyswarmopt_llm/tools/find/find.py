"""Rank many adapters by few items: all on some, the better half on twice as many, and so on.

What decides is the mean probability of the right options: eight items tell little of an accuracy.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pyswarmopt_llm.common.commands import changed, command, task_settings
from pyswarmopt_llm.common.errors import InvalidOption, UndefinedModelError, UserError
from pyswarmopt_llm.common.files.fingerprint import digest
from pyswarmopt_llm.common.files.json_types import wrong_field
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.engine.load import load_engine
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import AdapterInfo, changed_weights, load_factors
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.scores.metrics.objectives import task_print
from pyswarmopt_llm.scores.tasks import Item, Scoring
from pyswarmopt_llm.searching.scoring.store import Store
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig
from pyswarmopt_llm.searching.use.model import Exam, OnItems
from pyswarmopt_llm.tools.find.halving import TOP, Answer, halved, mean_probability, passes, plan
from pyswarmopt_llm.tools.find.pool import read_pool

LARGE = 500.0  # a logit whose exponential is still finite
# settings of the task that a search shares
AS_READ = (
    *("dev", "columns", "template", "system", "split_seed", "skip_bad_rows", "scoring"),
    *("max_new_tokens", "temperature", "samples", "allow_overlap", "dtype", "device", "threads"),
)


@dataclass(frozen=True)
class Ranked:
    """An adapter, or the bare base, and its answers to the first of the shuffled dev items.

    Attributes:
        name: unique in the pool.
        path: as `search` takes it.
        answers: in the items' order.
    """

    name: str
    path: str
    answers: tuple[Answer, ...]

    @property
    def values(self) -> list[float]:
        """The values of its items."""
        return [answer.value for answer in self.answers]

    @property
    def score(self) -> float:
        """The mean over its items."""
        return fmean(self.values)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the score."""
        return interval(self.values)

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


@dataclass(frozen=True)
class FindResult:
    """The result of `find`.

    Attributes:
        ranking: the best first; those that were scored on more items before the others.
        top: the number of adapters to go on with.
        base: the bare base on all dev items.
        task, metric, scoring: what was scored.
        passes: forward passes of an item.
        read: those among them whose outcome was in the file of scores.
        left_out: name -> why it cannot be used.
        copies: name -> the adapter with the same weights.
        search: the command that searches with the first `top`; of a single adapter, which has
            nothing to be mixed with, the one that scores it.
    """

    ranking: tuple[Ranked, ...]
    top: int
    base: Ranked
    task: str
    metric: str
    scoring: str
    passes: int
    read: int
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
    scores: str | Path | None = None,
) -> FindResult:
    """Rank adapters of one base by their scores on dev.

    One adapter is in memory at a time, beside the base.

    Args:
        adapters: directories, folders of them, hub ids, or .txt files that list them.
        config: base, task and how it is scored; its `seed` shuffles the items.
        top: number of adapters to end with, which are scored on all dev items.
        budget: maximum number of forward passes of an item, the base's included.
        on_items: receives the number of passes so far, and of all.
        scores: file that keeps the scores, and has those of an earlier call; None: none does.

    Raises:
        UserError: no adapter can be used, the task or the base cannot, or the budget is too small.
    """
    if not config.task:
        raise InvalidOption("task", None, "missing; name a file or builtin:NAME, or give `prompts`")
    exam = Exam.of(config)
    base = resolve_base(config.base)
    pool = read_pool(adapters, base)
    items = len(exam.items)
    rounds = plan(len(pool.candidates), items, top, budget)
    changed = changed_weights(candidate.info for candidate in pool.candidates)
    machine = (config.dtype, config.device, config.threads)
    engine = load_engine(base, *machine, changed=changed, system=config.system)
    scoring = exam.format(engine, config.scoring)
    scorer = Scorer(exam, engine, scoring, config.seed)
    known = open_scores(scores)
    what = exam_print(exam, base, scoring, config.seed, engine)
    total = passes(rounds) + items
    done = read = 0

    def answers(who: str, numbers: range, patch: Callable[[], Patch]) -> list[Answer]:
        nonlocal done, read
        part = f"{what} {numbers.start}-{numbers.stop}"
        if (part, who) in known:
            read += len(numbers)
        row = known.get(part, who, lambda: as_row(scorer(patch(), numbers)), wrong_row)
        done += len(numbers)
        if on_items is not None:
            on_items(done, total)
        return [*map(Answer, row["values"], row["probabilities"])]

    def answers_of(number: int, numbers: range) -> list[Answer]:
        candidate = pool.candidates[number]
        try:
            return answers(candidate.digest, numbers, lambda: adapter(candidate.info))
        except UndefinedModelError as error:
            raise UserError(f"{candidate.name}: {error.text}, or leave it out") from error

    plain = answers(BARE, range(items), Patch)
    ranking = []
    for number, answered in halved(rounds, answers_of).items():
        candidate = pool.candidates[number]
        ranking.append(Ranked(candidate.name, candidate.path, tuple(answered)))
    return FindResult(
        ranking=tuple(ranking),
        top=top,
        base=Ranked(BARE, config.base, tuple(plain)),
        task=exam.task.name,
        metric=exam.metric.name,
        scoring=scoring,
        passes=total,
        read=read,
        left_out=pool.left_out,
        copies=pool.copies,
        search=next_command(config, [adapter.path for adapter in ranking[:top]]),
    )


def adapter(info: AdapterInfo) -> Patch:
    """The candidate that is an adapter alone."""
    return Patch(low_rank=load_factors(info))


def open_scores(scores: str | Path | None) -> Store:
    """The answers of an earlier call, and what is added to them.

    Raises:
        UserError: the file holds something else.
    """
    if scores is None:
        return Store(None)
    file = user_path(scores)
    if not file.parent.is_dir():
        raise InvalidOption("scores", str(scores), "there is no such folder; make it")
    earlier = Store(file, repair=False).earlier
    if not earlier and file.exists() and file.stat().st_size:
        raise InvalidOption("scores", str(scores), "holds something else; name another file")
    return Store(file)


def as_row(answers: Sequence[Answer]) -> dict[str, Any]:
    """Answers as JSON values."""
    return {
        "values": [answer.value for answer in answers],
        "probabilities": [answer.probability for answer in answers],
    }


def wrong_row(row: dict[str, Any]) -> str | None:
    """The field of a row that `as_row` has not made; None if all are as it makes them."""
    wrong = wrong_field(row, {"values": list[float], "probabilities": list[float]})
    return wrong or (None if len(row["values"]) == len(row["probabilities"]) else "values")


def exam_print(
    exam: Exam, base: BaseModel, scoring: Scoring, seed: int, engine: TransformersEngine
) -> str:
    """A hash of all but the adapter that an answer depends on."""
    metric, dtype = exam.metric, str(engine.dtype)
    how = [metric.name, metric.fingerprint, metric.new_tokens, scoring, seed, dtype]
    return digest([base.fingerprint, task_print(exam.task), *how, engine.system])


class Scorer:
    """Scores models on the dev items in a random order, which is the same for all.

    Args:
        exam: the items and how they are scored.
        engine: with the base.
        scoring: the answer format.
        seed: of the order.
    """

    def __init__(self, exam: Exam, engine: TransformersEngine, scoring: Scoring, seed: int) -> None:
        self._exam, self._engine, self._scoring = exam, engine, scoring
        self._items = random.Random(seed).sample(exam.items, len(exam.items))

    def __call__(self, patch: Patch, numbers: range) -> list[Answer]:
        """The answers of the base with a change to these items."""
        self._engine.load(patch)
        task, metric = self._exam.task, self._exam.metric
        items = self._items[numbers.start : numbers.stop]
        utility = metric.build(items, self._scoring, self._engine.chat, task.prompt)
        score = utility(self._engine)
        margins = score.margins or [()] * len(items)
        rows = zip(items, score.per_item, margins, strict=True)
        return [
            Answer(value, right(item, others, self._scoring) if others else value)
            for item, value, others in rows
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
        **task_settings([config.task]),
        out=None if alone else "runs/found",
        metrics=metrics,
        **changed(others),
    )
