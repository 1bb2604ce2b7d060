"""Score one model on one task: what a user names is found, opened and scored."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pyswarmopt_llm.common.config import (
    PROMPTS,
    TRANSFORMERS,
    SearchConfig,
    for_all_tasks,
    is_server,
)
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.http import server_url
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.mix import is_whole_model, saved_kind
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.metrics.external.permission import LM_EVAL, metric_of
from pyswarmopt_llm.scores.metrics.objectives import harness_task, scorings_of
from pyswarmopt_llm.scores.metrics.questions.answer_format import (
    choose_scoring,
    possible_scorings,
    trial_of,
)
from pyswarmopt_llm.scores.metrics.questions.context_window import check_window
from pyswarmopt_llm.scores.metrics.questions.sampling import Sampling
from pyswarmopt_llm.scores.metrics.registry import (
    Metric,
    find_metric,
    longest_reply,
    metric_given,
)
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task
from pyswarmopt_llm.scores.tasks.load import load_task_of
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import About, read_about, result_of
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig

OnItems = Callable[[int, int], None]  # items scored, of how many
# Settings of a run that an evaluation of it takes where it has none.
_AS_STORED = (
    *(
        "system",
        "thinking",
        "columns",
        "split_seed",
        "skip_bad_rows",
        "dev",
        "test",
        "allow_overlap",
    ),
    "max_new_tokens",
)
Model = tuple[str, str | None]  # a base and an adapter of it; a whole model and None


@dataclass(frozen=True)
class EvalResult:
    """The result of `evaluate_model`.

    Example:
        >>> result = evaluate_model("my/base", None, "questions.json")  # doctest: +SKIP
        >>> result.score.value, result.interval, result.n  # doctest: +SKIP
        (0.5, (0.19, 0.81), 6)
    """

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
            return self.result(utility(engine), how)

    def result(self, score: Score, scoring: str, wins: bool = False) -> EvalResult:
        """A score with its interval; `wins`: it is the share of wins by the metric."""
        scale = (0.0, 1.0) if wins else self.metric.scale
        name = f"wins by {self.metric.name}" if wins else self.metric.name
        ends = interval(score.per_item, scale=scale)
        return EvalResult(self.task.name, score, ends, scoring, name, self.task.note)


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
            "task", config.task, "only the harness knows its examples; use a task file"
        )
    _check_names(config)
    return load_task_of(config, config.task)


def _check_names(config: EvalConfig) -> None:
    """Refuse a split or a scoring that does not exist, before anything is loaded."""
    if config.split not in ("dev", "test"):
        raise unknown("split", config.split, ("dev", "test"))
    possible_scorings(config.scoring, ())


def _evaluate_harness(config: EvalConfig) -> EvalResult:
    _check_names(config)
    if saved_kind(config.base) is not None:
        several = f"the harness scores one model, {config.base} holds several"
        raise InvalidOption("task", config.task, f"{several}; use a task file")
    engine = open_named(config, (config.base, config.adapter))
    harness = harness_task(config.task.removeprefix(LM_EVAL), config.dev, config.test)
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


def model_of(base: str, name: str | None) -> Model:
    """The base and the adapter of an adapter, a run, a whole model, or None, the bare base.

    Raises:
        UserError: a run that has not ended, or no base.
    """
    model: Model = (base, None)
    if name is not None and name not in (BARE, base):
        folder = user_path(name)
        if (folder / "run.json").is_file():
            best, adapter = result_of(folder)
            model = (best, None) if adapter is None else (base or best, adapter)
        else:
            model = (name, None) if is_whole_model(folder) else (base, name)
    if not model[0]:
        why = "missing; name the model that is scored, or a finished run with `run`"
        raise InvalidOption("base", None, why)
    return model


def place_of(engine: str, run: str | Path | None) -> str:
    """The server that runs a model, or ``transformers`` where it runs here.

    Args:
        engine: a server's URL, ``transformers``, or ``auto``: here, but not for a run that searched
            on a server.
        run: that the model is from, if any.

    Raises:
        UserError: none of these, not a run, or the run's server, which only the user names.
    """
    if is_server(engine):
        return server_url(engine)
    if engine not in ("auto", TRANSFORMERS):
        why = f"unknown; use {TRANSFORMERS} or http://HOST:PORT"
        raise InvalidOption("engine", engine, why)
    stored = None if run is None or engine == TRANSFORMERS else read_about(user_path(run)).config
    if stored is not None and stored.served:
        which = f"`engine` {shlex.quote(stored.engine)} to send it your data"
        why = f"searched on a server; add {which}, or `engine` {TRANSFORMERS} to load the base here"
        raise UserError(f"{run}: {why}")
    return TRANSFORMERS


def open_named(config: EvalConfig, model: Model) -> Engine:
    """The engine with a model loaded, here or on a server, as an evaluation says.

    Raises:
        UserError: the model cannot be loaded, or the server does not run it.
    """
    from pyswarmopt_llm.mix.load import open_model, open_served

    base, adapter = model
    place = place_of(config.engine, config.run)
    if not is_server(place):
        machine = (config.dtype, config.device, config.threads)
        engine = open_model(base, adapter, *machine, config.system)
        engine.thinking = config.thinking
        return engine
    # a run knows which adapters the server was started with
    run = _run_of(user_path(adapter)) if config.run is None and adapter else config.run
    if run is None:
        known = SearchConfig(base, () if adapter is None else (adapter,), (), "")
    else:
        known = replace(read_about(user_path(run)).config, base=base)
    here: dict[str, Any] = {"server_folder": config.server_folder, "dtype": config.dtype}
    engine = open_served(replace(known, engine=place, system=config.system, **here), adapter)
    engine.thinking = config.thinking
    return engine


def with_run(config: EvalConfig) -> EvalConfig:
    """The configuration with what it takes from its run: model, task, and how the task is read.

    Raises:
        UserError: not a finished run, it has several tasks, or its configuration names code to run.
    """
    if config.run is None:
        if not config.task:
            why = "missing; name a file or builtin:NAME, or a finished run with `run`"
            raise InvalidOption("task", None, why)
        return config
    run = user_path(config.run)
    about, (base, _) = read_about(run), result_of(run)
    stored = about.config
    filled = replace(
        config,
        base=config.base or stored.base or base,
        adapter=config.adapter or str(run),
        task=specs_of(about).get(config.task, config.task) or _only_task(stored, run),
    )
    if filled.task not in stored.tasks:
        return filled
    metric = config.metric or _only_metric(stored, filled.task, run)
    # Code that the run names, and not the user, is refused: the run may be a stranger's.
    code: dict[str, Any] = {"utilities": (), "workers": "1", "engine": TRANSFORMERS}
    code["tasks"] = () if config.task == filled.task else (filled.task,)
    code["metrics"] = () if config.metric or metric is None else (metric,)
    require(replace(stored, **code), (), run, "")
    return replace(filled, metric=metric, **_reading(stored, filled))


def specs_of(about: About) -> dict[str, str]:
    """The tasks of a run, as they were given, by name."""
    return dict(zip(about.task_names, about.config.tasks, strict=False))


def _only_task(stored: SearchConfig, run: Path) -> str:
    if len(stored.tasks) != 1:
        which = ", ".join(stored.tasks) or "none"
        raise UserError(f"{run}: has {len(stored.tasks)} tasks ({which}); choose one with `task`")
    return stored.tasks[0]


def _only_metric(stored: SearchConfig, task: str, run: Path) -> str | None:
    several = for_all_tasks(stored.metrics)
    if len(several) > 1:
        which = ", ".join(several)
        raise UserError(f"{run}: has {len(several)} metrics ({which}); choose one with `metric`")
    return metric_given(stored.metrics, _name(task))


def _reading(stored: SearchConfig, config: EvalConfig) -> dict[str, Any]:
    """The settings by which the search read and scored the task, where none are given."""
    values = {name: getattr(config, name) or getattr(stored, name) for name in _AS_STORED}
    values["test"] = values["test"] or None  # a search may leave test out
    several = for_all_tasks(stored.metrics)
    if config.metric in several and values["max_new_tokens"] is None:
        values["max_new_tokens"] = longest_reply(several)
    values["template"] = config.template or _templates(stored, config.task)
    for name in ("scoring", "dtype"):
        values[name] = getattr(stored if getattr(config, name) == "auto" else config, name)
    if stored.temperature and not config.temperature and config.against is None:
        values |= {name: getattr(stored, name) for name in ("temperature", "samples", "seed")}
    return values


def _name(task: str) -> str:
    """The name of a file's task."""
    return Path(task.removeprefix(PROMPTS)).stem


def _templates(stored: SearchConfig, task: str) -> tuple[str, ...]:
    """The run's templates, without those for its other tasks."""
    others = tuple(f"{_name(other)}=" for other in stored.tasks if other != task)
    return tuple(text for text in stored.template if not text.startswith(others))


def run_scoring(best: Path, task: str) -> str | None:
    """The scoring that the search which wrote ``RUN/best`` used for a task; None if unknown.

    A search tries letters on several experts. The adapter alone may decide otherwise by chance, and
    its score would not be that of ``result.json``.
    """
    run = _run_of(best)
    if run is None:
        return None
    try:
        about, result = read_about(run), read_result(run)
    except UserError:  # not a run, or damaged: the trial decides
        return None
    if result is None or task not in about.task_names or task not in result.objectives:
        return None
    return result.objectives[task].answer_format


def _run_of(best: Path) -> Path | None:
    """The run whose result a directory is; None where it is none."""
    run = best.resolve().parent
    return run if best.name == "best" and (run / "run.json").is_file() else None
