"""The examples that models are scored on, the metric, and the score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from pyswarmopt_llm.common.config import LM_EVAL
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.scores.by_label import LabelErrors, errors_by_label
from pyswarmopt_llm.scores.metrics.accuracy import choose_scoring, trial_of
from pyswarmopt_llm.scores.metrics.by_name import find_metric, metric_of, up_to
from pyswarmopt_llm.scores.metrics.metric import Metric
from pyswarmopt_llm.scores.metrics.objectives import check_answers, check_window, scorings_of
from pyswarmopt_llm.scores.metrics.written import Sampling
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.load import load_task_of
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import read_about
from pyswarmopt_llm.searching.use.config import EvalConfig, OnItems
from pyswarmopt_llm.searching.use.from_run import is_changed
from pyswarmopt_llm.searching.use.opening import run_of


@dataclass(frozen=True)
class EvalResult:
    """The result of `evaluate`.

    Example:
        >>> result = sl.evaluate("my/base", None, "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.5, (0.19, 0.81), 6)
    """

    task: str  # name of the metric
    score: Score  # value, item scores, standard error
    interval: tuple[float, float]  # 95% interval of the value
    scoring: str  # answer format
    metric: str = "accuracy"
    note: str = ""  # how the items were drawn, if the file has no split (`Task.note`)
    by_label: LabelErrors | None = None  # errors, for accuracy where all items share their labels

    @property
    def n(self) -> int:
        """Number of items."""
        return self.score.n


@dataclass(frozen=True)
class Exam:
    """The items that models are scored on, and the metric.

    Attributes:
        task: task with the items.
        split: split of the task.
        metric: metric, checked against the items.
    """

    task: Task
    split: str
    metric: Metric

    @classmethod
    def of(cls, config: EvalConfig) -> Self:
        """The examination that a configuration describes.

        Raises:
            UserError: a fault of the task or the metric.
        """
        task = load_items(config)
        metric = find_metric(
            config.metric or metric_of(task), device=str(pick_device(config.device))
        )
        metric = up_to(
            metric,
            config.max_new_tokens,
            Sampling.of(config.temperature, config.samples, config.seed),
        )
        _check_answers(config, task, metric)
        metric.check(task.split(config.split), f"{task.source}: {config.split}")
        return cls(_noted(task, _of_another_score(config, task, metric)), config.split, metric)

    @property
    def items(self) -> Sequence[Item]:
        """Items of the split."""
        return self.task.split(self.split)

    def check(self, engine: Engine, scoring: str) -> None:
        """Refuse items that do not fit the engine's context window."""
        check_window(self.task, scoring, engine, (self.split,), self.metric)

    def format(self, engine: Engine, scoring: str = "auto") -> Scoring:
        """The answer format of the loaded model; ``auto`` means letters if the model knows them
        (`knows_letters`).

        Raises:
            UserError: an item does not fit the engine's context window.
        """
        self.check(engine, scoring)
        possible = scorings_of(self.metric, scoring, self.task)
        return choose_scoring(
            possible, self.task.dev, lambda: [trial_of(self.task, engine.chat)(engine)]
        )

    def score(
        self, engine: Engine, scoring: str = "auto", on_items: OnItems | None = None
    ) -> EvalResult:
        """Score the loaded model in its answer format."""
        how = self.format(engine, scoring)
        with followed(engine, len(self.items), on_items):
            return self.result(self.metric(engine, self.items, how, self.task.prompt), how)

    def result(self, score: Score, scoring: str, wins: bool = False) -> EvalResult:
        """A score with its interval; `wins`: the score is a share of wins."""
        scale = (0.0, 1.0) if wins else self.metric.scale
        name = f"wins by {self.metric.name}" if wins else self.metric.name
        ends = interval(score.per_item, scale=scale, questions=repeated(self.items))
        errors = errors_by_label(self.items, score.answers) if name == "accuracy" else None
        return EvalResult(self.task.name, score, ends, scoring, name, self.task.note, errors)


@contextmanager
def followed(engine: Engine, items: int, on_items: OnItems | None) -> Iterator[None]:
    """Report the scored items as the engine reads its batches."""
    latest = 0

    def tell(done: int, texts: int) -> None:
        nonlocal latest
        if on_items is not None and items * done // texts > latest:
            latest = items * done // texts
            on_items(latest, items)

    engine.progress = tell
    try:
        yield
    finally:
        engine.progress = None


def load_items(config: EvalConfig) -> Task:
    """The task, read as configured.

    Raises:
        UserError: the task cannot be read, or has no items of its own.
    """
    if config.task.startswith(LM_EVAL):
        raise InvalidOption(
            "task", config.task, "only the harness knows its examples; use a task file"
        )
    check_options(config)
    task = load_task_of(config, config.task)
    why = ""
    if config.run is not None and is_changed(read_about(user_path(config.run)), config.task):
        why = f"{task.source} changed since the search: the examples may be among those that it saw"
    return _noted(task, why, _of_training(config, task))


def _check_answers(config: EvalConfig, task: Task, metric: Metric) -> None:
    """Refuse scoring or thinking without effect; a run's settings may be for its other tasks."""
    scoring = config.scoring
    thinking = config.thinking
    if config.run is not None:
        stored = read_about(user_path(config.run)).config
        scoring = "auto" if scoring == stored.scoring else scoring
        thinking = 0 if thinking == stored.thinking else thinking
    check_answers(scoring, thinking, {task.name: task}, {task.name: metric})


def _noted(task: Task, *notes: str) -> Task:
    """The task with further notes; empty ones are skipped."""
    return replace(task, note="; ".join(filter(None, (task.note, *notes))))


def _of_training(config: EvalConfig, task: Task) -> str:
    """A note that the result was trained on the scored items, with its cross-fitted score; "" if it
    was not.
    """
    if config.split != "dev":
        return ""
    for folder in map(user_path, filter(None, (config.adapter, config.against, config.base))):
        run = folder if (folder / "run.json").is_file() else run_of(folder)
        result = None if run is None else read_result(run)
        if result is not None and result.best.trained and task.name in result.best.dev.tasks:
            known = result.best.dev.tasks[task.name].value
            return f"{folder} was trained on these dev examples; cross-fitted it has {known:.3f}"
    return ""


def _of_another_score(config: EvalConfig, task: Task, metric: Metric) -> str:
    """A note that the search used another metric, or another version of it; "" if it did not."""
    prints = {} if config.run is None else read_about(user_path(config.run)).fingerprints
    before = prints.get("metrics", {}).get(task.name, metric.identity)
    if before == metric.identity:
        return ""
    name = before.partition(" ")[0]
    if name != metric.name.partition(" ")[0]:
        return f"the search scored {task.name} by {name}"
    return f"{name} is not what it was in the search: another judge, model or rubric"
