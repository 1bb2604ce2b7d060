"""Read what a run wrote down, without its lock and without torch: for those who look on while it works."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import RETIRED, SearchConfig
from pyswarmopt_llm.common.errors import UserError

FORMAT = 1  # of run.json and history.jsonl
OWNER = ".owner"  # names the process that holds the lock


def read_about(path: Path) -> dict[str, Any]:
    """The content of ``run.json``.

    Raises:
        UserError: `path` is not a run, is damaged, or was written by another version of this format.
    """
    file = path / "run.json"
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: not a run directory ({file.name}: {error.strerror}); check the path") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{file}: line {error.lineno}: not valid JSON ({error.msg}); restore the file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text; restore the file") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else None
        raise UserError(f"{file}: format {found!r}, not {FORMAT}; resume with the version that wrote it")
    if not all(isinstance(about.get(key), dict) for key in ("config", "fingerprints")):
        raise UserError(f"{file}: lacks config or fingerprints; restore the file")
    return about


def stored_config(path: Path, about: Mapping[str, Any]) -> SearchConfig:
    """The configuration that the run at `path` was begun with.

    Raises:
        UserError: it is damaged, or a later version's.
    """
    known = {field.name for field in fields(SearchConfig)}
    unknown = sorted(about["config"].keys() - known - RETIRED.keys())
    if unknown:
        raise UserError(
            f"{path / 'run.json'}: knows a setting {unknown[0]!r} that this version does not; resume with the version "
            "that wrote it"
        )
    try:
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in about["config"].items() if k in known
        }
        return SearchConfig(**plain)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path / 'run.json'}: its config is damaged ({error}); restore the file") from error


def check_resumable(path: Path, about: Mapping[str, Any]) -> None:
    """Refuse an unfinished run that was begun with a setting that is gone (`config.RETIRED`).

    Raises:
        UserError: names the setting.
    """
    for name, harmless in RETIRED.items():
        value = about["config"].get(name, harmless[0])
        if value not in harmless:
            raise UserError(f"{path}: was begun with {name} = {value}, which is gone; resume with version 0.1.0")


def read_result(path: Path) -> dict[str, Any] | None:
    """The content of ``result.json``; None while the run, or its adapter, is not complete.

    Raises:
        UserError: the file is damaged.
    """
    file = path / "result.json"
    if not file.exists() or not (path / "best").is_dir():
        return None
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{file}: damaged ({error}); remove it and resume: the journal has all scores") from error


def this_process() -> str:
    """What `OWNER` says while this process is at work on a run."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def at_work(path: Path) -> bool:
    """Whether a process is at work on a run, as far as one can tell without trying its lock.

    A process on another machine that left its name counts as one at work: it cannot be asked.
    """
    try:
        found = re.fullmatch(r"process (\d+) on (.*)", (path / OWNER).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
    if found is None or found[2] != socket.gethostname():
        return found is not None
    try:
        os.kill(int(found[1]), 0)  # signal 0 asks whether it is there and sends nothing
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


__all__ = [
    "FORMAT",
    "OWNER",
    "at_work",
    "check_resumable",
    "read_about",
    "read_result",
    "stored_config",
    "this_process",
]
