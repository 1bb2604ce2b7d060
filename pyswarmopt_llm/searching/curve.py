"""What more labels may add: the training of the result, on a quarter, half and all of the labels."""

from __future__ import annotations

import random
from dataclasses import asdict, replace

from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.run.result import CurvePoint, RunResult
from pyswarmopt_llm.scores.choices import training_passes
from pyswarmopt_llm.searching.find import Explored, Trained
from pyswarmopt_llm.searching.finish import scores_of
from pyswarmopt_llm.searching.plan import parts_of
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.training.fitting import Fitting


def with_curve(
    job: Job, run: RunDirectory, found: Explored, trained: Trained, result: RunResult
) -> RunResult:
    """The result with its training on fewer labels, all scored on test. They are drawn by the
    search's seed; a quarter is part of the half. Where training started was chosen on all labels.
    """
    fitting = trained.fittings.get("trained")
    whole = result.models["trained"].test if fitting else None
    if fitting is None or whole is None:
        return result
    shuffled = random.Random(job.config.seed).sample(fitting.items, len(fitting.items))
    points = []
    for count in parts_of(len(shuffled)):
        points.append(_curve_point(job, run, found, replace(fitting, items=shuffled[:count])))
    passes = sum(training_passes(point.labels) for point in points)
    everything = CurvePoint(len(shuffled), whole)
    return replace(result, curve=[*points, everything], passes=result.passes + passes)


def _curve_point(job: Job, run: RunDirectory, found: Explored, fitting: Fitting) -> CurvePoint:
    """A training on fewer labels; a stored score or LoRA is reused."""
    count = len(fitting.items)
    key = f"{count} labels"
    row = run.store.find_row("curve", key)
    if row is None:
        folder = fitting.folder and fitting.folder / f"of-{count}"
        fewer = replace(fitting, folder=folder, spend=lambda passes: None)
        job.engine.load(fewer.whole())
        evaluator = job.evaluator("test", found.answer_formats)
        row = replace(evaluator.row(), phase="curve", key=key)
        run.store.add("curve", key, asdict(row))
    return CurvePoint(count, scores_of(job.objectives, row, "test"))
