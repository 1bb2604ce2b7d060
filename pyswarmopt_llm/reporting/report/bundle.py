"""A static site of several runs: the report of each, and an index with a row for each. Works from a folder, too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import read_text, refuse_link, write_text
from pyswarmopt_llm.evaluation.run_files import read_about, read_result
from pyswarmopt_llm.models.files import atomic_directory
from pyswarmopt_llm.reporting.report.pages import render
from pyswarmopt_llm.reporting.summary import score_text
from pyswarmopt_llm.reporting.verdict import Verdict, verdict

INDEX = "index"


@dataclass(frozen=True)
class Entry:
    """A run of the site.

    Attributes:
        name: of its directory, made unique; its page is ``NAME.html``.
        tasks: their names.
        verdict: on its result.
        ours, theirs: test scores of the swarm and of the best single expert, with intervals.
        date: when it finished, by the time of its ``result.json`` (UTC).
        page: content of its ``report.html``.
    """

    name: str
    tasks: Sequence[str]
    verdict: Verdict
    ours: str
    theirs: str
    date: str
    page: str


def write_bundle(runs: Sequence[Path], out: Path) -> list[Path]:
    """Write the site, whole or not at all; returns its pages, the index first.

    Args:
        runs: finished runs, at least one.
        out: directory to create.

    Raises:
        UserError: a run is not finished or has no report, or `out` exists.
    """
    names = page_names(path.resolve().name for path in runs)
    entries = [read_entry(path, name) for path, name in zip(runs, names, strict=True)]
    pages = {INDEX: render_index(entries), **{entry.name: entry.page for entry in entries}}
    with atomic_directory(out) as folder:
        try:
            for name, page in pages.items():
                write_text(folder / f"{name}.html", page)
        except OSError as error:
            raise UserError(f"{out}: cannot be written ({error.strerror}); choose another place") from error
    return [out / f"{name}.html" for name in pages]


def render_index(entries: Sequence[Entry]) -> str:
    """``index.html``: no scripts, no external links."""
    better = sum(entry.verdict.kind == "better" for entry in entries)
    return render("reporting/report/bundle.html.j2", entries=entries, better=better)


def read_entry(run: Path, name: str) -> Entry:
    """What the site shows of a finished run.

    Raises:
        UserError: it is not finished, is damaged, or has no report.
    """
    about, result = read_about(run), read_result(run)
    if result is None:
        raise UserError(f"{run}: is not finished; finish it with: swarm-llm resume {run}")
    report = run / "report.html"
    refuse_link(report)
    try:
        page = read_text(report)
    except OSError as error:
        raise UserError(
            f"{report}: cannot be read ({error.strerror}); write it with: swarm-llm report {run}"
        ) from error
    finished = datetime.fromtimestamp((run / "result.json").stat().st_mtime, UTC)
    tasks = list(about["fingerprints"].get("tasks", about["config"]["tasks"]))
    scores = _score(result, "best_test"), _score(result, "best_single_test")
    return Entry(name, tasks, verdict(result), *scores, finished.strftime("%Y-%m-%d"), page)


def _score(result: Mapping[str, Any], key: str) -> str:
    return score_text(result.get(key), result.get("intervals", {}).get(key))


def page_names(names: Iterable[str]) -> Iterator[str]:
    """Names for files and links, all different, also where case does not count; none is the index.

    Example:
        >>> list(page_names(["first", "First", "my run?", "index", "first-2"]))
        ['first', 'First-2', 'my-run', 'index-2', 'first-2-2']
    """
    taken = {INDEX}
    for raw in names:
        plain = re.sub(r"[^\w.-]+", "-", raw, flags=re.ASCII).strip("-.") or "run"
        name, number = plain, 2
        while name.casefold() in taken:
            name, number = f"{plain}-{number}", number + 1
        taken.add(name.casefold())
        yield name
