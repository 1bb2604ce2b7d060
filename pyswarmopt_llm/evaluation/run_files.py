"""Read a run's files without its lock and without torch, while it runs or afterwards.

A run directory is untrusted: everything is validated here, field by field.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.regular import read_json, read_text
from pyswarmopt_llm.evaluation.record import RunResult
from pyswarmopt_llm.tasks.tables.form import SHAPE

FORMAT = 1  # of run.json and history.jsonl
GRID = "grid.json"  # in the directory of a search over a grid of coefficients, from its beginning on
OWNER = ".owner"  # names the process that holds the lock

_ABOUT: dict[str, Any] = {
    "config": dict[str, Any],
    "fingerprints": dict[str, str | dict[str, str]],
    "seeds": dict[str, int],
    "base_name": str | None,
    "versions": dict[str, str],
    "notes": dict[str, str],
    "given": dict[str, Any],
    "chosen": dict[str, Any],
    "forms": dict[str, dict[str, Any]],
    "left": dict[str, int],
}
_PRINTS: dict[str, Any] = {"base": str, "experts": dict[str, str], "tasks": dict[str, str]}
_CONFIG = get_type_hints(SearchConfig)
_NEEDED = ("base", "experts", "tasks", "out")  # the settings without a default


def _given(hint: Any) -> Any:
    """The type without None."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if isinstance(hint, UnionType) and len(kinds) == 1 else hint


_SPLITS = ("dev", "test")
_MODELS = ("best", "best_single", "mixture", "trained", "uniform")
_SCORES = {f"{who}_{split}": float | None for who in _MODELS for split in _SPLITS}
_DEV = {"best_dev": float, "best_single_dev": float}
# A key that may be missing is never null, but for scores.
_RESULT = {**{name: _given(hint) for name, hint in get_type_hints(RunResult).items()}, **_SCORES, **_DEV}
_ALWAYS = (
    *("best_dev", "best_single_dev", "best_single", "coefficients", "evaluations", "item_evaluations"),
    *("seconds", "seconds_scoring", "peak_memory_bytes", "scoring", "stop"),
)
_PAIRED: dict[str, Any] = {
    **{"difference": float, "interval": tuple[float, float], "p_value": float, "n": int},
    **dict.fromkeys(("gained", "lost", "items_needed"), int | None),
}
# Parts of it, by their place; `*` stands for any name.
_PARTS: dict[str, dict[str, Any]] = {
    "paired/*/*": _PAIRED,
    "paired_training/*/*": _PAIRED,
    "experts": {"dev": dict[str, float], "differ": float | None, "second": str},
    "experts/ahead": _PAIRED,
    "tasks/*": {**_SCORES, "scoring": str | None},
    "workers": {"asked": str, "failures": dict[str, int]},
    "judge/*": {"requests": float, "prompt_tokens": float, "completion_tokens": float},
    "own_scores/*": {"items": int, "held_out": bool},
    "named/*": {"best_dev": dict[str, float]},
    "confirm": {"items": int, "candidates": list[dict[str, float]], "chosen": int},
    "front": {"points": list[Any]},
}
_RIVAL: dict[str, Any] = {
    **{"name": str, "label": str},
    **{"dev": float, "test": float, "dev_interval": tuple[float, float], "test_interval": tuple[float, float]},
    **{"difference": float, "interval": tuple[float, float], "p": float, "dev_of": str, "row": str},
}
_LIMITS = dict.fromkeys(("max_iter", "patience", "max_evals", "proposals", "budget_items", "budget_minutes"), float)


def read_about(path: Path) -> dict[str, Any]:
    """The content of ``run.json``.

    Raises:
        UserError: `path` is not a run, is damaged, or was written by another version of this format.
    """
    file = path / "run.json"
    try:
        about = read_json(file)
    except OSError as error:
        raise UserError(f"{path}: not a run directory ({file.name}: {error.strerror}); check the path") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else None
        raise UserError(f"{file}: format {str(found)[:40]}, not {FORMAT}; resume with the version that wrote it")
    if not all(isinstance(about.get(key), dict) for key in ("config", "fingerprints")):
        raise UserError(f"{file}: lacks config or fingerprints; restore the file")
    _check(file, about["fingerprints"], _PRINTS, "fingerprints ")
    _check(file, about, _ABOUT)
    _check_config(file, about["config"])
    for part in ("given", "chosen"):
        _check_known(file, about.get(part, {}))
        _check(file, about.get(part, {}), _CONFIG, f"{part} ")
    for name, form in about.get("forms", {}).items():
        _check(file, form, SHAPE, f"forms {name} ")
    return about


def stored_config(path: Path, about: Mapping[str, Any], name: str = "run.json") -> SearchConfig:
    """The configuration that the run at `path` was begun with, of what its file `name` holds.

    Raises:
        UserError: it is damaged, or a later version's.
    """
    file = path / name
    config = about["config"]
    _check_known(file, config)
    _check_config(file, config)
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    return SearchConfig(**plain)


def _check_known(file: Path, settings: Mapping[str, Any]) -> None:
    """Refuse settings that are none of a `SearchConfig`'s."""
    unknown = sorted(settings.keys() - _CONFIG.keys())
    if unknown:
        raise UserError(
            f"{file}: knows a setting {unknown[0][:40]!r} that this version does not; resume with the version "
            "that wrote it"
        )


def _check_config(file: Path, config: Mapping[str, Any]) -> None:
    """Refuse settings that are missing or of a wrong type; those of other versions may be anything."""
    missing = next((name for name in _NEEDED if name not in config), None)
    if missing is not None:
        raise UserError(f"{file}: its config is damaged (no {missing}); restore the file")
    _check(file, config, _CONFIG, "config ")


def read_result(path: Path) -> dict[str, Any] | None:
    """The content of ``result.json``; None while the run, or its adapter, is not complete.

    Raises:
        UserError: the file is damaged.
    """
    file = path / "result.json"
    if not file.exists() or not (path / "best").is_dir():
        return None
    try:
        result = read_json(file)
        _check_result(file, result)
    except (UserError, OSError) as error:
        what = str(error).removeprefix(f"{file}: ").removesuffix("; restore the file")
        raise UserError(f"{file}: damaged ({what}); remove it and resume: the journal has all scores") from error
    return dict(result)


def result_of(run: Path) -> tuple[str, str | None]:
    """(base, adapter) of a finished run; of one over whole models (its best model, mixture or graph, None).

    Raises:
        UserError: not a run directory, or one that has not ended yet.
    """
    base = stored_config(run, read_about(run)).base
    if not (run / "best").is_dir():
        raise UserError(f"{run}: has no best/ yet; finish it with: swarm-llm resume {run}")
    return (base, str(run / "best")) if (run / "best" / "adapter_config.json").is_file() else (str(run / "best"), None)


def _check_result(file: Path, result: object) -> None:
    if not isinstance(result, dict):
        raise UserError(f"{file}: holds no object")
    _check(file, {**dict.fromkeys(_ALWAYS), **result}, _RESULT)
    for place, shape in _PARTS.items():
        for part in _at(result, place.split("/")):
            if not isinstance(part, dict):
                raise UserError(f"{file}: {place} is missing or of a wrong type; restore the file")
            _check(file, {**dict.fromkeys(shape), **part}, shape, f"{place} ")
    for rival in result.get("rivals", ()):
        _check(file, {**dict.fromkeys(("name", "label")), **rival}, _RIVAL, "rivals ")
    _check(file, result["stop"], _LIMITS, "stop ")
    if result["best_single"] not in result["coefficients"]:
        raise UserError(f"{file}: best_single is none of the experts")
    if "confirm" in result and not _has_chosen(result["confirm"]):
        raise UserError(f"{file}: confirm has no such candidate")


def _has_chosen(confirm: Mapping[str, Any]) -> bool:
    leaders, chosen = confirm["candidates"], confirm["chosen"]
    return 0 <= chosen < len(leaders) and all({"dev", "fresh"} <= leader.keys() for leader in leaders)


def _check(file: Path, found: Mapping[str, Any], shape: Mapping[str, Any], where: str = "") -> None:
    """Refuse values of another type than `shape` says; what it does not name may be anything."""
    for name, hint in shape.items():
        if name in found and not fits(found[name], hint):
            raise UserError(f"{file}: {where}{name} is missing or of a wrong type; restore the file")


def _at(found: Mapping[str, Any], place: list[str]) -> list[Mapping[str, Any]]:
    """The parts at a place that are there."""
    if not place:
        return [found]
    names = list(found) if place[0] == "*" else [name for name in place[:1] if name in found]
    return [part for name in names for part in _at(found[name], place[1:])]


def this_process() -> str:
    """What `OWNER` says while this process is at work on a run."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def at_work(path: Path) -> bool:
    """Whether a process is running on a run directory, as far as one can tell without trying its lock.

    A process on another machine that left its name counts as running: it cannot be checked.
    """
    try:
        found = re.fullmatch(r"process (\d{1,20}) on (.*)", read_text(path / OWNER, limit=1000))
    except (OSError, UserError):
        return False
    if found is None or found[2] != socket.gethostname():
        return found is not None
    try:
        os.kill(int(found[1]), 0)  # signal 0 only checks that the process exists
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
