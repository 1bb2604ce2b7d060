"""``--dry-run`` of eval and inspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyswarmopt_llm.jobs.dry_run.plan import Plan, paid_note, plan, time_items, trial_items
from pyswarmopt_llm.jobs.evaluate.against import Turns, two_models
from pyswarmopt_llm.jobs.evaluate.blind import free_replies
from pyswarmopt_llm.jobs.evaluate.config import EvalConfig
from pyswarmopt_llm.jobs.evaluate.model import Exam
from pyswarmopt_llm.jobs.evaluate.names import model_of
from pyswarmopt_llm.metrics.objectives import scorings_of


def dry_run_eval(config: EvalConfig) -> Plan:
    """The cost of `eval` with this configuration: of one model, or of two."""
    models = (model_of(config.base, config.adapter),) if config.against is None else two_models(config)
    exam = Exam.of(config) if config.blind is None else free_replies(config)
    task, metric = exam.task, exam.metric
    possible, opened, timed = scorings_of(metric, config.scoring, task), Turns(config, models), {}
    for model in models:
        if model[0] not in timed:  # another adapter of the same base costs the same
            engine = opened.engine(model)
            exam.check(engine, config.scoring)
            found = time_items(engine, task, metric, possible, (), config.split)
            timed[model[0]] = replace(found, name=f"{task.name} ({model[0]})") if len(models) > 1 else found
    each = len(exam.items) * (1 + len(config.perturb)) + trial_items(len(task.dev), possible)
    seconds = sum(timed[base].seconds(each) for base, _ in models)
    notes = [task.note] if task.note else []
    if metric.usage is not None:
        notes.append(paid_note(metric.name))
    passes, tasks = each * len(models), tuple(timed.values())
    return plan(tasks, passes, seconds, dtype=engine.dtype, device=config.device, notes=notes)


def dry_run_inspect(experts: Sequence[str], base: str, task: str) -> Plan:
    """The cost of `inspect` with a task: base and experts on its dev items."""
    one, models = dry_run_eval(EvalConfig(base=base, task=task, split="dev")), 1 + len(experts)
    return replace(one, passes=models * one.passes, seconds=round(models * one.seconds, 1))
