"""Opens a model: finds it by its name, checks that it is unchanged, and loads it. Also completes an
evaluation from its run: base, task, and how to read the task.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import DRIFT, LM_EVAL, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.files.regular import digests, user_path
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.common.options import BARE
from pyswarmopt_llm.common.trust import require
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.mix import load, saved_kind
from pyswarmopt_llm.run.directory import About, check_fingerprints, read_about
from pyswarmopt_llm.run.record import FRONT
from pyswarmopt_llm.run.result import read_result
from pyswarmopt_llm.scores.tasks import AnswerFormat
from pyswarmopt_llm.scores.tasks.types import per_task
from pyswarmopt_llm.use.config import EvalConfig, Machine, check_run

Model = tuple[str, str | None]  # a base and its adapter; a whole model and None
# Settings that an evaluation takes from its run unless they are given.
_OF_MODEL = ("system", "thinking", "quantize")  # for every task
# Settings for reading or scoring a task; an lm-eval task is read and scored by the harness.
NOT_OF_HARNESS = (
    "scoring",
    "columns",
    "template",
    "max_new_tokens",
    "metric",
)


def open_model(model: Model, machine: Machine | EvalConfig) -> Engine:
    """The engine with the model loaded.

    Args:
        model: see `model_of`.
        machine: where it runs, and how it is prompted.

    Raises:
        UserError: the model cannot be loaded, or has changed.
    """
    base, adapter = model
    check_unchanged(model)
    engine = load.open_model(
        base,
        adapter,
        machine.dtype,
        machine.device,
        machine.threads,
        machine.system,
        machine.quantize,
    )
    engine.thinking = machine.thinking
    return engine


def model_of(base: str, name: str | None) -> Model:
    """(base, adapter) of an adapter, a run or a whole model; None stands for the base.

    Raises:
        UserError: the run has not ended, or there is no base.
    """
    adapter = None
    if name not in (None, BARE, base):
        folder = user_path(name)
        if (folder / "run.json").is_file():
            best, adapter = result_of(folder)
            if adapter is None or not base:
                base = best
        elif (folder / "adapter_config.json").is_file():
            adapter = name
        elif saved_kind(folder) is not None or (folder / "config.json").is_file():
            base = name  # a whole model, or several with their mixing space
        else:
            adapter = name
    if not base:
        raise InvalidOption("base", None, "is missing; set it, or use a finished run with `run`")
    return base, adapter


def result_of(run: Path) -> Model:
    """(base, adapter) of a finished run; (model, mixture or graph, None) of a search over whole
    models.

    Raises:
        UserError: the path is not a run directory, or the run has not ended.
    """
    check_run(run)
    best = run / "best"
    if (best / "adapter_config.json").is_file():
        return read_about(run).config.base, str(best)
    return str(best), None


def check_unchanged(model: Model) -> None:
    """Refuse a run's result, or a point of its front, if its files or its base have changed.

    Raises:
        UserError: names what changed.
    """
    base, adapter = model
    run = run_of(model)
    if run is None:
        return
    about = read_about(run)
    folder = user_path(adapter or base).resolve()
    now: dict[str, Any] = {folder.relative_to(run).as_posix(): digests(folder)}
    if adapter is not None and base == about.config.base:
        now["base"] = resolve_base(base).fingerprint
    check_fingerprints(run, about, now)


def run_of(model: Model) -> Path | None:
    """The run whose result, or point of a front, a model is; None if there is none."""
    base, adapter = model
    folder = user_path(adapter or base).resolve()
    run = folder.parent
    if run.name == FRONT:
        run = run.parent
    elif folder.name != "best":
        return None
    return run if (run / "run.json").is_file() else None


def with_run(config: EvalConfig) -> EvalConfig:
    """The configuration, completed from its run: model, task, and how to read the task.

    Raises:
        UserError: the run is not finished, has several tasks, or names code to execute.
    """
    if config.run is None:
        if not config.task:
            raise InvalidOption(
                "task", None, "is missing; set it, or use a finished run with `run`"
            )
        return config
    run = user_path(config.run)
    base, _ = result_of(run)
    about = read_about(run)
    stored = about.config
    specs = specs_of(about)
    base = config.base or stored.base or base
    filled = replace(config, base=base, adapter=config.adapter or str(run))
    if config.task and config.task not in (*specs, *specs.values()):
        return _completed(filled, stored, _OF_MODEL)
    name = named_task(about, config.task or None)
    task = specs[name]
    harness = task.startswith(LM_EVAL)
    metric = config.metric
    if metric is None and not harness:
        metric = _metric_of(about, name)
    # Code named by the run, not by the user, is refused: the run may come from a stranger.
    tasks = tuple({task} - {config.task})
    metrics = tuple(filter(None, {metric} - {config.metric}))
    require(replace(stored, workers="1", tasks=tasks, metrics=metrics), (), run, "")
    names = {*_OF_MODEL, "dev", "test", "dtype", "allow_overlap"}
    if not harness:
        names |= {*NOT_OF_HARNESS} - {"metric"}
    filled = replace(filled, task=task, metric=metric)
    prompt = per_task("template", stored.template, about.task_names).get(name)
    template = () if prompt is None else (f"{name}={prompt}",)
    # The search may have had no test split.
    return _completed(filled, replace(stored, template=template, test=stored.test or None), names)


def _metric_of(about: About, task: str) -> str | None:
    """The metric of a run's task; None if its file decides.

    Raises:
        InvalidOption: the run has several scores of this task.
    """
    found = metrics_of_task(about, task)
    if len(found) > 1:
        why = f": the run has several scores of {task}; choose one of: {', '.join(found)}"
        raise InvalidOption("metric", None, why)
    return next(iter(found), None)


def metrics_of_task(about: About, task: str) -> list[str]:
    """The metrics that a run's task was given; none if its file decides. `drift` is of other prompts."""
    from pyswarmopt_llm.scores.metrics.several import specs_of as metrics_of

    metrics = [spec for spec in about.config.metrics if spec != DRIFT]
    return metrics_of(metrics, specs_of(about)).get(task, [])


def named_task(about: About, name: str | None) -> str:
    """A run's task by its name, or by its spec in the search; None: its only one.

    Raises:
        InvalidOption: no such task, or several tasks and none was chosen.
    """
    specs = specs_of(about)
    for task, spec in specs.items():
        if name in (task, spec) or (name is None and len(specs) == 1):
            return task
    raise InvalidOption("task", name, f": choose one of: {', '.join(specs)}")


def specs_of(about: About) -> dict[str, str]:
    """Name -> task of a run, as given; the harness's tasks come last, as in `Objectives.names`."""
    specs = sorted(about.config.tasks, key=lambda spec: spec.startswith(LM_EVAL))
    return dict(zip(about.task_names, specs, strict=False))


def _completed(config: EvalConfig, stored: SearchConfig, names: Collection[str]) -> EvalConfig:
    """The configuration with these settings of the run where it does not set them."""
    left = [name for name in names if getattr(config, name) == getattr(EvalConfig, name)]
    return replace(config, **{name: getattr(stored, name) for name in left})


def answer_format_of_run(run: Path, task: str, metric: str = "") -> AnswerFormat | None:
    """The answer format that the search of a run used for a task, and this metric; None if unknown.

    A search tries letters on several experts. A trial of the adapter alone might decide otherwise
    by chance, and then its score would differ from ``result.json``.
    """
    result = read_result(run)
    if result is None:
        return None
    objective = result.objective_of(task, metric)
    if objective is None:
        return None
    return objective.answer_format
