"""The points of a front as files with scores on test, and the single knob that they are compared with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyswarmopt.driver.multi.pareto import crowding_distance
from pyswarmopt_llm.common.statistics import Ends, score_interval
from pyswarmopt_llm.run.combined import difference
from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.run.record import FRONT
from pyswarmopt_llm.run.result import KNOB, Model, RunResult, Scores
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.scores.tasks.types import SPLITS
from pyswarmopt_llm.searching.find import Explored
from pyswarmopt_llm.searching.finish import measured
from pyswarmopt_llm.searching.front import STRENGTHS
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scorer import position_key

MOST_POINTS = 9


def with_front(job: Job, run: RunDirectory, found: Explored, result: RunResult) -> RunResult:
    """Score the points of a front on test, drop those that no score tells from another one, and write
    the rest as ``front/1``, ..., the best first score first.

    Args:
        job: the search.
        run: run directory.
        found: outcome of exploring, with a front.
        result: the result so far, whose ``best`` is one of the points.

    Returns:
        The result with the points, and the strengths of the best expert, among its models.
    """
    positions = spread(found, job.objectives.names)
    known = _known(job, found, result)
    models = []
    for number, position in enumerate(positions):
        model = _scored(job, run, found, known, f"point {number}", position)
        models.append(model)
    here = [position.equal(found.chosen.position) for position in positions].index(True)
    kept = different(models, here, job.objectives)
    folder = run.path / FRONT
    shutil.rmtree(folder, ignore_errors=True)  # written by an earlier, interrupted process
    folder.mkdir()
    named: dict[str, Model] = {}
    for number, place in enumerate(kept, start=1):
        job.pool.space.save(positions[place], folder / str(number))
        named[f"{FRONT}/{number}"] = models[place]
    points = [point_of(job.objectives, name, model) for name, model in named.items()]
    everyone = {**result.models, **named, **_knob(job, run, found, known)}
    return replace(
        result, models=everyone, front=points, chosen=kept.index(here) + 1, rule=found.rule
    )


def spread(found: Explored, names: Sequence[str]) -> list[Tensor]:
    """At most `MOST_POINTS` positions of a front, without the most crowded ones; the chosen point
    stays, and its ends, unless there are too many.
    """
    positions = list(found.front)
    while len(positions) > MOST_POINTS:
        values = np.array([_values(found, position, names) for position in positions])
        distances = crowding_distance(values).tolist()
        others = [k for k, one in enumerate(positions) if not one.equal(found.chosen.position)]
        del positions[min(others, key=distances.__getitem__)]
    return positions


def _values(found: Explored, position: Tensor, names: Sequence[str]) -> list[float]:
    """The scores of a position on dev."""
    (row,) = found.scorer.score([position], 0)
    return [row.tasks[name].value for name in names]


def _known(job: Job, found: Explored, result: RunResult) -> dict[str, Model]:
    """Key of a position -> its model, of those that have their scores."""
    vertices = job.pool.space.vertices()
    known = {position_key(vertices[found.single]): result.models["best_single"]}
    if job.knob and "base" in result.models:
        known[position_key(torch.zeros_like(vertices[0]))] = result.models["base"]
    chosen = result.models.get("mixture", result.best)  # before training
    return known | {position_key(found.chosen.position): chosen}


def _scored(
    job: Job,
    run: RunDirectory,
    found: Explored,
    known: dict[str, Model],
    name: str,
    position: Tensor,
) -> Model:
    """A mixture with its scores on dev and test: a known one, or a new one, which is known then."""
    key = position_key(position)
    if key not in known:
        evaluators = {split: job.evaluator(split, found.answer_formats) for split in SPLITS}
        known[key] = measured(job, run, found, name, Contestant(position), evaluators)
    return known[key]


def different(models: Sequence[Model], chosen: int, objectives: Objectives) -> list[int]:
    """Numbers of the points that some score tells from each other, on test if there is one; of level
    points the first, or the chosen one.
    """
    kept = [chosen]
    for number, model in enumerate(models):
        if number != chosen and not any(level(model, models[k], objectives) for k in kept):
            kept.append(number)
    return sorted(kept)


def level(first: Model, second: Model, objectives: Objectives) -> bool:
    """Whether no score differs significantly between two models, on test if there is one."""
    split = "test" if first.test is not None and second.test is not None else "dev"
    ours, theirs = getattr(first, split), getattr(second, split)
    for name, outcome in ours.tasks.items():
        other = theirs.tasks[name]
        scale, asked = _shape(objectives, name, split)
        pair = difference(outcome, other, scale, asked)
        if pair is None and outcome.value != other.value:  # of the harness, without examples
            return False
        if pair is not None and pair.sign:
            return False
    return True


def _shape(objectives: Objectives, name: str, split: str) -> tuple[Ends | None, list[int]]:
    """The scale of a score, and the question of each item."""
    metric = objectives.metrics.get(name)
    scale = None if metric is None else metric.scale
    return scale, objectives.questions[name].get(split, [])


def point_of(objectives: Objectives, name: str, model: Model) -> dict[str, Any]:
    """A point as in ``result.json``: its folder, its coefficients, and its scores with intervals, as
    people read them.
    """
    point: dict[str, Any] = {"folder": name, "coefficients": model.weights}
    splits: Mapping[str, Scores | None] = {"dev": model.dev, "test": model.test}
    for split, scores in splits.items():
        for task, outcome in (scores.tasks if scores else {}).items():
            metric = objectives.metrics.get(task)
            sign = -1 if metric is not None and metric.lower else 1
            ends = score_interval(outcome, *_shape(objectives, task, split))
            if ends and sign < 0:
                ends = (max(0.0, -ends[1]), max(0.0, -ends[0]))  # tokens and nats
            told = {"value": sign * outcome.value + 0.0, "interval": ends}
            point.setdefault(split, {})[task] = told
    return point


def _knob(
    job: Job, run: RunDirectory, found: Explored, known: dict[str, Model]
) -> dict[str, Model]:
    """The best expert at several strengths, from the base on: what a person would try without a
    search. Nothing where a share of an expert has no meaning.
    """
    if not job.knob or not job.rivals:
        return {}
    expert = job.pool.space.vertices()[found.single]
    return {
        f"{KNOB}/{share:g}": _scored(job, run, found, known, f"{KNOB} {share:g}", share * expert)
        for share in (0.0, *STRENGTHS, 1.0)
    }
