"""Permissions that a run, perhaps somebody else's, needs from its user: to execute code, and to
contact a judge.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

from pyswarmopt_llm.common.config import LM_EVAL, SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.own import is_function

_HARNESS_FILE = re.compile(rf"{LM_EVAL}(?![\w-]+(?:#|\Z))")  # not a plain name


def trusted(config: SearchConfig) -> Iterator[tuple[str, str]]:
    """Field and value of each setting that executes code, unpickles data from a cluster, or sends
    texts to the user's judge with the user's key.
    """
    for spec in config.tasks:
        if _HARNESS_FILE.match(spec):
            yield "tasks", spec
    for spec in config.metrics:
        # the task, if any, and the metric
        kinds = [part.partition(":")[0] for part in spec.split("=", 1)]
        if is_function(spec) or not {"evaluate", "judge"}.isdisjoint(kinds):
            yield "metrics", spec
    if is_function(config.optimizer):
        yield "optimizer", config.optimizer
    if not config.workers.isdecimal():
        yield "workers", config.workers


def require(
    config: SearchConfig, allowed: Collection[str], run: Path, allow: str = "allow"
) -> None:
    """Refuse a ``run.json`` that executes code, or contacts a judge, unless these settings are given
    again.

    `allow` is the command's option for code; empty if the settings have options of their own.

    This happens before any import. A fingerprint would not help: an attacker who can write a module
    next to a ``run.json`` can also write its fingerprint.
    """
    other = set(allowed) - {value for _, value in trusted(config)}
    if other:
        raise UserError(
            f"{run} was not started with {min(other)}; remove that option, or start a new run"
        )
    missing = [
        f"`{allow or field}` {shlex.quote(value)}"
        for field, value in trusted(config)
        if value not in allowed
    ]
    if missing:
        why = "its run.json names code to run or a judge that may cost money; if you trust it, add"
        raise UserError(f"{run}: {why} {' '.join(missing)}")
