"""The main job: a swarm of experts searches for a better one.

A search is decided (`plan`), loaded (`prepare`), explored (`find`, `explore`), trained (`train`)
and finished (`finish`). The caller writes card and report (`report.run`). The run directory stores
everything expensive, so resuming means repeating.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import user_path, versions
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.scores.tasks.types import form_of
from pyswarmopt_llm.searching.find import find
from pyswarmopt_llm.searching.finish import finish
from pyswarmopt_llm.searching.prepare import Job, Training, prepare
from pyswarmopt_llm.searching.scoring.run_directory import GRID, About, Fingerprints, Run, check_new


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
    result: Mapping[str, Any]  # content of ``result.json``
    verdict: str = ""  # one sentence

    def __repr__(self) -> str:
        """The run and its main scores, in a line.

        Example:
            >>> scores = {"best_dev": 0.625, "best_test": 0.6, "best_single_test": 0.55}
            >>> SearchResult(Path("runs/a"), scores)
            SearchResult(run='runs/a', best_dev=0.625, best_test=0.600, best_single_test=0.550)
        """
        parts = [f"run={str(self.run)!r}"]
        for name in ("best_dev", "best_test", "best_single_test"):
            value = self.result.get(name)
            if value is not None:
                parts.append(f"{name}={value:.3f}")
        return f"SearchResult({', '.join(parts)})"

    @property
    def table(self) -> list[dict[str, Any]]:
        """The scored models, a row each, for `pandas.DataFrame`: ``model``, then value and 95%
        interval on each split (``dev``, ``dev_low``, ``dev_high``, ``test``, ...; None if missing),
        and ``trained``.
        """
        from pyswarmopt_llm.searching.notebook import rows_of

        return rows_of(self.result)

    def _repr_html_(self) -> str:
        """Verdict, summary line and table for a notebook."""
        from pyswarmopt_llm.searching.notebook import in_html

        return in_html(self.table, self.verdict, repr(self))


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Find a better mixture of experts and train it; with a grid, for several sets of coefficients.

    Args:
        config: what to search, where and how long.
        on_event: called with progress.

    Returns:
        The finished run. Its scores are measured on the files in ``best/``, read back.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.
    """
    path = user_path(config.out)
    check_new(path)
    job = prepare(config)
    return complete(job, Run.create(path, about(job)), on_event)


def about(job: Job) -> About:
    """Content of ``run.json`` for a search."""
    tasks = job.tasks.items()
    return About(
        config=job.plan.config,
        fingerprints=cast(Fingerprints, job.fingerprints),
        base_name=job.pool.base_name,
        versions=versions(),
        notes=job.notes,
        given=job.plan.given,
        forms={name: form_of(task) for name, task in tasks},
        left={name: task.left for name, task in tasks if task.left is not None},
    )


def complete(job: Job, run: Run, on_event: OnEvent | None = None) -> SearchResult:
    """Search, train, and write the result; with a grid of coefficients, first search with each
    draw. Known results are taken from the run.
    """
    tell = on_event or _ignore
    with run.locked():
        if job.plan.config.is_grid:
            from pyswarmopt_llm.searching.draws import choose_draw

            job = choose_draw(job, run, tell)
            run.write_about(about(job))  # no grid from here on
        elif (run.path / GRID).is_file():
            from pyswarmopt_llm.searching.draws import chosen_number

            run.draw = chosen_number(run)
        start = time.perf_counter()
        found = find(job, run, tell)
        training = Training()
        if job.plan.trains:
            from pyswarmopt_llm.searching.train import train_further

            training = train_further(job, run, found, tell)
        tell(Event("closing"))
        _check_base(job, run)
        result = finish(job, run, found, training, start)
        run.keep_best()
        content = result.to_json()
        run.finish(content)
    tell(Event("done", {"result": content}))
    return SearchResult(run.path, content)


def _ignore(event: Event) -> None:
    """Nobody listens."""


def _check_base(job: Job, run: Run) -> None:
    """Refuse a base whose files changed during the search: on a CPU its weights are read from them
    repeatedly.

    Raises:
        UserError: the base has changed.
    """
    config = job.plan.config
    if config.base and not job.plan.kind.several_models:
        now = resolve_base(config.base).fingerprint
        if now != job.fingerprints["base"]:
            raise UserError(
                f"{run.path}: the files of {config.base} changed while the search ran, and its "
                "scores may be of both; start a new run"
            )
