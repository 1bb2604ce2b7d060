"""The score of one model on a task's examples; or of two, with the first's gains and losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.config import LM_EVAL
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score, Utility
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.paired import (
    PairedComparison,
    compare_paired,
    compare_whole,
    without_rounding,
)
from pyswarmopt_llm.common.statistics import Ends, assumed_scale, interval, score_interval
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.mix.load import adapter_patch, format_of
from pyswarmopt_llm.run.result import read_result
from pyswarmopt_llm.scores.by_label import LabelErrors, errors_by_label
from pyswarmopt_llm.scores.metrics.accuracy import choose_answer_format, trial_of
from pyswarmopt_llm.scores.metrics.by_name import find_metric, metric_of
from pyswarmopt_llm.scores.metrics.metric import Metric, Written
from pyswarmopt_llm.scores.metrics.objectives import answer_formats_of, check_answers, check_window
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, Task
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.load import load_task_of
from pyswarmopt_llm.scores.tasks.stated import without_thoughts
from pyswarmopt_llm.use.config import EvalConfig, OnItems
from pyswarmopt_llm.use.opening import (
    NOT_OF_HARNESS,
    Model,
    answer_format_of_run,
    check_unchanged,
    model_of,
    open_model,
    run_of,
    with_run,
)


@dataclass(frozen=True)
class EvalResult:
    """The result of `evaluate`.

    Example:
        >>> result = sl.evaluate("my/base", None, "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.5, (0.19, 0.81), 6)
    """

    task: str  # its name
    score: Score  # value, item scores, standard error
    interval: tuple[float, float] | None  # 95% interval of the value, if it is known
    scoring: str  # answer format
    metric: str = "accuracy"
    note: str = ""  # how the items were drawn, if the file has no split (`Task.note`)
    by_label: LabelErrors | None = None  # errors, for accuracy where all items share their labels
    lower: bool = False  # whether lower is better; `score` and `interval` then have the other sign
    unit: str = ""  # unit of the score

    @property
    def shown(self) -> tuple[float, Ends | None]:
        """The value and its interval, as people read them."""
        if not self.lower:
            return self.score.value, self.interval
        ends = self.interval and (max(0.0, -self.interval[1]), max(0.0, -self.interval[0]))
        return -self.score.value + 0.0, ends

    @property
    def n(self) -> int:
        """Number of items."""
        return self.score.n


class Exam:
    """Models that take turns on one engine, and the items that they are scored on.

    Args:
        config: the items, and how models are prompted.
        models: the models.
        metric: the metric; None: the configuration's.
        on_items: called with the number of items done so far by a model, and the total.

    Attributes:
        task: task with the items.
        items: items of the split.
        metric: metric, checked against the items.

    Raises:
        UserError: a fault in the task or the metric, or an adapter that does not fit.
    """

    def __init__(
        self,
        config: EvalConfig,
        models: Sequence[Model],
        metric: Metric | None = None,
        on_items: OnItems | None = None,
    ) -> None:
        self._config = config
        self._on_items = on_items
        self._models = list(models)
        self._formats = formats_of(config, models)
        self._patches: list[Patch] = []
        for model, name in zip(models, self._formats, strict=True):
            check_unchanged(model)
            form = format_of(name)
            base, adapter = model
            if adapter is None:
                self._patches.append(Patch(format=form))
            else:
                self._patches.append(adapter_patch(base, adapter, form))
        check_options(config)
        task = load_task_of(config, config.task)
        notes = filter(None, (task.note, *_of_training(config, models, task)))
        self.task = replace(task, note="; ".join(notes))
        self.items = task.split(config.split)
        self.metric = metric or _metric_of(config, task)
        self._base = ""
        self._engine: Engine | None = None

    def engine(self, number: int) -> Engine:
        """The engine with the model of this number loaded; it is reopened if the base differs."""
        model = self._models[number]
        base, _ = model
        if self._engine is not None and self._base == base:
            self._engine.load(self._patches[number])
        else:
            self._engine = None  # two bases may not fit into memory together
            config = replace(self._config, quantize=self._formats[number])
            self._engine = open_model(model, config)
            self._base = base
        return self._engine

    def answer_format(self) -> AnswerFormat:
        """One answer format for all models: that of a run's result among them, or chosen by a trial
        of all.
        """
        task = self.task
        scoring = self._config.scoring
        for run in filter(None, map(run_of, self._models)):
            if scoring == "auto":
                scoring = answer_format_of_run(run, task.name, self.metric.name) or scoring
        possible = answer_formats_of(self.metric, scoring, task)
        scores: list[Score] = []
        if len(possible) > 1:
            for number in reversed(range(len(self._models))):  # the first is scored next
                engine = self.engine(number)
                scores.append(trial_of(task, engine.chat)(engine))
        return choose_answer_format(possible, task.dev, scores)

    def replies(self, number: int) -> list[str]:
        """A model's replies, for a metric of written ones, without thoughts."""
        utility, engine = self._asked(number, "generate")
        return list(map(without_thoughts, cast(Written, utility).answers(engine)))

    def _asked(self, number: int, answer_format: AnswerFormat) -> tuple[Utility, Engine]:
        """The metric on the items and the engine, which reports the items as it reads batches."""
        engine = self.engine(number)
        check_window(self.task, answer_format, engine, (self._config.split,), self.metric)
        count = len(self.items)
        on_items = self._on_items
        if on_items is not None:  # not a method: an engine that refers to the exam would outlive it
            engine.progress = lambda done, texts: on_items(count * done // texts, count)
        return self.metric.on(self.items, answer_format, engine.chat, self.task.prompt), engine

    def results(self) -> list[EvalResult]:
        """The scores of the models, in one answer format."""
        answer_format = self.answer_format()
        return [self._result(number, answer_format) for number in range(len(self._models))]

    def _result(self, number: int, answer_format: AnswerFormat) -> EvalResult:
        """The score of a model with its interval."""
        utility, engine = self._asked(number, answer_format)
        score = utility(engine)
        metric = self.metric.name
        ends = score_interval(score, self.metric.scale, repeated(self.items))
        errors = None
        if metric == "accuracy":
            errors = errors_by_label(self.items, score.answers)
        return EvalResult(
            task=self.task.name,
            score=score,
            interval=ends,
            scoring=answer_format,
            metric=metric,
            note=self.task.note,
            by_label=errors,
            lower=self.metric.lower,
            unit=self.metric.unit,
        )


def formats_of(config: EvalConfig, models: Sequence[Model]) -> list[str | None]:
    """The format of each model: the configuration's, but a model that is compared with itself is the second
    time not rounded, which shows what its format costs.
    """
    first, *others = models
    return [config.quantize, *(None if one == first else config.quantize for one in others)]


def _metric_of(config: EvalConfig, task: Task) -> Metric:
    """The metric, checked against the items."""
    device = str(pick_device(config.device))
    metric = find_metric(config.metric or metric_of(task), None, device, config.max_new_tokens)
    if config.run is None:  # a run's settings may be for its other tasks
        check_answers(config.scoring, config.thinking, {"": task}, {"": metric})
    metric.check(task.split(config.split), f"{task.source}: {config.split}")
    return metric


def _of_training(config: EvalConfig, models: Sequence[Model], task: Task) -> Iterator[str]:
    """A note that a result was trained on the scored items."""
    for run in filter(None, map(run_of, models)):
        result = read_result(run)
        trained = result is not None and result.best.trained and task.name in result.objectives
        if trained and config.split == "dev":
            yield f"{run} was trained on these dev examples; its report has the cross-fitted score"


def evaluate_model(
    base: str,
    adapter: str | None,
    task: str,
    split: str = "test",
    *,
    on_items: OnItems | None = None,
    **options: Any,
) -> EvalResult:
    """Score `adapter` (or the bare base) on a split, merged as a search merges candidates.

    Args:
        base: base model; may be empty for a run or a whole model.
        adapter: an adapter, a finished run, a whole model, or None.
        task: task file, or another spec of `load_task`.
        split: ``dev`` or ``test``.
        on_items: called with the number of items scored so far, and the total.
        **options: further fields of `EvalConfig`: ``scoring``, ``metric``, ``dev``, ``dtype``, ...

    Returns:
        The score with its 95% interval, the items' values, and how they were scored.

    Raises:
        UserError: the input is invalid; the message is one line.

    Example:
        >>> result = evaluate_model("my/base", "runs/first", "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.62, (0.55, 0.69), 200)
    """
    config = EvalConfig(base, task, adapter, split=split, **options)
    return evaluate(with_run(config), on_items)


def evaluate(config: EvalConfig, on_items: OnItems | None = None) -> EvalResult:
    """The score of one model, in its run's answer format; see `evaluate_model`."""
    model = model_of(config.base, config.adapter)
    if config.task.startswith(LM_EVAL):
        return _evaluate_harness(config, model)
    (result,) = Exam(config, [model], on_items=on_items).results()
    return result


def _evaluate_harness(config: EvalConfig, model: Model) -> EvalResult:
    check_options(config)
    for name in NOT_OF_HARNESS:
        if getattr(config, name) != getattr(EvalConfig, name):
            why = ": the harness reads and scores its tasks itself; remove this option"
            raise InvalidOption(name, getattr(config, name), why)
    if saved_kind(model[0]) is not None:
        why = f": the harness scores one model, but {model[0]} contains several; use a task file"
        raise InvalidOption("task", config.task, why)
    from pyswarmopt_llm.published.lm_eval import LmEvalTask

    harness = LmEvalTask(config.task.removeprefix(LM_EVAL), config.dev, config.test)
    scored = harness(open_model(model, config), config.split)
    return EvalResult(
        task=harness.name,
        score=scored,
        interval=interval(scored.per_item),
        scoring="own",
        metric="lm-eval",
    )


@dataclass(frozen=True)
class Wins:
    """How often the first of two models has the better score.

    Attributes:
        won, tied, lost: numbers of items.
        rate: share of items won; ties count as half.
        interval: its 95% interval.
    """

    won: int
    tied: int
    lost: int
    rate: float
    interval: tuple[float, float]


def wins_of(gains: Floats, questions: Sequence[int]) -> Wins:
    """The wins of one model over another.

    Args:
        gains: first minus second, per item.
        questions: question number of each item; empty: all differ.

    Example:
        >>> wins = wins_of(np.array([0.5, 0.0, -2.0, 1.0]), [])
        >>> wins.won, wins.tied, wins.lost, wins.rate
        (2, 1, 1, 0.625)
    """
    signs = np.sign(gains)
    halves = ((signs + 1) / 2).tolist()
    won, tied, lost = (int((signs == sign).sum()) for sign in (1, 0, -1))
    ends = interval(halves, (0.0, 1.0), questions)
    return Wins(won, tied, lost, float(np.mean(halves)), ends)


@dataclass(frozen=True)
class Against:
    """The result of `evaluate_against`: a model compared with another.

    Attributes:
        names: names of the models.
        models: base and adapter of each.
        results: their scores.
        paired: the first minus the second, item by item, or on samples of the items; None if their
            score of all items together was not resampled.
        wins: the first model's wins by item; None if items have no scores.
        gained, lost: items on which the first model is better or worse, largest differences first:
            each with its ``id``, ``question``, ``right`` answer, the models' ``values`` and, in
            words, their ``answers``, None for metrics without answers.
    """

    names: tuple[str, str]
    models: Sequence[Model]
    results: Sequence[EvalResult]
    paired: PairedComparison | None
    wins: Wins | None
    gained: Sequence[dict[str, Any]]
    lost: Sequence[dict[str, Any]]


def evaluate_against(config: EvalConfig, on_items: OnItems | None = None) -> Against:
    """Score two models on the same items in the same answer format.

    `on_items` receives the number of items scored so far by the first model, then by the second,
    and the total.

    Raises:
        UserError: the input is invalid; the message is one line.
    """
    named = two_models(config)
    ours, theirs = named
    models = list(named.values())
    exam = Exam(config, models, on_items=on_items)
    results = exam.results()
    scores = [result.score for result in results]
    first, second = (score.per_item for score in scores)
    gains = np.empty(0)
    wins = None
    if scores[0].whole:
        paired = compare_whole(scores[0], scores[1])
    else:
        low, high = exam.metric.scale or assumed_scale([*first, *second])
        gains = without_rounding(np.subtract(first, second), high - low)
        paired = compare_paired(first, second, exam.metric.scale, repeated(exam.items))
        wins = wins_of(gains, repeated(exam.items))
    return Against(
        names=(ours, theirs),
        models=models,
        results=results,
        paired=paired,
        wins=wins,
        gained=_changed(exam.items, scores, gains),
        lost=_changed(exam.items, scores, -gains),
    )


def two_models(config: EvalConfig) -> dict[str, Model]:
    """The scored model and the model it is compared with, by their names in words.

    Raises:
        UserError: a model cannot be found, or both are the same and neither is rounded.
    """
    if config.task.startswith(LM_EVAL):
        raise InvalidOption("task", config.task, "has no examples to compare; use a task file")
    models = {}
    for name in (config.adapter, config.against):
        model = model_of(config.base, name)
        if name is None or model == (config.base, None):
            name = "the base"
        models[name] = model
    if len({*models.values()}) < 2 and config.quantize:
        rounded = f"{name} in {config.quantize}"
        return {rounded: model, f"{name} before rounding": model}
    if len({*models.values()}) < 2:
        raise InvalidOption(
            "against", config.against, "is the scored model itself; use a different model"
        )
    return models


def _changed(items: Sequence[Item], scores: Sequence[Score], gains: Floats) -> list[dict[str, Any]]:
    """The items with a gain, largest gains first, then in the file's order."""
    changed: list[dict[str, Any]] = []
    for number in np.argsort(-gains, kind="stable")[: (gains > 0).sum()].tolist():
        item = items[number]
        said = None
        if all(score.answers for score in scores):  # an option's text in place of its letter
            said = [item.in_words(score.answers[number]).strip() for score in scores]
        values = [score.per_item[number] for score in scores]
        row = {"id": item.id, "question": item.question, "right": item.answer_text or None}
        changed.append({**row, "values": values, "answers": said})
    return changed
