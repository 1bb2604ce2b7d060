"""Analyses of finished runs, and studies that rerun them: ablations of the algorithm, diversity of the experts."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pyswarmopt_llm.common.config import MODEL_SWARMS, SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import refuse_link, write_json
from pyswarmopt_llm.common.plugins import plugins
from pyswarmopt_llm.evaluation.result import RunResult
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.analyse.experts import without_experts
from pyswarmopt_llm.jobs.search.loop import SearchResult, resume, search
from pyswarmopt_llm.metrics.external.permission import require
from pyswarmopt_llm.reporting.plots import plot_emergence, plot_origin, plot_scores
from pyswarmopt_llm.reporting.reading import emergence, origin, read_run
from pyswarmopt_llm.spaces import space_kind

_NEVER = 10**9

# What is removed -> settings of Model Swarms (Feng et al. 2024, section 5, ablation study).
ABLATIONS: dict[str, tuple[str, ...]] = {
    "no randomness": ("randomness=none",),
    "no repel": ("repel=0",),
    "no inertia": ("inertia=0",),
    "no restart": (f"restart_patience={_NEVER}",),
    "no crossover": (),
}


class GroupAnalysis(Protocol):
    """What `pyswarmopt_groups` knows of the directories of its groups."""

    def holds(self, path: Path) -> bool:
        """Whether a directory holds a group."""

    def without_members(self, path: Path, tell: Callable[[str], None]) -> dict[str, Any]:
        """The decisions of the group without each member."""


@dataclass(frozen=True)
class Variant:
    """One search of an ablation or diversity study."""

    label: str  # what differs from the original search
    dev: float
    test: float | None  # None without test items
    evaluations: int  # positions scored
    run: str  # its directory


def analyse(
    runs: Sequence[Path],
    out: Path,
    *,
    with_ablations: bool = False,
    with_diversity: bool = False,
    with_leave_one_out: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    allowed: Collection[str] = (),
) -> dict[str, Any]:
    """Analyse finished runs; write ``analysis.json`` and the plots.

    Args:
        runs: run directories; ablations, diversity and leave-one-out are of the first. Or one directory of `ensemble`
            or `negotiate`, for leave-one-out alone.
        out: directory to write to.
        with_ablations: rerun without each part of the algorithm.
        with_diversity: rerun with fewer experts.
        with_leave_one_out: decide without each expert or member.
        tell: called with a line before every search.
        allowed: what of the first run's configuration may run code in those searches; see `permission.require`.

    Returns:
        ``runs``: per run its `Emergence` per task and its `Origin`. ``weak_to_strong``: share of runs whose best
        started in the lower half. ``ablations``, ``diversity``: lists of `Variant`, the run itself first.
        ``leave_one_out``: see `without_experts`. Of a group only that: see `GroupAnalysis`.
    """
    group = _group_analysis(runs)
    if group is not None:
        return _analyse_group(group, runs, out, with_leave_one_out and not (with_ablations or with_diversity), tell)
    opened = [read_run(path) for path in runs]
    if with_ablations:
        check_ablations(opened[0][0])
    if with_ablations or with_diversity or with_leave_one_out:
        require(opened[0][0].config, allowed, runs[0])
    _make(out, runs[0])
    cases = [emergence(run.rows, result) for run, result in opened]
    origins = [origin(run.rows, result) for run, result in opened]
    found: dict[str, Any] = {
        "runs": [
            {
                "run": str(run.path),
                "emergence": {name: {**asdict(case), "share": case.share} for name, case in of_run.items()},
                "origin": start.to_json(),
            }
            for (run, _), of_run, start in zip(opened, cases, origins, strict=True)
        ],
        "weak_to_strong": sum(start.weak_to_strong for start in origins) / len(origins),
    }
    labels = [run.path.name for run, _ in opened]
    plot_emergence(out / "emergence.png", labels, cases)
    plot_origin(out / "origin.png", origins)
    first, result = opened[0]
    for wanted, name, study in ((with_ablations, "ablations", ablations), (with_diversity, "diversity", diversity)):
        if wanted:
            whole = as_variant("as it was", result, first.path)
            variants = [whole, *study(first.config, out / name, tell, allowed)]
            found[name] = [asdict(variant) for variant in variants]
            plot_scores(out / f"{name}.png", *zip(*((v.label, v.dev, v.test) for v in variants), strict=True))
    if with_leave_one_out:
        found["leave_one_out"] = without_experts(first, result, tell, allowed)
    write_json(out / "analysis.json", found)
    return found


def _group_analysis(runs: Sequence[Path]) -> GroupAnalysis | None:
    """The analysis of another package that knows what one of these directories holds."""
    for point in plugins("analyses").values():
        analysis: GroupAnalysis = point.load()
        if any(analysis.holds(run) for run in runs):
            return analysis
    return None


def _analyse_group(
    analysis: GroupAnalysis, runs: Sequence[Path], out: Path, alone: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Leave-one-out of a group; `alone`: this and nothing else is wanted."""
    if len(runs) > 1 or not alone:
        group = next(filter(analysis.holds, runs))
        raise UserError(f"{group}: is a group, not a search; analyse it alone, with `leave_one_out` and nothing else")
    found = {"leave_one_out": analysis.without_members(runs[0], tell)}
    _make(out, runs[0])
    write_json(out / "analysis.json", found)
    return found


def _make(out: Path, run: Path) -> None:
    """Create the output directory; in the run, which may be a stranger's, it is no link."""
    try:
        if out == run / "analysis":
            refuse_link(out)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be created ({error.strerror}); choose another `out`") from error


def check_ablations(run: Run) -> None:
    """Refuse a search in which there is nothing to remove: the searches without its parts would be equal.

    Raises:
        UserError: it has no iterations, or they are not those of Model Swarms.
    """
    config = run.config
    if not config.iterations:
        raise UserError(f"{run.path}: has no iterations to ablate; analyse a run of swarm-llm search --paper")
    if config.optimizer not in ("auto", MODEL_SWARMS):
        raise UserError(f"{run.path}: is no run of Model Swarms but of {config.optimizer}; leave out `ablations`")


def ablated(config: SearchConfig) -> tuple[str, ...]:
    """What `ablations` removes from a search; graphs are sampled, not crossed."""
    crossed = space_kind(config.space).averages
    return tuple(label for label in ABLATIONS if crossed or label != "no crossover")


def divisors(n: int) -> tuple[int, ...]:
    """Numbers of distinct experts that `diversity` searches from.

    Example:
        >>> divisors(12)
        (2, 3, 4, 6)
    """
    return tuple(d for d in range(2, n) if n % d == 0)


def ablations(
    config: SearchConfig, out: Path, tell: Callable[[str], None], allowed: Collection[str] = ()
) -> list[Variant]:
    """The same search with one part removed at a time; "no crossover" starts from the experts alone.

    Each search has a directory in `out`: finished ones are reused, others resumed.
    """
    variants = []
    for label in ablated(config):
        settings = ABLATIONS[label]
        particles = len(config.experts) if label == "no crossover" else config.population
        changed = replace(config, settings=(*config.settings, *settings), particles=particles)
        variants.append(_variant(label, changed, out / label.replace(" ", "-"), tell, allowed))
    return variants


def diversity(
    config: SearchConfig, out: Path, tell: Callable[[str], None], allowed: Collection[str] = ()
) -> list[Variant]:
    """Searches from d distinct experts, drawn by the run's seed, for each d >= 2 that divides their number.

    The paper's 1x10 to 10x1. Copies of an expert add nothing to a swarm that moves mixing weights, so a search from d
    experts starts from each once and has as many particles as the others.
    """
    n = len(config.experts)
    order = random.Random(config.seed).sample(config.experts, n)
    variants = []
    for d in divisors(n):
        changed = replace(config, experts=tuple(sorted(order[:d], key=config.experts.index)))
        variants.append(_variant(f"{d} distinct", changed, out / f"experts-{d}", tell, allowed))
    return variants


def as_variant(label: str, found: SearchResult | RunResult, run: Path) -> Variant:
    """A finished search as a variant."""
    result = RunResult.from_json(found.result) if isinstance(found, SearchResult) else found
    return Variant(label, result.best_dev, result.best_test, result.evaluations, str(run))


def _variant(
    label: str, config: SearchConfig, run: Path, tell: Callable[[str], None], allowed: Collection[str]
) -> Variant:
    refuse_link(run.parent)
    tell(f"{label}: {run}")
    if (run / "run.json").is_file():
        return as_variant(label, resume(run, allowed=allowed), run)
    # What a preset chose for the run holds for its variants.
    found = search(replace(config, out=str(run), preset="none", no_rivals=True))
    return as_variant(label, found, run)
