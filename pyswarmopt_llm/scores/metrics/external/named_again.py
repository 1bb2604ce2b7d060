"""Permissions that a run, perhaps a stranger's, needs from its user: to execute code, and to
contact a judge.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

from pyswarmopt_llm.common.config import LM_EVAL, SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.own import is_function

JUDGE = "judge"


def runs_code(config: SearchConfig) -> Iterator[tuple[str, str]]:
    """Field and value of each setting that executes code, or unpickles data from a cluster."""
    yield from (
        ("tasks", spec) for spec in config.tasks if spec.startswith(LM_EVAL) and _is_file(spec)
    )
    for spec in config.metrics:
        if _metric(spec).startswith("evaluate:") or is_function(spec):
            yield "metrics", spec
    for field in ("optimizer", "space"):
        if is_function(getattr(config, field)):
            yield field, getattr(config, field)
    if not config.workers.isdecimal():
        yield "workers", config.workers


def asks_judge(config: SearchConfig) -> Iterator[tuple[str, str]]:
    """Field and value of each metric that sends texts to the user's judge, with the user's key."""
    for spec in config.metrics:
        if _metric(spec).partition(":")[0] == JUDGE:
            yield "metrics", spec


def metric_to_name(config: SearchConfig) -> str | None:
    """The metric that `swarm-llm eval` of a run with one task must name again; None: no need."""
    named = [*runs_code(config), *asks_judge(config)]
    return next((_metric(spec) for field, spec in named if field == "metrics"), None)


def to_name_again(
    config: SearchConfig, allowed: Collection[str] = (), allow: str = "allow"
) -> list[str]:
    """The options that a command on a run needs for settings not in `allowed`; see `require`."""
    named = [*runs_code(config), *asks_judge(config)]
    code = [(allow or field, value) for field, value in named]
    return [f"`{option}` {shlex.quote(value)}" for option, value in code if value not in allowed]


def require(
    config: SearchConfig, allowed: Collection[str], run: Path, allow: str = "allow"
) -> None:
    """Refuse a ``run.json`` that executes code, or contacts a judge, unless these
    settings are given again.

    `allow` is the command's option for code; empty if the settings have options of their own.

    This happens before any import. A fingerprint would not help: an attacker who can write a module
    next to a ``run.json`` can write its fingerprint, too.
    """
    code = list(runs_code(config))
    judges = list(asks_judge(config))
    known = {value for _, value in (*code, *judges)}
    other = sorted(set(allowed) - known)
    if other:
        raise UserError(
            f"{run}: was not started with {other[0]}; remove it, or start a new run with it"
        )
    missing = to_name_again(config, allowed, allow)
    if missing:
        what = "code to run" if code else "a judge to pay for"
        raise UserError(
            f"{run}: its run.json names {what}; if you trust it, add {' '.join(missing)}"
        )


def _metric(spec: str) -> str:
    """The metric in ``NAME`` or ``TASK=NAME``, which may contain further "=" signs."""
    task, _, metric = spec.partition("=")
    return metric or task


def _is_file(spec: str) -> bool:
    """Whether a harness task is anything but a plain name."""
    name = spec.removeprefix(LM_EVAL).partition("#")[0]
    return not name.replace("_", "").replace("-", "").isalnum()
