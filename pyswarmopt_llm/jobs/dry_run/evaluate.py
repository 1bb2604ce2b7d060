"""``--dry-run`` of eval."""

from __future__ import annotations

from dataclasses import replace

from pyswarmopt_llm.jobs.dry_run.plan import Plan, paid_note, plan, time_items, trial_items
from pyswarmopt_llm.jobs.evaluate.against import Turns, load_items, two_models
from pyswarmopt_llm.jobs.evaluate.blind import replies_metric
from pyswarmopt_llm.jobs.evaluate.config import EvalConfig
from pyswarmopt_llm.jobs.evaluate.model import metric_for
from pyswarmopt_llm.jobs.evaluate.names import model_of
from pyswarmopt_llm.metrics.external.permission import metric_of
from pyswarmopt_llm.metrics.objectives import scorings_of
from pyswarmopt_llm.metrics.questions.context_window import check_window


def dry_run_eval(config: EvalConfig) -> Plan:
    """The cost of `eval` with this configuration: of one model, or of two."""
    models = (model_of(config.base, config.adapter),) if config.against is None else two_models(config)
    task = load_items(config)
    metric = (
        metric_for(config.metric or metric_of(task), task, config.split, config.device)
        if config.blind is None
        else replies_metric()
    )
    possible, opened, timed = scorings_of(metric, config.scoring, task), Turns(config, models), {}
    for model in models:
        if model[0] not in timed:  # another adapter of the same base costs the same
            engine = opened.engine(model)
            check_window(task, config.scoring, engine, (config.split,), metric)
            found = time_items(engine, task, metric, possible, (), config.split)
            timed[model[0]] = replace(found, name=f"{task.name} ({model[0]})") if len(models) > 1 else found
    each = len(task.split(config.split)) * (1 + len(config.perturb)) + trial_items(len(task.dev), possible)
    seconds = sum(timed[base].seconds(each) for base, _ in models)
    notes = [task.note] if task.note else []
    if metric.usage is not None:
        notes.append(paid_note(metric.name))
    passes, tasks = each * len(models), tuple(timed.values())
    return plan(tasks, passes, seconds, dtype=engine.dtype, device=config.device, notes=notes)


__all__ = ["dry_run_eval"]
