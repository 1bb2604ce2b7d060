"""The end of a search: ``best/`` is written, read back, and scored beside its baselines."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from statistics import mode
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.hardware import peak_memory
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import Score, score_of
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.run.combined import combined_interval
from pyswarmopt_llm.run.directory import RunDirectory
from pyswarmopt_llm.run.record import Row, pack
from pyswarmopt_llm.run.result import Model, Objective, Outcome, RunResult, Scores
from pyswarmopt_llm.scores.by_label import LabelErrors, errors_by_label
from pyswarmopt_llm.scores.metrics.combine import FIRST
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.scores.tasks.types import SPLITS, AnswerFormat, form_of
from pyswarmopt_llm.searching.find import Explored, Trained
from pyswarmopt_llm.searching.prepare import Contestant, Job
from pyswarmopt_llm.searching.scorer import CandidateEvaluator


def finish(
    job: Job, run: RunDirectory, found: Explored, trained: Trained, start: float
) -> RunResult:
    """Write ``best/``, read it back and score it; score its baselines on test.

    All scores are of the written files, except a trained model's on dev, which are cross-fitted.
    The time that they take is not counted.

    Args:
        job: the search.
        run: run directory.
        found: outcome of exploring.
        trained: outcome of training.
        start: when the search began in this process, by `time.perf_counter`.
    """
    seconds = run.replayed_seconds / job.side_by_side + time.perf_counter() - start
    files = _write_best(job, run, trained.best, found.answer_formats)
    models = _models(job, run, found, trained, files)
    replies, alarms = _shown_replies(job, files, found, models)
    objectives = job.objectives
    names = job.pool.space.expert_names
    lower = {name: metric.lower for name, metric in objectives.metrics.items()}
    items = sum(row.n for row in run.rows)
    return RunResult(
        models=models,
        objectives=_objectives(objectives, found.answer_formats),
        best_single=names[found.single],
        evaluations=len(found.scorer.rows),
        item_evaluations=items,
        passes=items + trained.passes,
        seconds=round(seconds, 3),
        seconds_scoring=round(sum(row.seconds for row in run.rows), 3),
        peak_memory_bytes=peak_memory(),
        stop=dict(found.stop),
        judge=_usage(objectives),
        combine=objectives.combined_by,
        experts=_experts(job, found),
        dropped={names[number]: why for number, why in found.dropped.items()},
        learnt=job.learnt,
        space=job.kind.name,
        quantize=job.config.quantize,
        expert_iteration=trained.iteration,
        front=front_of(found.scorer.rows, objectives.names, names, lower),
        by_label=_errors_by_label(job, run),
        replies=replies,
        alarms=alarms,
        notes=[*run.about.notes.values(), *found.remarks],
    )


def _shown_replies(
    job: Job, files: Patch, found: Explored, models: Mapping[str, Model]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Replies to show, and what is suspicious about them; none without written replies."""
    if not job.objectives.writes:
        return [], []
    from pyswarmopt_llm.searching.written.replies import shown_replies

    return shown_replies(job, files, found, models)


def _usage(objectives: Objectives) -> dict[str, Any]:
    """What each judge was asked, by metric."""
    metrics = objectives.metrics.values()
    return {metric.name: metric.usage() for metric in metrics if metric.usage is not None}


def _experts(job: Job, found: Explored) -> dict[str, Model]:
    """The experts with their scores on dev."""
    space = job.pool.space
    vertices = space.vertices()
    experts = {}
    for number, row in found.experts.items():
        weights = job.weights(vertices[number])
        itself = {
            name: weight for name, weight in weights.items() if weight
        }  # not a 0 for each other
        dev = scores_of(job.objectives, row, "dev")
        experts[space.expert_names[number]] = Model(itself, dev)
    return experts


def _errors_by_label(job: Job, run: RunDirectory) -> dict[str, LabelErrors]:
    """The result's errors on test by label, of each task that has labels."""
    tested = run.store.find_row("model test", "best")
    if tested is None:
        return {}
    by_label = {}
    for name, task in job.tasks.items():
        errors = errors_by_label(task.test, tested.tasks[name].answers)
        if errors:
            by_label[name] = errors
    return by_label


def _write_best(
    job: Job, run: RunDirectory, chosen: Contestant, answer_formats: Mapping[str, AnswerFormat]
) -> Patch:
    """The patch read back from the files in ``best/``."""
    space = job.pool.space
    folder = run.path / "best"
    shutil.rmtree(folder, ignore_errors=True)  # written by an earlier, interrupted process
    if chosen.patch is not None:
        save_patch(chosen.patch, job.pool.experts, folder)
    else:
        space.save(chosen.position, folder)
    files = space.read(folder)
    if job.format is None:
        return files
    from pyswarmopt_llm.searching.rounded import save_in_format

    return save_in_format(job, files, answer_formats, folder)


def _models(
    job: Job, run: RunDirectory, found: Explored, trained: Trained, files: Patch
) -> dict[str, Model]:
    """The scored models, by name; a contestant with several names is scored once, by its first."""
    evaluators = {split: job.evaluator(split, found.answer_formats) for split in SPLITS}
    models: dict[str, Model] = {}
    by_contestant: dict[Contestant, Model] = {}
    for name, contestant in _contestants(job, found, trained, files).items():
        if contestant not in by_contestant:
            by_contestant[contestant] = measured(job, run, found, name, contestant, evaluators)
        models[name] = by_contestant[contestant]
    commonest = commonest_label(job.objectives)
    if commonest is not None:
        models["commonest"] = commonest
    return models


def _contestants(
    job: Job, found: Explored, trained: Trained, files: Patch
) -> dict[str, Contestant]:
    """The models to score, by name: the result, as its files have it, what it was made from, and
    baselines, which `no_rivals` drops.

    A gain over the best expert may come from training alone; base and best expert trained in the
    same way show it. A search with labels trains both anyway, since either may be the result, so
    they only cost their scores on test. Any other search gets only the base.
    """
    vertices = job.pool.space.vertices()
    made = trained.models
    best = trained.best
    contestants = {
        "best": best,
        "best_single": Contestant(vertices[found.single], dev=found.experts[found.single]),
    }
    for name in ("mixture", "trained"):
        if name in made:
            contestants[name] = made[name]
    if vertices.shape[0] == vertices.shape[1]:  # positions are coefficients
        contestants["uniform"] = Contestant(vertices.mean(0))
    if job.compares_base:
        contestants["base"] = made.get("base") or _base(job, vertices)
    if job.compares_tuned:
        for name in ("base_tuned", "expert_tuned"):
            if name in made:
                contestants[name] = made[name]
    written = replace(best, patch=files, dev=best.dev if best.trained else None)
    return {name: written if one is best else one for name, one in contestants.items()}


def _base(job: Job, vertices: Tensor) -> Contestant:
    """The base without any expert."""
    nothing = torch.zeros_like(vertices[0])
    if job.kind.adapters:
        return Contestant(nothing)
    return Contestant(nothing, patch=Patch())  # a mixture of whole models without any is no model


def measured(
    job: Job,
    run: RunDirectory,
    found: Explored,
    name: str,
    contestant: Contestant,
    evaluators: Mapping[str, CandidateEvaluator],
) -> Model:
    """A model with its scores, those of the store or of the search where they are known.

    Args:
        job: the search.
        run: keeps the scores.
        found: outcome of exploring.
        name: name of the model in the store.
        contestant: the model. If it was trained without being kept, it has no scores on test.
        evaluators: split -> its evaluator.
    """
    rows = {}
    # a mixture is scored again after rounding; of a trained model only cross-fitting tells the score on dev
    as_searched = job.format is None or contestant.trained
    if contestant.dev is not None and as_searched:
        rows["dev"] = contestant.dev
    was_kept = contestant.patch is not None or not contestant.trained
    is_loaded = False
    for split, evaluator in evaluators.items():
        if split in rows or not was_kept or not evaluator.utilities:
            continue
        phase = f"model {split}"
        row = run.store.find_row(phase, name)
        if row is None and split == "dev" and as_searched and contestant.patch is None:
            row = found.scorer.known(contestant.position)
        if row is None:
            if not is_loaded:
                load_shipped(job, contestant.realise(job.pool.space), found.answer_formats)
                is_loaded = True
            job.tell(Event("scoring", {"model": name, "split": split}))
            row = replace(evaluator.row(), phase=phase, key=name)
            run.store.add(phase, name, asdict(row))
        rows[split] = row
    scores = {split: scores_of(job.objectives, row, split) for split, row in rows.items()}
    return Model(
        job.weights(contestant.position),
        dev=scores["dev"],
        test=scores.get("test"),
        trained=contestant.trained,
    )


def load_shipped(job: Job, patch: Patch, answer_formats: Mapping[str, AnswerFormat]) -> None:
    """Load a model as it would be shipped."""
    if job.format is not None:
        from pyswarmopt_llm.searching.rounded import in_format

        patch = in_format(job, patch, answer_formats)
    job.engine.load(patch)


def scores_of(objectives: Objectives, row: Row, split: str) -> Scores:
    """The scores of a row, by task and combined, with their 95% interval."""
    scores = row.tasks
    outcomes = {name: _outcome(score, split) for name, score in scores.items()}
    total = objectives.combine(list(scores.values()))
    counted = scores
    if objectives.combined_by == FIRST:
        first = next(iter(scores))
        counted = {first: scores[first]}
    scales = {name: metric.scale for name, metric in objectives.metrics.items()}
    questions = {name: objectives.questions[name].get(split, []) for name in scores}
    interval = combined_interval(counted, objectives.combine, scales, questions)
    return Scores(total.value, outcomes, interval)


def _outcome(score: Score, split: str) -> Outcome:
    """A score as ``result.json`` has it, with the answers on test if options were compared."""
    answers: list[str] = []
    if score.margins and split == "test":
        answers = list(score.answers)
    return Outcome(
        score.value, pack(score.per_item), dict(score.named), answers=answers, whole=score.whole
    )


def commonest_label(objectives: Objectives) -> Model | None:
    """The majority-class baseline: every question gets the label most frequent on dev.

    If the labels are unbalanced, its accuracy may be high although it knows nothing; a result must
    be compared with it.

    Args:
        objectives: tasks and scores of a search.

    Returns:
        None unless every score is the accuracy on labels that all questions of a task share.
    """
    tasks = objectives.tasks
    if objectives.externals or not all(_has_labels(objectives, name) for name in tasks):
        return None
    commonest = {}
    for name, task in tasks.items():
        commonest[name] = mode(sorted(str(item.answer) for item in task.dev))
    found = {}
    for split in SPLITS:
        scores = {}
        for name, task in tasks.items():
            right = [float(item.answer == commonest[name]) for item in task.split(split)]
            if right:
                scores[name] = score_of(right)
        if scores:
            row = Row.of(scores, objectives.combine(list(scores.values())))
            found[split] = scores_of(objectives, row, split)
    return Model({}, found["dev"], found.get("test"))


def _has_labels(objectives: Objectives, name: str) -> bool:
    """Whether a task's score is the accuracy on labels that all its questions share."""
    is_accuracy = objectives.metrics[name].name == "accuracy"
    return is_accuracy and bool(form_of(objectives.tasks[name]).choices)


def _objectives(
    objectives: Objectives, answer_formats: Mapping[str, AnswerFormat]
) -> dict[str, Objective]:
    """How each task is scored."""
    scored = {}
    for name, metric in objectives.metrics.items():
        task = objectives.tasks[name].name
        scored[name] = Objective(
            answer_formats[name],
            metric=metric.name,
            scale=metric.scale,
            task="" if task == name else task,
            lower=metric.lower,
            unit=metric.unit,
            questions=objectives.questions[name],
        )
    for name in objectives.externals:
        scored[name] = Objective("own", metric=name)
    return scored


def front_of(
    rows: Iterable[Row],
    tasks: Sequence[str],
    experts: Sequence[str],
    lower: Mapping[str, bool] = {},
) -> list[dict[str, Any]]:
    """The non-dominated candidates, sorted by the first task, the first of several with equal scores;
    [] for one task.

    Args:
        rows: scored candidates.
        tasks: names of the tasks.
        experts: names of the experts.
        lower: task -> whether lower is better, so that it is told with the other sign.
    """
    if len(tasks) < 2:
        return []
    from pyswarmopt.driver.multi.pareto import non_dominated

    coefficients: dict[tuple[float, ...], Sequence[float]] = {}
    for row in rows:
        values = tuple(row.tasks[name].value for name in tasks)
        coefficients.setdefault(values, row.coefficients)
    scores = np.array(sorted(coefficients))
    front = []
    for values in map(tuple, scores[non_dominated(-scores)].tolist()):
        dev = {}
        for name, value in zip(tasks, values, strict=True):
            dev[name] = 0.0 - value if lower.get(name) else value  # not -0.0
        weights = dict(zip(experts, coefficients[values], strict=True))
        front.append({"dev": dev, "coefficients": weights})
    return front
