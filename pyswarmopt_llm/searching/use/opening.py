"""The one way to open a model: find it by its name, check that it is unchanged, and load it here or
on a server.
"""

from __future__ import annotations

import logging
import shlex
from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.common.config import TRANSFORMERS, SearchConfig, is_server
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.http import server_url
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.engine.chat import use_day
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix import load, saved_kind
from pyswarmopt_llm.searching.scoring.run_directory import read_about
from pyswarmopt_llm.searching.scoring.unchanged import check_best
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
    """The engine with the model loaded, here or on a server.

    Args:
        model: see `model_of`.
        machine: where it runs.
        run: the model's run, if any; it knows the day, and a server's adapters.
        system: system turn before every question.
        thinking: most tokens of thoughts before an answer.
        fusion: how a mixture samples, see `MixtureEngine`.
        seed: seed of a mixture's samples.

    Raises:
        UserError: the model cannot be loaded, has changed, or is not on the server.
    """
    base, adapter = model
    if fusion != "auto" and (adapter is not None or saved_kind(base) is None):
        raise InvalidOption("fusion", fusion, "goes with a mixture of models only; remove it")
    check_unchanged(model)
    if run is None:
        warn_of_left_out(model, system, thinking)
    where = engine_of(machine.engine, run)
    engine: Engine
    if fusion != "auto":
        from pyswarmopt_llm.tokens.space import open_mixture

        engine = open_mixture(base, machine.dtype, machine.device, machine.threads, fusion, seed)
    elif is_server(where):
        engine = _served(model, replace(machine, engine=where), run, system)
    else:
        engine = load.open_model(
            base, adapter, machine.dtype, machine.device, machine.threads, system
        )
    engine.thinking = thinking
    day = day_of(run, model)
    if day is not None:
        use_day(engine, day)
    return engine


def _served(model: Model, machine: Machine, run: str | Path | None, system: str) -> Engine:
    """The base on a server, or its adapter; no weights are read here.

    Raises:
        UserError: the server runs another base, or does not apply the adapter.
    """
    from pyswarmopt_llm.servers.attach import attach, check_loaded

    spec, adapter = model
    # a run knows the adapters that the server was started with
    source = run_of(user_path(adapter)) if run is None and adapter else run
    config = SearchConfig(spec, () if adapter is None else (adapter,), (), "")
    if source is not None:
        config = read_about(user_path(source)).config
    config = replace(
        config,
        base=spec,
        engine=machine.engine,
        system=system,
        server_folder=machine.server_folder,
        dtype=machine.dtype,
    )
    base = resolve_base(spec, weights=False)
    patch = change_of(model, weights=False)
    engine = attach(config, base, lambda: inspect_experts(config.experts, base).experts)
    engine.load(patch)
    check_loaded(engine, patch, adapter or spec)
    return engine


def change_of(model: Model, *, weights: bool = True) -> Patch:
    """The patch of a model on its base; empty for a base or a whole model.

    Args:
        model: a base and an adapter.
        weights: whether the base's weights are needed; see `resolve_base`.

    Raises:
        UserError: the adapter does not fit.
    """
    base, adapter = model
    return Patch() if adapter is None else load.adapter_patch(base, adapter, weights=weights)


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


def engine_of(engine: str, run: str | Path | None) -> str:
    """The server that runs a model, or ``transformers`` if it runs here.

    Args:
        engine: a server's URL, ``transformers``, or ``auto``: here, unless the run searched on a
            server.
        run: the model's run, if any.

    Raises:
        UserError: an unknown engine, not a run, or a run on a server that the user did not name.
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
    if resolve_base(base, weights=not about.config.served).fingerprint != before:
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
