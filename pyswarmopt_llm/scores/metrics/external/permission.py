"""Code runs, and servers get data, only if the user names them: what files may name."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Task

LM_EVAL = "lm-eval:"


def metric_of(task: Task) -> str:
    """The task's own metric, else accuracy. A file may give a plain name only.

    Raises:
        UserError: the metric is a module, a path or a model.

    Example:
        >>> metric_of(Task("quiz", (), (), metric="numeric"))
        'numeric'
    """
    if task.metric is None:
        return "accuracy"
    if ":" in task.metric:
        raise UserError(
            f"{task.source}: its metric {task.metric!r} is more than a plain name, which is all "
            f"that a file may give; if you trust it, add `metric` {shlex.quote(task.metric)}"
        )
    return task.metric


def is_function(spec: str) -> bool:
    """Whether a metric is a function of a Python file.

    Example:
        >>> is_function("mine.py:score"), is_function("style=mine.py:score"), is_function("judge:rules.txt")
        (True, True, False)
    """
    return spec.endswith(".py") or spec.rpartition(":")[0].endswith(".py")


def asks_server(config: SearchConfig) -> Iterator[tuple[str, str]]:
    """Field and value of the server that gets the items and the user's key, and of the folder that
    candidates are written to.

    Example:
        >>> served = SearchConfig("b", (), (), "r", engine="http://a:1", server_folder="/dev/shm")
        >>> [*asks_server(served)], [*asks_server(SearchConfig("b", (), (), "r"))]
        ([('engine', 'http://a:1'), ('server_folder', '/dev/shm')], [])
    """
    if config.served:
        yield "engine", config.engine
        if config.server_folder:
            yield "server_folder", config.server_folder
