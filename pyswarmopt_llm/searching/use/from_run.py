"""What an evaluation takes from the run whose model it scores: base, task, and how that is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import LM_EVAL, PROMPTS, TRANSFORMERS, SearchConfig, for_all_tasks
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.scores.metrics.by_name import longest_reply, metric_given
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.metrics.objectives import load_split, task_print
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import About, read_about
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.opening import result_of, run_of

# Settings of a run that an evaluation of it takes where it has none.
_OF_MODEL = ("system", "thinking")  # whatever the task
_AS_STORED = (
    *_OF_MODEL,
    "columns",
    "labels",
    "template",
    "split_seed",
    "skip_bad_rows",
    "dev",
    "test",
    "allow_overlap",
    "max_new_tokens",
    "scoring",
    "dtype",
)
_SAMPLING = ("temperature", "samples", "seed")  # of one model alone
# Settings by which we would read or score a task that the harness reads and scores.
NOT_OF_HARNESS = (
    "scoring",
    "metric",
    "columns",
    "labels",
    "template",
    "split_seed",
    "skip_bad_rows",
    "max_new_tokens",
    "temperature",
    "samples",
)


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
        return replace(filled, **_left(_OF_MODEL, stored, filled))
    metric = config.metric or _only_metric(stored, filled.task, run)
    # Code that the run names, and not the user, is refused: the run may be a stranger's.
    code = replace(
        stored,
        utilities=(),
        workers="1",
        engine=TRANSFORMERS,
        tasks=() if config.task == filled.task else (filled.task,),
        metrics=() if config.metric or metric is None else (metric,),
    )
    require(code, (), run, "")
    return replace(filled, metric=metric, **_reading(stored, filled))


def is_changed(about: About, spec: str) -> bool:
    """Whether a task is one of the search's, and no longer as the search read it."""
    stored = about.config
    if spec not in stored.tasks:
        return False
    alone = replace(stored, tasks=(spec,), template=_templates(stored, spec))
    before = about.fingerprints.get("tasks", {})
    return any(before.get(name) != task_print(task) for name, task in load_split(alone).items())


def specs_of(about: About) -> dict[str, str]:
    """The tasks of a run, as they were given, by name."""
    return dict(zip(about.task_names, about.config.tasks, strict=False))


def _only_task(stored: SearchConfig, run: Path) -> str:
    if len(stored.tasks) != 1:
        which = ", ".join(stored.tasks) or "none"
        raise UserError(f"{run}: has {len(stored.tasks)} tasks ({which}); choose one with `task`")
    return stored.tasks[0]


def _only_metric(stored: SearchConfig, task: str, run: Path) -> str | None:
    if task.startswith(LM_EVAL):
        return None
    several = for_all_tasks(stored.metrics)
    if len(several) > 1:
        which = ", ".join(several)
        raise UserError(f"{run}: has {len(several)} metrics ({which}); choose one with `metric`")
    return metric_given(stored.metrics, _name(task))


def _reading(stored: SearchConfig, config: EvalConfig) -> dict[str, Any]:
    """The settings by which the search read and scored the task, where none are given."""
    several = for_all_tasks(stored.metrics)
    if config.metric in several and stored.max_new_tokens is None:
        stored = replace(stored, max_new_tokens=longest_reply(several))
    templates = _templates(stored, config.task)
    stored = replace(stored, template=templates, test=stored.test or None)  # or it left test out
    names = set(_AS_STORED if config.against is not None else (*_AS_STORED, *_SAMPLING))
    if config.task.startswith(LM_EVAL):
        names -= {*NOT_OF_HARNESS}
    return _left(names, stored, config)


def _left(names: Collection[str], stored: SearchConfig, config: EvalConfig) -> dict[str, Any]:
    """Settings of the run where the evaluation has none."""
    left = [name for name in names if getattr(config, name) == getattr(EvalConfig, name)]
    return {name: getattr(stored, name) for name in left}


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
    run = run_of(best)
    if run is None:
        return None
    try:
        about, result = read_about(run), read_result(run)
    except UserError:  # not a run, or damaged: the trial decides
        return None
    if result is None or task not in about.task_names or task not in result.objectives:
        return None
    return result.objectives[task].answer_format
