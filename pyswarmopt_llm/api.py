"""Where the road begins: `search` and `resume`, a run with its model card and its report."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import refuse_links, user_path
from pyswarmopt_llm.common.trust import require
from pyswarmopt_llm.report.findings import verdict
from pyswarmopt_llm.report.write import CARD, PAGE, read_run, write_report
from pyswarmopt_llm.run.directory import (
    RunDirectory,
    check_fingerprints,
    check_new,
    exclusive,
    result_digests,
)
from pyswarmopt_llm.run.record import FRONT
from pyswarmopt_llm.run.result import RunResult, read_result
from pyswarmopt_llm.searching.prepare import prepare, reopen
from pyswarmopt_llm.searching.stages import about, complete


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Example:
        >>> experts = ("adapters/math", "adapters/science")  # doctest: +SKIP
        >>> config = sl.SearchConfig("my/base", experts, ("questions.json",), "runs/a")  # doctest: +SKIP
        >>> found = sl.search(config)  # doctest: +SKIP
        >>> found.run.name, found.result["best_dev"]  # doctest: +SKIP
        ('a', 0.625)
    """

    run: Path  # the run directory; its ``best/`` is the adapter
    result: Mapping[str, Any] = field(repr=False)  # content of ``result.json``
    verdict: str = ""  # one sentence


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Find a better mixture of experts and train it; with a grid, try several sets of coefficients.

    Args:
        config: settings of the search.
        on_event: called with each event.

    Returns:
        The finished run. Its scores are measured on the files in ``best/``, read back.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.

    Example:
        >>> experts = ("adapters/math", "adapters/science")
        >>> config = SearchConfig("my/base", experts, ("questions.json",), "runs/second")
        >>> search(config).result["best_test"]  # doctest: +SKIP
        0.62
    """
    path = user_path(config.out)
    check_new(path)
    job = prepare(config)
    run = RunDirectory.create(path, about(job))
    return _shown(run, complete(job, run, on_event), on_event)


def resume(
    run: str | Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()
) -> SearchResult:
    """Continue a run as if it had not been interrupted; a finished run just returns its
    result.

    Args:
        run: run directory.
        on_event: called with each event.
        allowed: what the configuration may run, as given at the start: names of functions
            and metrics.

    Returns:
        The finished run.

    Example:
        >>> resume("runs/first").run  # doctest: +SKIP
        PosixPath('runs/first')

    Raises:
        UserError: the directory is not a run, it would execute code that is not allowed, or the
            base model, experts, data or a finished result's files have changed.
    """
    opened = RunDirectory(user_path(run))
    result = read_result(opened.path)
    if result is None:
        config = opened.about.config
        require(config, allowed, opened.path)
        job = reopen(config, opened.about.given)
        check_fingerprints(opened.path, opened.about, about(job).fingerprints)
        result = complete(job, opened, on_event)
    elif "best" in opened.about.fingerprints:
        check_fingerprints(opened.path, opened.about, result_digests(opened.path))
    return _shown(opened, result, on_event)


def _shown(run: RunDirectory, result: RunResult, on_event: OnEvent | None = None) -> SearchResult:
    """The search result with its verdict; its card and report are written, if they are not there."""
    content = result.to_json()
    if on_event is not None:
        on_event(Event("done", {"result": content}))
    if not all((run.path / name).is_file() for name in (CARD, PAGE)):
        write_report(run.path)
    return SearchResult(run.path, content, verdict(result).sentence)


def choose(path: Path, number: int) -> SearchResult:
    """Make a point of the front the result: its files become ``best/``, with card and report.

    Args:
        path: finished run of a search for a front.
        number: the point, from 1.

    Returns:
        The run with its new result.

    Raises:
        UserError: the run is not finished, it has no such point, or the point's files have changed.
        OSError: the directory cannot be written to.

    Example:
        >>> choose(Path("runs/front"), 3).run  # doctest: +SKIP
        PosixPath('runs/front')
    """
    run, result = read_run(path)
    if not result.chosen:
        raise UserError(f"{path} has no front to choose from; search with `front`")
    if not 1 <= number <= len(result.front):
        raise UserError(f"{path} has no point {number}; choose one of 1 to {len(result.front)}")
    with exclusive(path):
        for folder in (path / "best", path / FRONT):
            refuse_links(folder)
        check_fingerprints(path, run.about, result_digests(path))
        fresh = path / "best.new"
        shutil.rmtree(fresh, ignore_errors=True)  # of an earlier, interrupted call
        shutil.copytree(path / FRONT / str(number), fresh)
        (fresh / "README.md").unlink(missing_ok=True)
        # without it the run is unfinished: a killed call never leaves one point's files and another's scores
        (path / "result.json").unlink()
        shutil.rmtree(path / "best")
        fresh.rename(path / "best")
        content = result.with_point(number)
        run.finish(content.to_json())
    write_report(path)
    return SearchResult(path, content.to_json(), verdict(content).sentence)
