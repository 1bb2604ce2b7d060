"""The one way to open a model: find it by its name, check that it is unchanged, and load it."""

from __future__ import annotations

import logging
from pathlib import Path

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.engine.chat import use_day
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.mix import load, saved_kind
from pyswarmopt_llm.searching.scoring.run_directory import check_best, read_about
from pyswarmopt_llm.searching.use.config import BARE, Machine

log = logging.getLogger(__name__)
Model = tuple[str, str | None]  # a base and its adapter; a whole model and None


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
    if run is None:
        warn_of_left_out(model, system, thinking)
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

    Args:
        model: a base and an adapter.

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
    base = read_about(run).config.base
    if not (run / "best").is_dir():
        raise UserError(f"{run}: has no best/ yet; finish it with: swarm-llm resume {run}")
    return (
        (base, str(run / "best"))
        if (run / "best" / "adapter_config.json").is_file()
        else (str(run / "best"), None)
    )


def day_of(run: str | Path | None, *models: Model) -> str | None:
    """Today's date for chat templates, from the named run or a model's run; None without a run."""
    results = [run_of(user_path(adapter or base)) for base, adapter in models]
    named = None if run is None else user_path(run)
    of = next((one for one in (named, *results) if one is not None), None)
    return None if of is None else read_about(of).config.day


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


def warn_of_left_out(model: Model, system: str = "", thinking: int = 0) -> None:
    """Warn if a search's result is used without the system turn or the thinking of the search.

    Args:
        model: see `model_of`.
        system: system turn now in use.
        thinking: most tokens of thoughts now.
    """
    base, adapter = model
    run = run_of(user_path(adapter or base))
    if run is None:
        return
    searched = read_about(run).config
    if searched.system and not system:
        log.warning("%s: the search had a system turn, which is left out here", run)
    if searched.thinking and not thinking:
        log.warning("%s: the models of the search thought first, which is left out here", run)


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
