"""``--dry-run`` of analyse."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from pyswarmopt_llm.groups.leave_one_out import holds_group
from pyswarmopt_llm.jobs.analyse.analyse import ablated, divisors
from pyswarmopt_llm.jobs.dry_run.plan import Plan, plan
from pyswarmopt_llm.jobs.dry_run.search import dry_run_search
from pyswarmopt_llm.metrics.external.permission import require
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.reporting.reading import read_run

FILES = ("analysis.json", "emergence.png", "origin.png")


def dry_run_analyse(
    runs: Sequence[Path],
    out: Path,
    *,
    with_ablations: bool = False,
    with_diversity: bool = False,
    with_leave_one_out: bool = False,
    allowed: Collection[str] = (),
) -> Plan:
    """The cost of `analyse` with these arguments: searches like the first run's, and candidates without an expert."""
    scores = (with_ablations or with_diversity or with_leave_one_out) and not any(map(holds_group, runs))
    if not scores:
        note = "what was recorded is read: no item is scored"
        dtype = pick_dtype("auto", pick_device("auto"))
        files = FILES[:1] if any(map(holds_group, runs)) else FILES
        return plan((), 0, 0.0, dtype=dtype, device="auto", notes=[note], out=str(out), writes=files)
    run, result = read_run(runs[0])
    require(run.config, allowed, runs[0])
    studies = {"ablations": ablated(run.config) if with_ablations else (), "diversity": ()}
    studies["diversity"] = tuple(map(str, divisors(len(run.config.experts)))) if with_diversity else ()
    searches = sum(map(len, studies.values()))
    alone = 1 + sum(weight != 0 for weight in result["coefficients"].values()) if with_leave_one_out else 0
    one = dry_run_search(replace(run.config, out=str(out / "planned")))
    items, counts = sum(task.dev + task.test for task in one.tasks), [f"{searches} searches like that of {run.path}"]
    seconds = searches * one.seconds + sum(task.seconds(alone * (task.dev + task.test), alone) for task in one.tasks)
    return replace(
        one,
        evaluations=searches * one.evaluations + alone,
        passes=searches * one.passes + alone * items,
        seconds=round(seconds, 1),
        notes=(*(counts if searches else ()), *one.notes),
        out=str(out),
        writes=(*FILES, *(f"{name}/" for name, variants in studies.items() if variants)),
    )
