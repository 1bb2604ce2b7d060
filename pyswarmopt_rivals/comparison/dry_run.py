"""``--dry-run`` of compare."""

from __future__ import annotations

from functools import partial

from pyswarmopt_llm.scores.metrics.objectives import scorings_of
from pyswarmopt_llm.searching.dry_run import PlannedCost, cost_of, time_items
from pyswarmopt_llm.searching.scoring.record import RESULTS
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import plan, prepare

COMPARE_FILES = ("about.json", RESULTS, "compare.json", "compare.md", "compare.html")


def dry_run_compare(config: CompareConfig) -> PlannedCost:
    """The cost of `compare` with this configuration."""
    benches, methods = prepare(config)
    engine, experts = benches[0].engine, benches[0].experts
    candidates = [partial(as_patch, expert) for expert in experts[:2]]
    timed = {}
    for bench in benches:
        possible = scorings_of(bench.metric, config.scoring, bench.task)
        timed[bench] = time_items(engine, bench.task, bench.metric, possible, candidates)
    entries, _ = plan(config, methods, benches)
    notes = [bench.task.note for bench in benches if bench.task.note]
    passes, seconds, evaluations = 0, 0.0, 0
    for entry in entries:
        task, models = entry.bench.task, len(experts) if entry.method.kind == "ensemble" else 1
        spent = entry.method.cost(len(experts), len(task.dev), entry.budget)
        items = spent + models * (len(task.dev) + len(task.test))
        rounds = items // max(len(task.dev), 1)
        passes, evaluations = passes + items, evaluations + rounds
        seconds += timed[entry.bench].seconds(items, rounds)
    return cost_of(
        tuple(timed.values()),
        passes,
        seconds,
        dtype=engine.dtype,
        device=config.device,
        evaluations=evaluations,
        notes=[f"{len(entries)} runs of {len(methods)} methods", *notes],
        out=config.out,
        writes=COMPARE_FILES,
    )
