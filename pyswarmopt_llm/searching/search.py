"""The main job: a swarm of experts searches for a better one.

A search is decided (`decide`), loaded (`prepare`), explored (`find`), trained (`train`) and
finished (`finish`). The caller writes the card and the report (`report.run`). The run directory
stores everything expensive, so resuming means repeating: known results are replayed, then the
search continues.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import CHOICES, SearchConfig, search_command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import digest, user_path, versions
from pyswarmopt_llm.scores.tasks.types import SPLITS, form_of
from pyswarmopt_llm.searching.find import Trained, find
from pyswarmopt_llm.searching.finish import finish
from pyswarmopt_llm.searching.prepare import Job, prepare, reopen
from pyswarmopt_llm.searching.scoring.record import TRAINED
from pyswarmopt_llm.searching.scoring.result import read_result
from pyswarmopt_llm.searching.scoring.run_directory import About, Run, check_fingerprints, check_new
from pyswarmopt_llm.searching.scoring.scorer import position_key

# settings with digests of their own, and those that a run may be resumed with
FREE = {"base", "experts", "tasks", "out", "workers", "device", "threads"}


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
        """The run and its score on dev, in a line.

        Example:
            >>> SearchResult(Path("runs/a"), {"best_dev": 0.625})
            SearchResult(run='runs/a', best_dev=0.625)
        """
        return f"SearchResult(run={str(self.run)!r}, best_dev={self.result['best_dev']:.3f})"

    @property
    def table(self) -> list[dict[str, Any]]:
        """The scored models, one row each, for `pandas.DataFrame`: ``model``, then value and 95%
        interval on each split (``dev``, ``dev_low``, ``dev_high``, ``test``, ...; None if missing),
        and ``trained``.
        """
        rows = []
        for name, model in self.result["models"].items():
            row = {"model": name}
            for split in SPLITS:
                scores = model.get(split) or {}
                low, high = scores.get("interval") or (None, None)
                row |= {split: scores.get("value"), f"{split}_low": low, f"{split}_high": high}
            rows.append({**row, "trained": model["trained"]})
        return rows


def search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Find a better mixture of experts and train it; with a grid, for several sets of coefficients.

    Args:
        config: what to search, where and how long.
        on_event: called with each event.

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


def resume(
    run: str | Path,
    on_event: OnEvent | None = None,
    allowed: Collection[str] = (),
) -> SearchResult:
    """Continue a run as if it had not been interrupted; a finished run just returns its
    result.

    Args:
        run: run directory.
        on_event: called with each event.
        allowed: what the configuration may run, as given at the start; see
            `named_again.require`.

    Raises:
        UserError: the directory is not a run, it would execute code that is not allowed, or the
            base model, experts or data have changed.
    """
    opened = Run(user_path(run))
    if (finished := read_result(opened.path)) is not None:
        result = finished.to_json()
        if on_event is not None:
            on_event(Event("done", {"result": result}))
        return SearchResult(opened.path, result)
    from pyswarmopt_llm.scores.metrics.named_again import require

    require(opened.about.config, allowed, opened.path)
    job = reopen(opened.about.config, opened.about.given)
    check_unchanged(opened, job)
    return complete(job, opened, on_event)


def complete(job: Job, run: Run, on_event: OnEvent | None = None) -> SearchResult:
    """Search, train, and write the result; with a grid of coefficients, first search with each
    draw. Known results are taken from the run.
    """
    if on_event is not None:
        job = replace(job, tell=on_event)
    with run.locked():
        if job.plan.config.is_grid:
            from pyswarmopt_llm.searching.grid import choose_draw

            job = choose_draw(job, run)
            run.write_about(about(job))  # no grid from here on
        start = time.perf_counter()
        found = find(job, run)
        trained = Trained(found.chosen)
        if job.plan.trains and job.objectives.written:
            from pyswarmopt_llm.searching.written.expert_iteration import train_on_replies

            trained = train_on_replies(job, run, found)
        elif job.plan.trains:
            from pyswarmopt_llm.searching.train import train_on_labels

            trained = train_on_labels(job, found, run.path / TRAINED)
        job.tell(Event("closing"))
        content = finish(job, run, found, trained, start).to_json()
        run.finish(content)
    job.tell(Event("done", {"result": content}))
    return SearchResult(run.path, content)


def about(job: Job) -> About:
    """Content of ``run.json`` for a search."""
    tasks = job.tasks.items()
    given = job.plan.given
    defaults = {name: getattr(SearchConfig, name) for name in CHOICES}
    return About(
        config=job.plan.config,
        fingerprints={**job.fingerprints, "settings": _settings(job)},
        base_name=job.pool.base_name,
        versions=versions(),
        notes=job.notes,
        given=given,
        forms={name: form_of(task) for name, task in tasks},
        command=search_command(replace(job.plan.config, **(defaults | dict(given)))),
    )


def _settings(job: Job) -> str:
    """A digest of the settings that determine the numbers."""
    settings = asdict(job.plan.config)
    return digest([settings[name] for name in sorted(settings.keys() - FREE)])


def check_unchanged(run: Run, job: Job) -> None:
    """Refuse to continue a run whose base, experts, data, scores or settings have changed.

    A changed score function, for example a fixed one, is accepted if it gives an already scored
    expert the same values, or if nothing is scored yet.

    Raises:
        UserError: names what changed.
    """
    now: dict[str, Any] = {**job.fingerprints, "settings": _settings(job)}
    before = run.about.fingerprints.get("scores", {})
    after = now.pop("scores", {})
    check_fingerprints(run.path, run.about, now)
    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    vertex = job.pool.space.vertices()[0]
    row = run.store.find_row("search", position_key(vertex))
    if row is None or not changed:
        return
    job.engine.load(job.pool.space.realise(vertex))
    utilities = job.utilities("dev", dict.fromkeys(job.tasks, "generate"))
    for name in changed:
        if utilities[name](job.engine).per_item != row.tasks[name].per_item:
            raise UserError(
                f"{run.path}: the metric of {name} has changed since the run began and now gives "
                "a reply a different score; restore it, or start a new run"
            )
