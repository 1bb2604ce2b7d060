"""The score of one model on a task's examples; or of two, with the first's gains and losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pyswarmopt_llm.common.config import LM_EVAL
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.statistics import Comparison, compare_paired, interval, same, score_of
from pyswarmopt_llm.engine.chat import use_day
from pyswarmopt_llm.experts.compatibility import unique_names
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.scores.by_label import LabelErrors, errors_by_label
from pyswarmopt_llm.scores.metrics.accuracy import choose_scoring, trial_of
from pyswarmopt_llm.scores.metrics.by_name import find_metric, metric_of, up_to
from pyswarmopt_llm.scores.metrics.metric import Metric, Sampling, Written
from pyswarmopt_llm.scores.metrics.objectives import check_answers, check_window, scorings_of
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.load import load_task_of
from pyswarmopt_llm.scores.tasks.stated import without_thoughts
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import read_about
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig, OnItems
from pyswarmopt_llm.searching.use.opening import (
    NOT_OF_HARNESS,
    Model,
    change_of,
    check_unchanged,
    day_of,
    model_of,
    open_model,
    run_of,
    run_scoring,
)


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
        device = str(pick_device(config.device))
        sampling = Sampling.of(config.temperature, config.samples, config.seed)
        metric = find_metric(config.metric or metric_of(task), device=device)
        metric = up_to(metric, config.max_new_tokens, sampling)
        _check_answers(config, task, metric)
        metric.check(task.split(config.split), f"{task.source}: {config.split}")
        return cls(task, config.split, metric)

    @property
    def items(self) -> Sequence[Item]:
        """Items of the split."""
        return self.task.split(self.split)

    def check(self, engine: Engine, scoring: str) -> None:
        """Refuse items that do not fit the engine's context window."""
        check_window(self.task, scoring, engine, (self.split,), self.metric)

    def score(self, engine: Engine, scoring: str, on_items: OnItems | None) -> EvalResult:
        """Score the loaded model; ``auto`` means letters if the model knows them
        (`knows_letters`).
        """
        self.check(engine, scoring)
        possible = scorings_of(self.metric, scoring, self.task)
        how = choose_scoring(
            possible, self.task.dev, lambda: [trial_of(self.task, engine.chat)(engine)]
        )
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

    def tell(done: int, texts: int) -> None:
        if on_items is not None:
            on_items(items * done // texts, items)

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
    notes = filter(None, (task.note, _of_training(config, task)))
    return replace(task, note="; ".join(notes))


def _check_answers(config: EvalConfig, task: Task, metric: Metric) -> None:
    """Refuse scoring or thinking without effect; a run's settings may be for its other tasks."""
    scoring = config.scoring
    thinking = config.thinking
    if config.run is not None:
        stored = read_about(user_path(config.run)).config
        scoring = "auto" if scoring == stored.scoring else scoring
        thinking = 0 if thinking == stored.thinking else thinking
    check_answers(scoring, thinking, {task.name: task}, {task.name: metric})


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
        UserError: bad input, in one line.

    Example:
        >>> result = evaluate_model("my/base", "runs/first", "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.62, (0.55, 0.69), 200)
    """
    return evaluate(EvalConfig(base, task, adapter, split=split, **options), on_items)


def evaluate(config: EvalConfig, on_items: OnItems | None = None) -> EvalResult:
    """The score of one model, in its run's answer format; see `evaluate_model`."""
    model = model_of(config.base, config.adapter)
    if config.task.startswith(LM_EVAL):
        return _evaluate_harness(config, model)
    exam = Exam.of(config)
    engine = _opened(config, model)
    base, adapter = model
    scoring = config.scoring
    if scoring == "auto" and config.metric is None:
        scoring = run_scoring(user_path(adapter or base), exam.task.name) or scoring
    return exam.score(engine, scoring, on_items)


def _opened(config: EvalConfig, model: Model) -> Engine:
    """Open a model as the configuration says."""
    return open_model(
        model, config.machine, run=config.run, system=config.system, thinking=config.thinking
    )


def _evaluate_harness(config: EvalConfig, model: Model) -> EvalResult:
    check_options(config)
    for name in NOT_OF_HARNESS:
        if getattr(config, name) != getattr(EvalConfig, name):
            why = "the harness reads and scores its tasks itself; remove it"
            raise InvalidOption(name, getattr(config, name), why)
    if saved_kind(model[0]) is not None:
        several = f"the harness scores one model, {model[0]} holds several"
        raise InvalidOption("task", config.task, f"{several}; use a task file")
    from pyswarmopt_llm.published.lm_eval import LmEvalTask

    engine = _opened(config, model)
    harness = LmEvalTask(config.task.removeprefix(LM_EVAL), config.dev, config.test)
    scored = harness(engine, config.split)
    return EvalResult(harness.name, scored, interval(scored.per_item), "own", "lm-eval")


@dataclass(frozen=True)
class Against:
    """The result of `evaluate_against`: a model compared with another.

    Attributes:
        names: names of the models.
        models: base and adapter of each.
        results: their scores.
        paired: the first minus the second, item by item.
        gained, lost: items on which the first model is better or worse, largest differences first:
            each with its ``id``, ``question``, ``right`` answer, the models' ``values`` and, in
            words, their ``answers``, None for metrics without answers.
    """

    names: tuple[str, str]
    models: tuple[Model, Model]
    results: tuple[EvalResult, EvalResult]
    paired: Comparison
    gained: Sequence[dict[str, Any]]
    lost: Sequence[dict[str, Any]]


def evaluate_against(config: EvalConfig, on_items: OnItems | None = None) -> Against:
    """Score two models on the same items in the same answer format.

    A judge sees both answers, in both orders; a model's score is then its share of wins. `on_items`
    receives the number of items scored so far by the first model, then by the second, and the
    total.

    Raises:
        UserError: bad input, in one line.
    """
    models = two_models(config)
    exam = Exam.of(config)
    turns = Turns(config, models)
    scoring = _scoring(config, models, exam, turns)
    compare = exam.metric.compare
    scores: list[Score] = []
    answers: list[Sequence[str]] = []
    for model in models:
        engine = turns.engine(model)
        exam.check(engine, scoring)
        utility = exam.metric.on(exam.items, scoring, engine.chat, exam.task.prompt)
        with followed(engine, len(exam.items), on_items):
            if compare is not None and isinstance(utility, Written):
                answers.append([*map(without_thoughts, utility.answers(engine))])
            else:
                scores.append(utility(engine))
                answers.append(scores[-1].answers)
    scale = exam.metric.scale
    if compare is not None:  # shares of wins; a tie is half a win
        rate = compare(exam.items, *answers)
        scores = [rate, score_of([1.0 - value for value in rate.per_item])]
        scale = (0.0, 1.0)
    ours, theirs = scores
    changed = _changed(exam.items, ours.per_item, theirs.per_item, answers)
    return Against(
        names=names_in_words(config),
        models=models,
        results=(
            exam.result(ours, scoring, compare is not None),
            exam.result(theirs, scoring, compare is not None),
        ),
        paired=compare_paired(ours.per_item, theirs.per_item, scale, repeated(exam.items)),
        gained=[row for row in changed if row["values"][0] > row["values"][1]],
        lost=[row for row in changed if row["values"][0] < row["values"][1]],
    )


def two_models(config: EvalConfig) -> tuple[Model, Model]:
    """The scored model, and the model it is compared with.

    Raises:
        UserError: a model cannot be found, both are the same, or replies would be sampled.
    """
    if config.temperature:
        why = "is for the score of one model, not with `against`; remove it"
        raise InvalidOption("temperature", config.temperature, why)
    model = model_of(config.base, config.adapter)
    other = model_of(config.base, config.against)
    if model == other:
        raise InvalidOption(
            "against", config.against, "is the model that is scored itself; name another"
        )
    return model, other


class Turns:
    """Models that take turns on one engine; it is reopened if their bases differ."""

    def __init__(self, config: EvalConfig, models: Sequence[Model]) -> None:
        self._config = config
        # Checked before a base is loaded, so that an adapter that does not fit fails at once.
        for model in models:
            check_unchanged(model)
        self._patches = {model: change_of(model) for model in models}
        self._loaded: tuple[str, Engine] | None = None
        self._day = day_of(config.run, *models)

    def engine(self, model: Model) -> Engine:
        """The engine with this model loaded."""
        base, _ = model
        if self._loaded is None or self._loaded[0] != base:
            self._loaded = None  # two bases may not fit into memory together
            self._loaded = base, _opened(self._config, (base, None))
        _, engine = self._loaded
        if self._day is not None:
            use_day(engine, self._day)
        engine.load(self._patches[model])
        return engine


def _scoring(config: EvalConfig, models: Sequence[Model], exam: Exam, turns: Turns) -> Scoring:
    """One answer format for both models: that of a run's result among them, else chosen by a trial
    of both.
    """
    task = exam.task
    scoring = config.scoring
    for base, adapter in models:
        if scoring == "auto":
            scoring = run_scoring(user_path(adapter or base), task.name) or scoring

    def letters() -> list[Score]:
        engines = (turns.engine(model) for model in reversed(models))  # the first is scored next
        return [trial_of(task, engine.chat)(engine) for engine in engines]

    return choose_scoring(scorings_of(exam.metric, scoring, task), task.dev, letters)


def _changed(
    items: Sequence[Item],
    first: Sequence[float],
    second: Sequence[float],
    answers: Sequence[Sequence[str]],
) -> list[dict[str, Any]]:
    """The items on which the models differ, largest differences first, then in the file's order."""
    changed: list[dict[str, Any]] = []
    for number, (item, *values) in enumerate(zip(items, first, second, strict=True)):
        if same(*values):
            continue
        said = None
        if all(answers):  # an option's text in place of its letter
            said = [item.in_words(texts[number]).strip() for texts in answers]
        row = {"id": item.id, "question": item.question, "right": item.answer_text or None}
        changed.append({**row, "values": values, "answers": said})
    return sorted(changed, key=lambda row: -abs(row["values"][0] - row["values"][1]))


def names_in_words(config: EvalConfig) -> tuple[str, str]:
    """Short names of the models: the last parts of their paths, or "the base"."""
    names = [name or BARE for name in (config.adapter, config.against)]
    short = unique_names([Path(n).parent if Path(n).name == "best" else n for n in names])
    for number, name in enumerate(names):
        if model_of(config.base, name) == (config.base, None):
            short[number] = "the base"
    return short[0], short[1]
