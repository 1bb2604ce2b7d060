"""Analyses of finished runs: what the result gets right that no expert does, where it started, who carries it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import refuse_link, write_json
from pyswarmopt_llm.common.plugins import plugins
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.analyse.experts import without_experts
from pyswarmopt_llm.metrics.external.permission import require
from pyswarmopt_llm.reporting.plots import plot_emergence, plot_origin
from pyswarmopt_llm.reporting.reading import Emergence, Origin, emergence, origin, read_run


class GroupAnalysis(Protocol):
    """What `pyswarmopt_groups` knows of the directories of its groups."""

    def holds(self, path: Path) -> bool:
        """Whether a directory holds a group."""

    def without_members(self, path: Path, tell: Callable[[str], None]) -> dict[str, Any]:
        """The decisions of the group without each member."""


def analyse(
    runs: Sequence[Path],
    out: Path,
    *,
    with_leave_one_out: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    allowed: Collection[str] = (),
) -> dict[str, Any]:
    """Analyse finished runs; write ``analysis.json`` and the plots.

    Args:
        runs: run directories; leave-one-out is of the first. Or one directory of `ensemble` or `negotiate`, for
            leave-one-out alone.
        out: directory to write to.
        with_leave_one_out: decide without each expert or member.
        tell: called with a line before every candidate.
        allowed: what of the first run's configuration may run code; see `permission.require`.

    Returns:
        ``runs``: per run its `Emergence` per task and its `Origin`. ``weak_to_strong``: share of runs whose best
        started in the lower half. ``leave_one_out``: see `without_experts`. Of a group only that: see `GroupAnalysis`.
    """
    group = _group_analysis(runs)
    if group is not None:
        return _analyse_group(group, runs, out, with_leave_one_out, tell)
    opened = [read_run(path) for path in runs]
    if with_leave_one_out:
        require(opened[0][0].config, allowed, runs[0])
    _make(out, runs[0])
    cases = [emergence(run.rows, result) for run, result in opened]
    origins = [origin(run.rows, result) for run, result in opened]
    analysis: dict[str, Any] = {
        "runs": [_of_run(*parts) for parts in zip(opened, cases, origins, strict=True)],
        "weak_to_strong": sum(start.weak_to_strong for start in origins) / len(origins),
    }
    plot_emergence(out / "emergence.png", [run.path.name for run, _ in opened], cases)
    if not all(start.proposed for start in origins):  # else no particle has a start that could be drawn
        plot_origin(out / "origin.png", origins)
    if with_leave_one_out:
        analysis["leave_one_out"] = without_experts(*opened[0], tell, allowed)
    write_json(out / "analysis.json", analysis)
    return analysis


def _of_run(opened: tuple[Run, Any], cases: Mapping[str, Emergence], start: Origin) -> dict[str, Any]:
    """One run's part of ``analysis.json``."""
    tasks = {name: {**asdict(case), "share": case.share} for name, case in cases.items()}
    return {"run": str(opened[0].path), "emergence": tasks, "origin": start.to_json()}


def _group_analysis(runs: Sequence[Path]) -> GroupAnalysis | None:
    """The analysis of another package that knows what one of these directories holds."""
    for point in plugins("analyses").values():
        analysis: GroupAnalysis = point.load()
        if any(analysis.holds(run) for run in runs):
            return analysis
    return None


def _analyse_group(
    analysis: GroupAnalysis, runs: Sequence[Path], out: Path, left_out: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Leave-one-out of a group; `left_out`: whether it is asked for."""
    if len(runs) > 1 or not left_out:
        group = next(filter(analysis.holds, runs))
        raise UserError(f"{group}: is a group, not a search; analyse it alone, with `leave_one_out`")
    record = {"leave_one_out": analysis.without_members(runs[0], tell)}
    _make(out, runs[0])
    write_json(out / "analysis.json", record)
    return record


def _make(out: Path, run: Path) -> None:
    """Create the output directory; in the run, which may be a stranger's, it is no link."""
    try:
        if out == run / "analysis":
            refuse_link(out)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be created ({error.strerror}); choose another `out`") from error
