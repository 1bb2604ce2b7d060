"""From what a user names to what is loaded, here or on a server: runs, adapters, whole models, the
bare base.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from pyswarmopt_llm.mix import is_whole_model
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.metrics.registry import longest_reply, metric_given
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_files import read_about, result_of
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig

if TYPE_CHECKING:
    from pyswarmopt_llm.common.interfaces import Engine

# Settings of a run that an evaluation of it takes where it has none.
_AS_STORED = (
    *("system", "columns", "split_seed", "skip_bad_rows", "dev", "test", "allow_overlap"),
    "max_new_tokens",
)
Model = tuple[str, str | None]  # a base and an adapter of it; a whole model and None


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
        return open_model(base, adapter, *machine, config.system)
    # a run knows which adapters the server was started with
    run = _run_of(user_path(adapter)) if config.run is None and adapter else config.run
    if run is None:
        known = SearchConfig(base, () if adapter is None else (adapter,), (), "")
    else:
        known = replace(read_about(user_path(run)).config, base=base)
    here: dict[str, Any] = {"server_folder": config.server_folder, "dtype": config.dtype}
    return open_served(replace(known, engine=place, system=config.system, **here), adapter)


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
    stored, (base, _) = read_about(run).config, result_of(run)
    filled = replace(
        config,
        base=config.base or stored.base or base,
        adapter=config.adapter or str(run),
        task=config.task or _only_task(stored, run),
    )
    if filled.task not in stored.tasks:
        return filled
    metric = config.metric or _only_metric(stored, filled.task, run)
    # Code that the run names, and not the user, is refused: the run may be a stranger's.
    code: dict[str, Any] = {"utilities": (), "workers": "1", "engine": TRANSFORMERS}
    code["tasks"] = () if config.task else (filled.task,)
    code["metrics"] = () if config.metric or metric is None else (metric,)
    require(replace(stored, **code), (), run, "")
    return replace(filled, metric=metric, **_reading(stored, filled))


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
