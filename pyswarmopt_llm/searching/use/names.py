"""From what a user names to what is loaded, here or on a server: runs, adapters, whole models, the
bare base.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

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

_AS_STORED = (
    "system",
    "max_new_tokens",
    "columns",
    "split_seed",
    "skip_bad_rows",
    "dev",
    "allow_overlap",
)
Model = tuple[str, str | None]  # a base and an adapter of it; a whole model and None


def model_of(base: str, name: str | None) -> Model:
    """The base and the adapter of an adapter, a run, a whole model, or None, the bare base.

    Raises:
        UserError: a run that has not ended, or no base.
    """
    base, adapter = _model_of(base, name)
    if not base:
        raise InvalidOption(
            "base", None, "missing; name the model that is scored, or a finished run with `run`"
        )
    return base, adapter


def _model_of(base: str, name: str | None) -> Model:
    if name is None or name in (BARE, base):
        return base, None
    folder = user_path(name)
    if (folder / "run.json").is_file():
        whole, adapter = result_of(folder)
        return (whole, None) if adapter is None else (base or whole, adapter)
    return (name, None) if is_whole_model(folder) else (base, name)


def place_of(engine: str, run: str | Path | None) -> str:
    """The server that runs a model, or ``transformers`` where it runs here; ``auto`` is here, too,
    but not for a run that searched on a server.

    Raises:
        UserError: neither of them, not a run, or the run's server, which only the user names.
    """
    if is_server(engine):
        return server_url(engine)
    if engine == TRANSFORMERS:
        return engine
    if engine != "auto":
        why = f"unknown; use {TRANSFORMERS} or http://HOST:PORT"
        raise InvalidOption("engine", engine, why)
    if run is not None and (stored := read_about(user_path(run)).config).served:
        which = f"`engine` {shlex.quote(stored.engine)} to send it your data"
        why = f"searched on a server; add {which}, or `engine` {TRANSFORMERS} to load the base here"
        raise UserError(f"{run}: {why}")
    return TRANSFORMERS


def open_at(
    place: str,
    run: str | Path | None,
    base: str,
    adapter: str | None,
    *,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    server_folder: str | None = None,
    system: str | None = None,
) -> Engine:
    """A model on the engine that `place_of` gives.

    Args:
        place: where it runs.
        run: the run that it comes from, if any; it knows which adapters the server was started
            with.
        base: of the model.
        adapter: on top of it; None for none.
        dtype: "auto", "float32" or "bfloat16".
        device: of a model that is loaded here.
        threads: the same; None: those of the machine.
        server_folder: that the server sees, too; the run's own is not written to.
        system: the turn before each question; None: the run's.

    Raises:
        UserError: the model cannot be loaded, or the server does not run it.
    """
    from pyswarmopt_llm.mix.load import open_model, open_served

    if system is None:
        system = "" if run is None else read_about(user_path(run)).config.system
    if not is_server(place):
        return open_model(base, adapter, dtype, device, threads, system)
    if run is None and adapter is not None:
        run = _run_of(user_path(adapter))
    if run is None:
        config = SearchConfig(base, () if adapter is None else (adapter,), (), "")
    else:
        config = replace(read_about(user_path(run)).config, base=base)
    config = replace(config, engine=place, server_folder=server_folder, dtype=dtype, system=system)
    return open_served(config, adapter)


def opened(config: EvalConfig, base: str, adapter: str | None) -> Engine:
    """A model of an evaluation on its engine; see `open_at`."""
    return open_at(
        place_of(config.engine, config.run),
        config.run,
        base,
        adapter,
        dtype=config.dtype,
        device=config.device,
        threads=config.threads,
        server_folder=config.server_folder,
        system=config.system,
    )


def with_run(config: EvalConfig) -> EvalConfig:
    """The configuration with what it takes from its run: model, task, and how the task is read.

    Raises:
        UserError: not a finished run, it has several tasks, or its configuration names code to run.
    """
    if config.run is None:
        if not config.task:
            raise InvalidOption(
                "task", None, "missing; name a file or builtin:NAME, or a finished run with `run`"
            )
        return config
    run = user_path(config.run)
    stored = read_about(run).config
    base, _ = result_of(run)
    task = config.task or _only_task(stored, run)
    filled = replace(
        config,
        base=config.base or stored.base or base,
        task=task,
        adapter=config.adapter or str(run),
    )
    if task not in stored.tasks:
        return filled
    several = for_all_tasks(stored.metrics)
    if config.metric is None and len(several) > 1:
        which = ", ".join(several)
        raise UserError(f"{run}: has {len(several)} metrics ({which}); choose one with `metric`")
    metric = config.metric or metric_given(stored.metrics, _name(task))
    named = () if metric == config.metric or metric is None else (metric,)
    tasks = () if task == config.task else (task,)
    scored = replace(stored, tasks=tasks, metrics=named, utilities=(), workers="1")
    require(replace(scored, engine=TRANSFORMERS), (), run, "")
    as_stored = {name: getattr(config, name) or getattr(stored, name) for name in _AS_STORED}
    if config.metric in several and as_stored["max_new_tokens"] is None:
        as_stored["max_new_tokens"] = longest_reply(several)
    if stored.temperature and not config.temperature and config.against is None:
        filled = replace(
            filled, temperature=stored.temperature, samples=stored.samples, seed=stored.seed
        )
    return replace(
        filled,
        **as_stored,
        metric=metric,
        template=config.template or _templates(stored, task),
        test=config.test or stored.test or None,
        scoring=stored.scoring if config.scoring == "auto" else config.scoring,
        dtype=stored.dtype if config.dtype == "auto" else config.dtype,
    )


def _name(task: str) -> str:
    """The name of a file's task."""
    return Path(task.removeprefix(PROMPTS)).stem


def _only_task(stored: SearchConfig, run: Path) -> str:
    if len(stored.tasks) != 1:
        which = ", ".join(stored.tasks) or "none"
        raise UserError(f"{run}: has {len(stored.tasks)} tasks ({which}); choose one with `task`")
    return stored.tasks[0]


def _templates(stored: SearchConfig, task: str) -> tuple[str, ...]:
    """The run's templates, without those for its other tasks."""
    if len(stored.tasks) == 1:
        return stored.template
    others = [f"{_name(other_task)}=" for other_task in stored.tasks if other_task != task]
    return tuple(text for text in stored.template if not text.startswith(tuple(others)))


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
