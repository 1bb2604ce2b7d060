"""``--dry-run`` of merge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pyswarmopt_llm.baselines.changes import as_patch
from pyswarmopt_llm.baselines.method import Options
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.jobs.compare.contestants import contestant
from pyswarmopt_llm.jobs.dry_run.plan import Plan, plan, time_items, trial_items
from pyswarmopt_llm.jobs.dry_run.training import ADAPTER_FILES
from pyswarmopt_llm.jobs.merge import checked
from pyswarmopt_llm.metrics.objectives import find_metrics, scorings_of
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_llm.models.adapters.adapter import load_adapter
from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.spaces.load import load_engine
from pyswarmopt_llm.tasks import Task


def dry_run_merge(
    base: str,
    experts: Sequence[str],
    method: str,
    space: str | None,
    out: str,
    options: Options,
    task: Task | None,
    budget_items: int,
) -> Plan:
    """The cost of `merge_experts` with these arguments."""
    _, settings = checked(method, experts, space, user_path(out), options, None if task is None else task.source)
    model, dtype = resolve_base(base), pick_dtype("auto", pick_device("auto"))
    report = inspect_experts(experts, model)
    report.require(settings.space)
    if task is None:
        note = f"{method} is a fixed rule: no item is scored, it takes what reading and writing the weights takes"
        return plan((), 0, 0.0, dtype=dtype, device="auto", notes=[note], out=out, writes=ADAPTER_FILES)
    engine, metric = load_engine(model, "auto", "auto", None), find_metrics({task.name: task})[task.name]
    check_window(task, "auto", engine, ("dev",), metric)
    candidates = [partial(as_patch, load_adapter(info)) for info in report.experts[:2]]
    possible = scorings_of(metric, "auto", task)
    timed = time_items(engine, task, metric, possible, candidates)
    tried = len(experts) * trial_items(len(task.dev), possible)
    passes = contestant(method).cost(len(experts), len(task.dev), budget_items) + tried
    rounds = passes // max(len(task.dev), 1)
    notes = [f"--budget-items {budget_items} bounds the items", *([task.note] if task.note else [])]
    seconds = timed.seconds(passes, rounds)
    return plan(
        (timed,), passes, seconds, dtype=dtype, device="auto", notes=notes, out=out, writes=ADAPTER_FILES
    )
