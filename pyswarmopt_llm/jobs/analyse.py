"""Analyses of finished runs, written to a directory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import refuse_link, write_json
from pyswarmopt_llm.jobs.ablations import ablations, as_variant, diversity
from pyswarmopt_llm.metrics.external.permission import require
from pyswarmopt_llm.reporting.plots import plot_emergence, plot_origin, plot_scores
from pyswarmopt_llm.reporting.reading import emergence, origin, read_run, searched


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
