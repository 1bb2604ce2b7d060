"""The one way to open a model: find it by its name, check that it is unchanged, and load it; and what
an evaluation takes from its run: base, task, and how to read it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.config import LM_EVAL, PROMPTS, SearchConfig, for_all_tasks
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.engine.chat import use_day
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.mix import load, saved_kind
from pyswarmopt_llm.scores.metrics.by_name import longest_reply, metric_given
from pyswarmopt_llm.scores.metrics.named_again import require
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import About, check_best, read_about
from pyswarmopt_llm.searching.use.config import BARE, EvalConfig, Machine, check_run

Model = tuple[str, str | None]  # a base and its adapter; a whole model and None
# Settings that an evaluation takes from its run unless they are given.
_OF_MODEL = ("system", "thinking")  # for every task
_SAMPLING = ("temperature", "samples", "seed")  # only without a second model
# Settings for reading or scoring a task; an lm-eval task is read and scored by the harness.
NOT_OF_HARNESS = (
    "scoring",
    "columns",
    "template",
    "split_seed",
    "skip_bad_rows",
    "max_new_tokens",
    "metric",
    *_SAMPLING[:2],
)


def open_model(
    model: Model,
    machine: Machine,
    *,
    run: str | Path | None = None,
    system: str = "",
    thinking: int = 0,
    fusion: str = "auto",
    seed: int = 0,
) -> Engine:
    """The engine with the model loaded.

    Args:
        model: see `model_of`.
        machine: where it runs.
        run: the model's run, if any; it knows the day.
        system: system turn before every question.
        thinking: most tokens of thoughts before an answer.
        fusion: how a mixture samples, see `MixtureEngine`.
        seed: seed of a mixture's samples.

    Raises:
        UserError: the model cannot be loaded, or has changed.
    """
    base, adapter = model
    if fusion != "auto" and (adapter is not None or saved_kind(base) is None):
        raise InvalidOption("fusion", fusion, "goes with a mixture of models only; remove it")
    check_unchanged(model)
    engine: Engine
    if fusion != "auto":
        from pyswarmopt_llm.tokens.space import open_mixture

        engine = open_mixture(base, machine.dtype, machine.device, machine.threads, fusion, seed)
    else:
        engine = load.open_model(
            base, adapter, machine.dtype, machine.device, machine.threads, system
        )
    engine.thinking = thinking
    day = day_of(run, model)
    if day is not None:
        use_day(engine, day)
    return engine


def change_of(model: Model) -> Patch:
    """The patch of a model on its base; empty for a base or a whole model.

    Raises:
        UserError: the adapter does not fit.
    """
    base, adapter = model
    return Patch() if adapter is None else load.adapter_patch(base, adapter)


def model_of(base: str, name: str | None) -> Model:
    """(base, adapter) of an adapter, a run or a whole model; None stands for the base.

    Raises:
        UserError: the run has not ended, or there is no base.
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


def result_of(run: Path) -> tuple[str, str | None]:
    """(base, adapter) of a finished run; (model, mixture or graph, None) of a search over whole
    models.

    Raises:
        UserError: not a run directory, or the run has not ended.
    """
    check_run(run)
    best = run / "best"
    if (best / "adapter_config.json").is_file():
        return read_about(run).config.base, str(best)
    return str(best), None


def day_of(run: str | Path | None, *models: Model) -> str | None:
    """Today's date for chat templates, from the named run or a model's run; None without a run."""
    if run is not None:
        return read_about(user_path(run)).config.day
    for base, adapter in models:
        own = run_of(user_path(adapter or base))
        if own is not None:
            return read_about(own).config.day
    return None


def check_unchanged(model: Model) -> None:
    """Refuse a run's result if its files or its base have changed.

    Raises:
        UserError: names what changed.
    """
    base, adapter = model
    run = run_of(user_path(adapter or base))
    if run is None:
        return
    about = read_about(run)
    check_best(run, about)
    before = about.fingerprints.get("base")
    if adapter is None or before is None or base != about.config.base:
        return
    if resolve_base(base).fingerprint != before:
        raise UserError(
            f"{run}: the base {base} is not the one of the search any more; put it back, or copy "
            "best/ and use it as an adapter of its own"
        )


def run_of(best: Path) -> Path | None:
    """The run whose result is in this directory; None if there is none."""
    run = best.resolve().parent
    return run if best.name == "best" and (run / "run.json").is_file() else None


def is_whole_model(folder: Path) -> bool:
    """Whether a directory holds a model, or several models with their mixing space, rather than an
    adapter.
    """
    whole = saved_kind(folder) is not None or (folder / "config.json").is_file()
    return whole and not (folder / "adapter_config.json").is_file()


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
    stored = about.config
    base, _ = result_of(run)
    task = specs_of(about).get(config.task, config.task)
    filled = replace(
        config,
        base=config.base or stored.base or base,
        adapter=config.adapter or str(run),
        task=task or _only("task", stored.tasks, run),
    )
    if filled.task not in stored.tasks:
        return _completed(filled, stored, _OF_MODEL)
    # Code named by the run, not by the user, is refused: the run may come from a stranger.
    metric = config.metric or _metric(stored, filled.task, run)
    code = replace(
        stored,
        workers="1",
        tasks=() if config.task == filled.task else (filled.task,),
        metrics=() if config.metric or metric is None else (metric,),
    )
    require(code, (), run, "")
    return _as_searched(replace(filled, metric=metric), stored)


def specs_of(about: About) -> dict[str, str]:
    """Name -> task of a run, as given."""
    return dict(zip(about.task_names, about.config.tasks, strict=False))


def _only(what: str, several: Collection[str], run: Path) -> str:
    """The only task or metric of a run."""
    if len(several) != 1:
        which = ", ".join(several) or "none"
        raise UserError(f"{run}: has {len(several)} {what}s ({which}); choose one with `{what}`")
    return next(iter(several))


def _metric(stored: SearchConfig, task: str, run: Path) -> str | None:
    """The run's metric for a task; None: the task's own."""
    if task.startswith(LM_EVAL):
        return None
    several = for_all_tasks(stored.metrics)
    if len(several) > 1:
        return _only("metric", several, run)
    return metric_given(stored.metrics, _name(task))


def _as_searched(config: EvalConfig, stored: SearchConfig) -> EvalConfig:
    """The configuration with the search's settings for reading and scoring the task."""
    several = for_all_tasks(stored.metrics)
    if config.metric in several and stored.max_new_tokens is None:
        stored = replace(stored, max_new_tokens=longest_reply(several))
    # Without the templates for other tasks; a test split may have been left out.
    others = tuple(f"{_name(task)}=" for task in stored.tasks if task != config.task)
    own = tuple(text for text in stored.template if not text.startswith(others))
    stored = replace(stored, template=own, test=stored.test or None)
    names = {*_OF_MODEL, "dev", "test", "dtype", "allow_overlap", *NOT_OF_HARNESS, *_SAMPLING} - {
        "metric"
    }
    if config.against is not None:
        names -= {*_SAMPLING}
    if config.task.startswith(LM_EVAL):
        names -= {*NOT_OF_HARNESS}
    return _completed(config, stored, names)


def _completed(config: EvalConfig, stored: SearchConfig, names: Collection[str]) -> EvalConfig:
    """The configuration with these settings of the run where it does not set them."""
    left = [name for name in names if getattr(config, name) == getattr(EvalConfig, name)]
    return replace(config, **{name: getattr(stored, name) for name in left})


def _name(task: str) -> str:
    """The name of a file's task."""
    return Path(task.removeprefix(PROMPTS)).stem


def run_scoring(best: Path, task: str) -> Scoring | None:
    """The answer format that the search of ``RUN/best`` used for a task; None if unknown.

    A search tries letters on several experts. A trial of the adapter alone might decide otherwise
    by chance, and then its score would differ from ``result.json``.
    """
    run = run_of(best)
    try:
        result = None if run is None else read_result(run)
    except UserError:  # not a run, or damaged: a trial decides
        return None
    if result is None or task not in result.objectives:
        return None
    return result.objectives[task].answer_format
