"""The objectives of a search (tasks with metrics, harness tasks) and their combination.

Metrics other than accuracy are in `by_name`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import DRIFT, LM_EVAL, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import digest, user_path
from pyswarmopt_llm.common.interfaces import Engine, Utility
from pyswarmopt_llm.engine.chat import needed_tokens
from pyswarmopt_llm.scores.metrics.accuracy import possible_answer_formats
from pyswarmopt_llm.scores.metrics.combine import FIRST, Combine, find_combine
from pyswarmopt_llm.scores.metrics.metric import ACCURACY, Metric
from pyswarmopt_llm.scores.tasks.items import repeated
from pyswarmopt_llm.scores.tasks.load import load_task_of
from pyswarmopt_llm.scores.tasks.rows import LEAST_ROWS
from pyswarmopt_llm.scores.tasks.templates import prompted
from pyswarmopt_llm.scores.tasks.types import SPLITS, AnswerFormat, Task, per_task


@dataclass(frozen=True)
class Objectives:
    """The objectives of one search.

    Attributes:
        tasks: name -> task; several scores of one task have names of their own.
        metrics: the same names -> metric.
        externals: name -> task of lm-evaluation-harness, which has no items here.
        combine: combination of the scores.
        combined_by: name of the combination; see `find_combine`.
        tested: whether harness tasks are also scored on test.
    """

    tasks: Mapping[str, Task]
    metrics: Mapping[str, Metric]
    externals: Mapping[str, Any]
    combine: Combine
    combined_by: str = "harmonic"
    tested: bool = True

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the scores: of the tasks, then of the externals."""
        return (*self.tasks, *self.externals)

    @cached_property
    def first(self) -> Objectives:
        """The first score alone."""
        tasks = dict([*self.tasks.items()][:1])
        metrics = {name: self.metrics[name] for name in tasks}
        externals = {} if tasks else dict([*self.externals.items()][:1])
        return replace(self, tasks=tasks, metrics=metrics, externals=externals)

    @cached_property
    def different_tasks(self) -> list[Task]:
        """The tasks, each once."""
        return list({task.name: task for task in self.tasks.values()}.values())

    @cached_property
    def items(self) -> dict[str, int]:
        """Name -> number of dev items; 0 for externals."""
        counts = {name: len(task.dev) for name, task in self.tasks.items()}
        return counts | dict.fromkeys(self.externals, 0)

    @cached_property
    def writes(self) -> bool:
        """Whether replies are written, or the harness scores the engine; both are expensive."""
        return bool(self.externals) or any(
            metric.answer_format == "generate" for metric in self.metrics.values()
        )

    @cached_property
    def written(self) -> bool:
        """Whether all scores are of written replies alone, so any reply can be scored."""
        return not self.externals and all(
            metric.new_tokens is not None and metric.alone for metric in self.metrics.values()
        )

    @cached_property
    def questions(self) -> dict[str, dict[str, list[int]]]:
        """Name -> split -> question number of each item, where some repeat."""
        found: dict[str, dict[str, list[int]]] = {name: {} for name in self.names}
        for name, task in self.tasks.items():
            for split in SPLITS:
                if asked := repeated(task.split(split)):
                    found[name][split] = asked
        return found

    @cached_property
    def spare(self) -> bool:
        """Whether training uses replies to spare items."""
        return self.written and all(task.spare for task in self.tasks.values())

    def utilities(
        self, split: str, answer_formats: Mapping[str, AnswerFormat], chat: Callable[[str], str]
    ) -> dict[str, Utility]:
        """Name -> scoring function on ``dev``, ``test`` or ``spare``, if the split exists."""
        utilities: dict[str, Utility] = {}
        for name, task in self.tasks.items():
            if items := task.split(split):
                utilities[name] = self.metrics[name].on(
                    items, answer_formats[name], chat, task.prompt
                )
        for name, external in self.externals.items():
            if split == "dev" or (split == "test" and self.tested):
                utilities[name] = partial(external, split=split)
        return utilities

    def answer_formats(
        self, name: str, scoring: str, likelihoods: bool = True
    ) -> tuple[AnswerFormat, ...]:
        """See `answer_formats_of`; without `likelihood` if the engine has none (see `Engine`)."""
        possible = answer_formats_of(self.metrics[name], scoring, self.tasks[name])
        return tuple(how for how in possible if likelihoods or how != "likelihood")


def load_objectives(config: SearchConfig) -> Objectives:
    """Load and check the objectives of a configuration, without the search's models.

    Raises:
        UserError: an objective is wrong.
    """
    harness = [spec.startswith(LM_EVAL) for spec in config.tasks]
    if ":" in config.combine and harness != sorted(harness):
        why = "requires harness tasks to come last; list them after the other tasks"
        raise InvalidOption("combine", config.combine, why)
    tasks = load_split(config)
    externals = _harness_tasks(config)
    if len({*tasks, *externals}) < len(tasks) + sum(harness):
        raise InvalidOption(
            "task", ", ".join(config.tasks), ": two tasks have the same name; leave one out"
        )
    if not tasks and not externals:
        raise UserError("no task given; set `task`, or `prompts` and `metric`")
    found = partial(
        find_metrics,
        cache=user_path(config.out) / "judge.jsonl",
        device=config.device,
        new_tokens=config.max_new_tokens,
    )
    if len(config.metrics) > 1 or config.keep or DRIFT in config.metrics:
        from pyswarmopt_llm.scores.metrics.several import by_score

        tasks, metrics = by_score(config, tasks, found)
    else:
        metrics = found(tasks, config.metrics)
    by = FIRST
    if not config.front:
        by = combination_of(config.combine, metrics, len(metrics) + len(externals))
    combine = find_combine(by, len(metrics) + len(externals))
    return Objectives(tasks, metrics, externals, combine, by, config.test != 0)


def combination_of(combine: str, metrics: Mapping[str, Metric], count: int) -> str:
    """The name of the combination of `count` scores; see `find_combine`.

    Raises:
        InvalidOption: these scores have no such combination.
    """
    signed = [metric for metric in metrics.values() if count > 1 and metric.signed]
    units = [metric for metric in signed if metric.unit]
    if units and combine in ("auto", "harmonic", "arithmetic"):
        why = (
            f": a mean of {units[0].unit} and other scores has no meaning; add `front`, or set "
            "`combine` to weighted:1,0.01"
        )
        raise InvalidOption("metric", units[0].name, why)
    if combine == "auto":
        return "arithmetic" if signed else "harmonic"
    if combine == "harmonic" and signed:
        why = "scores may be negative, so their harmonic mean is undefined; set `combine` to arithmetic"
        raise InvalidOption("metric", signed[0].name, why)
    return combine


def _harness_tasks(config: SearchConfig) -> dict[str, Any]:
    """Name -> task of lm-evaluation-harness."""
    specs = [spec.removeprefix(LM_EVAL) for spec in config.tasks if spec.startswith(LM_EVAL)]
    if not specs:
        return {}
    from pyswarmopt_llm.published.lm_eval import LmEvalTask

    tasks = [LmEvalTask(spec, config.dev, config.test or None) for spec in specs]
    return {task.name: task for task in tasks}


def load_tasks(config: Any, specs: Sequence[str], **other: Any) -> dict[str, Task]:
    """Name -> task; `config` and `other` as for `load_task_of`.

    Raises:
        UserError: a task is wrong, or two have the same name or the same examples, whose errors
            are not independent.
    """
    tasks: dict[str, Task] = {}
    for spec in specs:
        task = load_task_of(config, spec, template=None, **other)
        _refuse_few(task, config)
        if any(
            task.name == name or task.fingerprint == other.fingerprint
            for name, other in tasks.items()
        ):
            why = (
                ": another task has the same examples or the same name; rename one of the files, or "
                "combine scores in a function that returns a dict"
            )
            raise InvalidOption("task", spec, why)
        tasks[task.name] = task
    return prompted(tasks, config.template)


def _refuse_few(task: Task, config: Any) -> None:
    """Refuse a file too short to be divided, unless the sizes are the user's.

    Raises:
        UserError: it has too few rows.
    """
    rows = len(task.dev) + len(task.test)
    if task.drawn and rows < LEAST_ROWS and config.dev is None and config.test is None:
        raise UserError(
            f"{task.source}: {counted(rows, 'row')} measure nothing once divided into dev and test; "
            f"use at least {LEAST_ROWS}, better 60"
        )


def task_print(task: Task) -> str:
    """A task's fingerprint: items and prompt."""
    parts = [task.fingerprint, task.prompt]
    if task.spare:
        parts.append(Task(task.name, task.spare, ()).fingerprint)
    return digest(parts)


def answer_formats_of(metric: Metric, scoring: str, task: Task) -> tuple[AnswerFormat, ...]:
    """The possible answer formats of a task; two if ``auto`` has to try letters first."""
    if metric.answer_format is None:
        return possible_answer_formats(scoring, task.dev)
    return (metric.answer_format,)


def check_answers(
    scoring: str, thinking: int, tasks: Mapping[str, Task], metrics: Mapping[str, Metric]
) -> None:
    """Refuse an answer format that no task uses, and thinking without written replies.

    Raises:
        InvalidOption: no task uses the answer format, or thinking has no effect.

    """
    used = {
        how
        for name, metric in metrics.items()
        for how in answer_formats_of(metric, scoring, tasks[name])
    }
    if scoring not in ("auto", *used):
        names = ", ".join(metric.name for metric in metrics.values()) or "a harness task"
        why = f": {names} can only be scored by {', '.join(sorted(used)) or 'the harness'}; remove this option"
        raise InvalidOption("scoring", scoring, why)
    if thinking and metrics and "generate" not in used:
        why = "applies only to free-form replies, but choices are scored here; set `scoring` to generate"
        raise InvalidOption("thinking", thinking, why)


def load_split(config: SearchConfig) -> dict[str, Task]:
    """The tasks as used by the search.

    Raises:
        UserError: a task is wrong, or has too few items.
    """
    specs = [spec for spec in config.tasks if not spec.startswith(LM_EVAL)]
    tasks = load_tasks(config, specs, dev=config.dev, test=config.test or None)
    if config.test == 0:
        for name, task in tasks.items():
            tasks[name] = replace(task, test=())
    return tasks


def find_metrics(
    tasks: Mapping[str, Task],
    specs: Sequence[str] = (),
    cache: Path | None = None,
    device: str = "auto",
    new_tokens: int | None = None,
) -> dict[str, Metric]:
    """Task name -> its metric: ``--metric``, else the one in the task's file, else accuracy.

    Args:
        tasks: name -> task.
        specs: values of ``--metric``.
        cache: file for a judge's answers; None: memory only.
        device: device of a reward model.
        new_tokens: longest reply; None: each metric's default limit.

    Raises:
        UserError: a metric is unknown, or cannot score these items.
    """
    from pyswarmopt_llm.scores.metrics import by_name

    own = per_task("metric", specs, tasks)
    loaded: dict[str, Metric] = {}  # two tasks share a reward model
    metrics = {}
    for name, task in tasks.items():
        spec = own.get(name) or by_name.metric_of(task)
        if spec not in loaded:
            loaded[spec] = by_name.find_metric(spec, cache, device, new_tokens)
        metrics[name] = loaded[spec]
        for split in SPLITS:
            metrics[name].check(task.split(split), f"{task.source}: {split}")
    return metrics


def check_window(
    task: Task,
    scoring: str,
    engine: Engine,
    splits: Sequence[str] = SPLITS,
    metric: Metric = ACCURACY,
    model: str = "the base model",
    room: int = 0,
) -> None:
    """Refuse items that do not fit a model (or a mixture's members); `room`: tokens reserved for
    messages.

    Raises:
        UserError: an item does not fit; names the task's source, the item and the model.
    """
    for name, member in engine.members.items():
        check_window(task, scoring, member, splits, metric, name, engine.message_tokens)
    window = engine.window or math.inf
    for how, split in product(answer_formats_of(metric, scoring, task), splits):
        questions = metric.on(task.split(split), how, engine.chat, task.prompt)
        for item, text, written in questions.texts():
            new = max(written and written + engine.thinking, room)
            # A token takes at least half a byte of text, so few items need tokenising.
            if 2 * len(text.encode()) + new > window:
                length = engine.count_tokens(text)
                if length + new > window:
                    raise UserError(
                        f"{task.source}: {split} example {item.id}: {how} scoring needs "
                        f"{needed_tokens(length, new)}, but the context window of {model} holds "
                        f"{window:,}; shorten or remove the example"
                    )
