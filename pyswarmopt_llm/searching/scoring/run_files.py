"""Read a run's files without its lock and without torch, while it runs or afterwards.

A run directory is untrusted: everything is validated here, field by field.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import read_json
from pyswarmopt_llm.scores.tasks.types import Form

FORMAT = 1  # of run.json and history.jsonl
# in the directory of a search over a grid of coefficients, from its beginning on
GRID = "grid.json"
UNTRAINED = "untrained"  # the note that says why nothing is trained, and what to do
OWNER = ".owner"  # names the process that holds the lock

_SETTINGS = get_type_hints(SearchConfig)
_NEEDED = ("base", "experts", "tasks", "out")  # the settings without a default


class Fingerprints(TypedDict, total=False):
    """Digests of what a run was begun with: the base, and by name the experts, tasks and score
    functions.
    """

    base: str
    experts: dict[str, str]
    tasks: dict[str, str]
    scores: dict[str, str]


@dataclass(frozen=True)
class About:
    """The content of ``run.json``.

    Attributes:
        config: the configuration, with what the preset chose.
        fingerprints: of base, experts and data.
        base_name: the base's public name; "" or None where it has none.
        versions: package -> version.
        notes: about the tasks, by their names; `UNTRAINED`.
        given, chosen: settings that were given, and those that the preset chose.
        forms: task -> form of its questions; None in runs that do not say.
        left: task -> test items that are not scored.
        noise: of a server's log-probabilities when the run began, in nats.
        server_scores: of the first dev items by the base on that server then, in nats.
    """

    config: SearchConfig
    fingerprints: Fingerprints
    base_name: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    forms: dict[str, Form] | None = None
    left: dict[str, int] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    noise: float = 0.0
    server_scores: tuple[float, ...] = ()

    @property
    def base(self) -> str:
        """The public name of the base."""
        return self.base_name or self.config.base

    @property
    def task_names(self) -> list[str]:
        """The tasks by name."""
        return list(self.fingerprints.get("tasks", ()))


def read_about(path: Path) -> About:
    """The content of ``run.json``.

    Raises:
        UserError: `path` is not a run, is damaged, or was written by another version of this
            format.
    """
    file = path / "run.json"
    try:
        content = read_json(file)
    except OSError as error:
        raise UserError(
            f"{path}: not a run directory ({file.name}: {error.strerror}); check the path"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        version = content.get("format") if isinstance(content, dict) else None
        raise UserError(
            f"{file}: format {str(version)[:40]}, not {FORMAT}; resume with the version that "
            "wrote it"
        )
    return about_from(content, file)


def about_from(content: Mapping[str, Any], file: Path) -> About:
    """What a file like ``run.json`` says of a run.

    Raises:
        UserError: it is damaged, or a later version's.
    """
    if not all(isinstance(content.get(key), dict) for key in ("config", "fingerprints")):
        raise UserError(f"{file}: lacks config or fingerprints; restore the file")
    config = stored_config(content["config"], file)  # which names what is missing
    try:
        about: About = typed(content, About)
    except WrongType as error:
        raise UserError(f"{file}: {error}; restore the file") from error
    given, chosen = _settings(about.given, "given", file), _settings(about.chosen, "chosen", file)
    return replace(about, config=config, given=given, chosen=chosen)


def stored_config(stored: Mapping[str, Any], file: Path) -> SearchConfig:
    """The configuration that a run was begun with.

    Args:
        stored: its settings in `file`.
        file: for messages.

    Raises:
        UserError: they are damaged, or a later version's.
    """
    missing = next((name for name in _NEEDED if name not in stored), None)
    if missing is not None:
        raise UserError(f"{file}: its config is damaged (no {missing}); restore the file")
    return SearchConfig(**_settings(stored, "config", file))


def _settings(stored: Mapping[str, Any], part: str, file: Path) -> dict[str, Any]:
    """Settings of a `SearchConfig`, each of its type."""
    if unknown := sorted(stored.keys() - _SETTINGS.keys()):
        raise UserError(
            f"{file}: knows a setting {unknown[0][:40]!r} that this version does not; resume with "
            "the version "
            "that wrote it"
        )
    try:
        return {
            name: typed(value, _SETTINGS[name], f"{part} {name}") for name, value in stored.items()
        }
    except WrongType as error:
        raise UserError(f"{file}: {error}; restore the file") from error


def result_of(run: Path) -> tuple[str, str | None]:
    """(base, adapter) of a finished run; of one over whole models (its best model, mixture or
    graph, None).

    Raises:
        UserError: not a run directory, or one that has not ended yet.
    """
    base = read_about(run).config.base
    if not (run / "best").is_dir():
        raise UserError(f"{run}: has no best/ yet; finish it with: swarm-llm resume {run}")
    return (
        (base, str(run / "best"))
        if (run / "best" / "adapter_config.json").is_file()
        else (str(run / "best"), None)
    )


def this_process() -> str:
    """What `OWNER` says while this process is at work on a run."""
    return f"process {os.getpid()} on {socket.gethostname()}"
