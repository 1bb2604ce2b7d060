"""``--dry-run`` of compare."""

from __future__ import annotations

from functools import partial

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.jobs.dry_run.plan import Plan, plan, time_items
from pyswarmopt_llm.metrics.objectives import scorings_of
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_rivals.comparison.bench import Bench
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import planned_entries, prepare
from pyswarmopt_rivals.comparison.store import Store
from pyswarmopt_rivals.methods.changes import as_patch

COMPARE_FILES = ("about.json", "scores.jsonl", "outcomes.jsonl", "compare.json", "compare.md", "compare.html")


def dry_run_compare(config: CompareConfig) -> Plan:
    """The cost of `compare` with this configuration."""
    given, contestants, engine = prepare(config)
    candidates = [partial(as_patch, expert) for expert in given.experts[:2]]
    benches, timed = [], {}
    for name, task in given.tasks.items():
        metric = given.metrics[name]
        check_window(task, config.scoring, engine, metric=metric)
        possible = scorings_of(metric, config.scoring, task)
        timed[name] = time_items(engine, task, metric, possible, candidates)
        benches.append(Bench(given.base, engine, given.experts, task, possible[-1], Store(), given.chats, metric))
    entries = list(planned_entries(config, contestants, benches))
    if not entries:
        raise InvalidOption("methods", ",".join(config.methods), "none can take part here; choose others")
    passes, seconds, evaluations = 0, 0.0, 0
    for entry in entries:
        task, models = entry.bench.task, len(given.experts) if entry.who.kind == "ensemble" else 1
        spent = entry.who.cost(len(given.experts), len(task.dev), entry.budget)
        own = spent + models * (len(task.dev) + len(task.test))
        rounds = own // max(len(task.dev), 1)
        passes, evaluations = passes + own, evaluations + rounds
        seconds += timed[task.name].seconds(own, rounds)
    notes = [f"{len(entries)} runs of {len(contestants)} methods", *(t.note for t in given.tasks.values() if t.note)]
    return plan(
        tuple(timed.values()),
        passes,
        seconds,
        dtype=engine.dtype,
        device=config.device,
        evaluations=evaluations,
        notes=notes,
        out=config.out,
        writes=COMPARE_FILES,
    )
