"""Code runs only when the person at the keyboard names it: what files may name, and what has to be said again."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tasks import Task

LM_EVAL = "lm-eval:"


def metric_of(task: Task) -> str:
    """The metric that a task brings along, else accuracy. A file may name one by its plain name only.

    Raises:
        UserError: its metric is a module, a path or a model.

    Example:
        >>> metric_of(Task("quiz", (), (), metric="numeric"))
        'numeric'
    """
    if task.metric is None:
        return "accuracy"
    if ":" in task.metric:
        raise UserError(
            f"{task.source}: its metric {task.metric!r} is more than a plain name, which is all that a file may give; "
            f"if you trust it, add --metric {shlex.quote(task.metric)}"
        )
    return task.metric


def runs_code(config: SearchConfig) -> Iterator[tuple[str, str]]:
    """Option and value of each setting that imports a module, runs a script, or unpickles what a cluster sends."""
    yield from (("--utility", spec) for spec in config.utilities)
    yield from (("--task", spec) for spec in config.tasks if spec.startswith(LM_EVAL) and _is_file(spec))
    yield from (("--metric", spec) for spec in config.metrics if spec.rpartition("=")[2].startswith("evaluate:"))
    if not config.workers.isdecimal():
        yield "--workers", config.workers


def require(config: SearchConfig, allowed: Collection[str], run: Path) -> None:
    """Refuse a stored configuration that runs code, unless each of these settings is given again.

    Nothing has been imported by then. It need not match a fingerprint first: whoever can write a module beside a
    ``run.json`` can write its fingerprint, too.

    Args:
        config: from a ``run.json``.
        allowed: values of `runs_code`, word for word.
        run: its directory, for messages.

    Raises:
        UserError: names the options that are missing, or an allowed value that the run does not have.
    """
    found = list(runs_code(config))
    other = sorted(set(allowed) - {value for _, value in found})
    if other:
        raise UserError(f"{run}: was not begun with {other[0]}; leave it out, or begin a new run with it")
    missing = [f"{option} {shlex.quote(value)}" for option, value in found if value not in allowed]
    if missing:
        raise UserError(f"{run}: its run.json names code to run; if you trust it, add {' '.join(missing)}")


def _is_file(spec: str) -> bool:
    """Whether a harness task is anything but a plain name of the harness's own."""
    name = spec.removeprefix(LM_EVAL).partition("#")[0]
    return not name.replace("_", "").replace("-", "").isalnum()


__all__ = ["LM_EVAL", "metric_of", "require", "runs_code"]
