"""Analyses of finished runs, written to a directory; among them studies that search again.

Ablations remove a part of the algorithm, diversity takes fewer distinct experts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import refuse_link, write_json
from pyswarmopt_llm.jobs.search.loop import SearchResult, resume, search
from pyswarmopt_llm.metrics.external.permission import require
from pyswarmopt_llm.reporting.plots import plot_emergence, plot_origin, plot_scores
from pyswarmopt_llm.reporting.reading import emergence, origin, read_run, searched
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


@dataclass(frozen=True)
class Variant:
    """One search of an ablation or diversity study.

    Attributes:
        label: what differs from the original search.
        dev: value on dev.
        test: value on held-out test; None without test items.
        evaluations: positions scored.
        run: its directory.
    """

    label: str
    dev: float
    test: float | None
    evaluations: int
    run: str


def ablations(
    config: SearchConfig, out: Path, tell: Callable[[str], None], allowed: Collection[str] = ()
) -> list[Variant]:
    """The same search with one part removed at a time; "no crossover" starts from the experts alone.

    Args:
        config: of the analysed run.
        out: holds a directory for each search; finished ones are reused, others resumed.
        tell: called with a line before every search.
        allowed: see `search.resume`.
    """
    variants = []
    for label, settings in ABLATIONS.items():
        if label == "no crossover" and not space_kind(config.space).averages:
            continue  # graphs are sampled, not crossed
        changed = replace(config, settings=(*config.settings, *settings))
        if label == "no crossover":
            changed = replace(changed, particles=len(config.experts))
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
    for d in (d for d in range(2, n) if n % d == 0):
        drawn = tuple(sorted(order[:d], key=config.experts.index))
        label = f"{d} distinct"
        variants.append(_variant(label, replace(config, experts=drawn), out / f"experts-{d}", tell, allowed))
    return variants


def as_variant(label: str, found: SearchResult | Mapping[str, Any], run: Path) -> Variant:
    """A finished search as a variant."""
    result = found.result if isinstance(found, SearchResult) else found
    return Variant(label, result["best_dev"], result.get("best_test"), result["evaluations"], str(run))


def _variant(
    label: str, config: SearchConfig, run: Path, tell: Callable[[str], None], allowed: Collection[str]
) -> Variant:
    refuse_link(run.parent)
    tell(f"{label}: {run}")
    found = resume(run, allowed=allowed) if (run / "run.json").is_file() else search(replace(config, out=str(run)))
    return as_variant(label, found, run)


def analyse(
    runs: Sequence[Path],
    out: Path,
    *,
    with_ablations: bool = False,
    with_diversity: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    allowed: Collection[str] = (),
) -> dict[str, Any]:
    """Analyse finished runs; write ``analysis.json`` and the plots.

    Args:
        runs: run directories; ablations and diversity rerun the configuration of the first.
        out: directory to write to.
        with_ablations: rerun without each part of the algorithm.
        with_diversity: rerun with fewer experts.
        tell: called with a line before every search.
        allowed: what of the first run's configuration may run code in those searches; see `allow.require`.

    Returns:
        ``runs``: per run its `Emergence` per task and its `Origin`. ``weak_to_strong``: share of runs whose best
        started in the lower half. ``ablations``, ``diversity``: lists of `Variant`, the run itself first.

    Raises:
        UserError: a run is not finished, `out` cannot be written, or a search would run code that is not allowed.
    """
    opened = [read_run(path) for path in runs]
    if with_ablations or with_diversity:
        require(opened[0][0].config, allowed, runs[0])
    try:
        if out == runs[0] / "analysis":
            refuse_link(out)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be created ({error.strerror}); choose another --out") from error
    cases = [emergence(searched(run.rows), result) for run, result in opened]
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
    write_json(out / "analysis.json", found)
    return found


__all__ = ["analyse"]
