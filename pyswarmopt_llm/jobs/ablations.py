"""Studies that rerun a search: ablations of the algorithm, and diversity of the experts."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.regular import refuse_link
from pyswarmopt_llm.jobs.search.loop import SearchResult, resume, search
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
