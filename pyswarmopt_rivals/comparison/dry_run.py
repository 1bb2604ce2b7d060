"""``--dry-run`` of compare."""

from __future__ import annotations

from functools import partial

from pyswarmopt_llm.scores.metrics.objectives import scorings_of
from pyswarmopt_llm.searching.dry_run import PlannedCost, cost_of, time_items
from pyswarmopt_llm.searching.scoring.record import RESULTS, Store
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import plan, prepare

COMPARE_FILES = ("about.json", RESULTS, "compare.json", "compare.md", "compare.html")


def dry_run_compare(config: CompareConfig) -> PlannedCost:
    """The cost of `compare` with this configuration."""
    inputs = prepare(config)
    candidates = [partial(as_patch, expert) for expert in inputs.experts[:2]]
    benches, timed = [], {}
    for name, task in inputs.tasks.items():
        possible = scorings_of(inputs.metrics[name], config.scoring, task)
        timed[name] = time_items(inputs.engine, task, inputs.metrics[name], possible, candidates)
        benches.append(inputs.bench(name, config.scoring, Store(None), possible[-1]))
    entries, _ = plan(config, inputs.methods, benches)
    passes, seconds, evaluations = 0, 0.0, 0
    for entry in entries:
        task, models = (
            entry.bench.task,
            len(inputs.experts) if entry.method.kind == "ensemble" else 1,
        )
        spent = entry.method.cost(len(inputs.experts), len(task.dev), entry.budget)
        items = spent + models * (len(task.dev) + len(task.test))
        rounds = items // max(len(task.dev), 1)
        passes, evaluations = passes + items, evaluations + rounds
        seconds += timed[task.name].seconds(items, rounds)
    return cost_of(
        tuple(timed.values()),
        passes,
        seconds,
        dtype=inputs.engine.dtype,
        device=config.device,
        evaluations=evaluations,
        notes=[f"{len(entries)} runs of {len(inputs.methods)} methods", *inputs.notes],
        out=config.out,
        writes=COMPARE_FILES,
    )
