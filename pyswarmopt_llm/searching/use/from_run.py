"""Settings that an evaluation takes from the run of its model: base, task, and how to read it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import LM_EVAL, PROMPTS, SearchConfig, for_all_tasks
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.scores.metrics.by_name import longest_reply, metric_given
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.metrics.objectives import load_split, task_print
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import About, read_about
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.opening import result_of, run_of

# Settings that an evaluation takes from its run unless they are given.
_OF_MODEL = ("system", "thinking")  # for every task
_AS_STORED = (
    *_OF_MODEL,
    "columns",
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
_SAMPLING = ("temperature", "samples", "seed")  # only without a second model
# Settings for reading or scoring a task; an lm-eval task is read and scored by the harness.
NOT_OF_HARNESS = (
    "scoring",
    "metric",
    "columns",
    "template",
    "split_seed",
    "skip_bad_rows",
    "max_new_tokens",
    "temperature",
    "samples",
)


def with_run(config: EvalConfig) -> EvalConfig:
    """The configuration, completed from its run: model, task, and how to read the task.

    Raises:
        UserError: the run is not finished, has several tasks, or names code to execute.
    """
    if config.run is None:
        if not config.task:
            why = "missing; name a file or builtin:NAME, or a finished run with `run`"
            raise InvalidOption("task", None, why)
        return config
    run = user_path(config.run)
    about = read_about(run)
    base, _ = result_of(run)
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
    # Code named by the run, not by the user, is refused: the run may come from a stranger.
    code = replace(
        stored,
        workers="1",
        tasks=() if config.task == filled.task else (filled.task,),
        metrics=() if config.metric or metric is None else (metric,),
    )
    require(code, (), run, "")
    return replace(filled, metric=metric, **_reading(stored, filled))


def is_changed(about: About, spec: str) -> bool:
    """Whether a task of the search now reads differently."""
    stored = about.config
    if spec not in stored.tasks:
        return False
    alone = replace(stored, tasks=(spec,), template=_templates(stored, spec))
    before = about.fingerprints.get("tasks", {})
    return any(before.get(name) != task_print(task) for name, task in load_split(alone).items())


def specs_of(about: About) -> dict[str, str]:
    """Name -> task of a run, as given."""
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
    """The search's settings for reading and scoring the task, unless given."""
    several = for_all_tasks(stored.metrics)
    if config.metric in several and stored.max_new_tokens is None:
        stored = replace(stored, max_new_tokens=longest_reply(several))
    templates = _templates(stored, config.task)
    stored = replace(stored, template=templates, test=stored.test or None)  # or test was left out
    names = set(_AS_STORED if config.against is not None else (*_AS_STORED, *_SAMPLING))
    if config.task.startswith(LM_EVAL):
        names -= {*NOT_OF_HARNESS}
    return _left(names, stored, config)


def _left(names: Collection[str], stored: SearchConfig, config: EvalConfig) -> dict[str, Any]:
    """The run's settings that the evaluation does not set."""
    left = [name for name in names if getattr(config, name) == getattr(EvalConfig, name)]
    return {name: getattr(stored, name) for name in left}


def _name(task: str) -> str:
    """The name of a file's task."""
    return Path(task.removeprefix(PROMPTS)).stem


def _templates(stored: SearchConfig, task: str) -> tuple[str, ...]:
    """The run's templates, except those for its other tasks."""
    others = tuple(f"{_name(other)}=" for other in stored.tasks if other != task)
    return tuple(text for text in stored.template if not text.startswith(others))


def run_scoring(best: Path, task: str) -> Scoring | None:
    """The answer format that the search of ``RUN/best`` used for a task; None if unknown.

    A search tries letters on several experts. A trial of the adapter alone might decide otherwise
    by chance, and then its score would differ from ``result.json``.
    """
    run = run_of(best)
    if run is None:
        return None
    try:
        about = read_about(run)
        result = read_result(run)
    except UserError:  # not a run, or damaged: a trial decides
        return None
    if result is None or task not in about.task_names or task not in result.objectives:
        return None
    return result.objectives[task].answer_format
