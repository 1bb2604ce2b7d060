"""Score one model on one task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.scores.metrics.external.permission import LM_EVAL, metric_of
from pyswarmopt_llm.scores.metrics.objectives import scorings_of
from pyswarmopt_llm.scores.metrics.questions.answer_format import (
    choose_scoring,
    possible_scorings,
    trial_of,
)
from pyswarmopt_llm.scores.metrics.questions.context_window import check_window
from pyswarmopt_llm.scores.metrics.questions.sampling import Sampling
from pyswarmopt_llm.scores.metrics.registry import Metric, find_metric
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.load import load_task_of
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.names import model_of, open_named, run_scoring

OnItems = Callable[[int, int], None]  # items scored, of how many


@dataclass(frozen=True)
class EvalResult:
    """The result of `evaluate_model`."""

    task: str  # its name
    score: Score  # value, per item, standard error
    interval: tuple[float, float]  # 95% interval of the value
    scoring: str  # the answer format
    metric: str = "accuracy"
    note: str = ""  # how the items were drawn, if the file has no split (`Task.note`)

    @property
    def n(self) -> int:
        """Number of items."""
        return self.score.n


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
        base: the base; may be empty for a run or a whole model.
        adapter: an adapter, a finished run, a whole model, or None.
        task: file, or another spec of `load_task`.
        split: ``dev`` or ``test``.
        on_items: receives the number of items scored so far, and of all.
        **options: further fields of `EvalConfig`: ``scoring``, ``metric``, ``dev``, ``dtype``, ...

    Returns:
        The score with its 95% interval, the values of the items, and how they were scored.

    Raises:
        UserError: whatever is wrong with the input, in one line.

    Example:
        >>> result = evaluate_model("my/base", "runs/first", "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.62, (0.55, 0.69), 200)
    """
    return evaluate(EvalConfig(base, task, adapter, split=split, **options), on_items)


def evaluate(config: EvalConfig, on_items: OnItems | None = None) -> EvalResult:
    """The score of one model; see `evaluate_model`."""
    base, adapter = model_of(config.base, config.adapter)
    config = replace(config, base=base, adapter=adapter)
    if config.task.startswith(LM_EVAL):
        return _evaluate_harness(config)
    return open_and_score(config, Exam.of(config), on_items)[1]


@dataclass(frozen=True)
class Exam:
    """The items that models are scored on, and how.

    Attributes:
        task: has the items.
        split: of the task.
        metric: checked against the items.
    """

    task: Task
    split: str
    metric: Metric

    @classmethod
    def of(cls, config: EvalConfig) -> Self:
        """The one that a configuration describes.

        Raises:
            UserError: whatever is wrong with the task or the metric.
        """
        task = load_items(config)
        metric = find_metric(
            config.metric or metric_of(task), device=str(pick_device(config.device))
        )
        metric = metric.up_to(
            config.max_new_tokens, Sampling.of(config.temperature, config.samples, config.seed)
        )
        metric.check(task.split(config.split), f"{task.source}: {config.split}")
        return cls(task, config.split, metric)

    @property
    def items(self) -> Sequence[Item]:
        """Items of the split."""
        return self.task.split(self.split)

    def check(self, engine: Engine, scoring: str) -> None:
        """Refuse items that do not fit the engine's context window."""
        check_window(self.task, scoring, engine, (self.split,), self.metric)

    def format(self, engine: Engine, scoring: str = "auto") -> Scoring:
        """The answer format of the loaded model; ``auto`` is letters if it knows them
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
        """Score the loaded model in its `format`."""
        how = self.format(engine, scoring)
        utility = self.metric.build(self.items, how, engine.chat, self.task.prompt)
        with followed(engine, len(self.items), on_items):
            scored = utility(engine)
        return EvalResult(
            self.task.name,
            scored,
            interval(scored.per_item, scale=self.metric.scale),
            how,
            self.metric.name,
            self.task.note,
        )


def open_and_score(
    config: EvalConfig, exam: Exam, on_items: OnItems | None
) -> tuple[Engine, EvalResult]:
    """The engine of the configured model, and its score in the answer format of its run."""
    engine = open_named(config, (config.base, config.adapter))
    scoring = config.scoring
    if scoring == "auto" and config.metric is None:
        scoring = run_scoring(user_path(config.adapter or config.base), exam.task.name) or scoring
    return engine, exam.score(engine, scoring, on_items)


def load_items(config: EvalConfig) -> Task:
    """The task, read as the configuration says.

    Raises:
        UserError: it cannot be read, or has no items of its own.
    """
    if config.task.startswith(LM_EVAL):
        raise InvalidOption(
            "task", config.task, "only the harness knows its items; use a task file"
        )
    _check_names(config)
    return load_task_of(config, config.task)


def _check_names(config: EvalConfig) -> None:
    """Refuse a split or a scoring that does not exist, before anything is loaded."""
    if config.split not in ("dev", "test"):
        raise unknown("split", config.split, ("dev", "test"))
    possible_scorings(config.scoring, ())


def _evaluate_harness(config: EvalConfig) -> EvalResult:
    from pyswarmopt_llm.scores.metrics.external.lm_eval import LmEvalTask

    _check_names(config)
    if saved_kind(config.base) is not None:
        several = f"the harness scores one model, {config.base} holds several"
        raise InvalidOption("task", config.task, f"{several}; use a task file")
    engine = open_named(config, (config.base, config.adapter))
    harness = LmEvalTask(config.task.removeprefix(LM_EVAL), config.dev, config.test)
    scored = harness(engine, config.split)
    return EvalResult(harness.name, scored, interval(scored.per_item), "own", "lm-eval")


@contextmanager
def followed(engine: Engine, items: int, on_items: OnItems | None) -> Iterator[None]:
    """Tell of the items that are scored, as the engine reads its batches."""
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
