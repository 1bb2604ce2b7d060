"""The end of a search: ``best/`` is written, read back, and scored beside its baselines."""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import typed
from pyswarmopt_llm.common.hardware import peak_memory
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.scores.by_label import LabelErrors, errors_by_label
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.scores.tasks.types import SPLITS, form_of
from pyswarmopt_llm.searching.find import Found
from pyswarmopt_llm.searching.prepare import Contestant, Job, Training
from pyswarmopt_llm.searching.scoring.combined import combined_interval
from pyswarmopt_llm.searching.scoring.record import Row, pack
from pyswarmopt_llm.searching.scoring.result import (
    FrontPoint,
    JudgeUse,
    Model,
    Objective,
    Outcome,
    Result,
    Scores,
    WorkerUse,
)
from pyswarmopt_llm.searching.scoring.run_directory import UNDEFINED, Run
from pyswarmopt_llm.searching.scoring.scorer import Questions

_RESULT = ("model test", "best")  # name of the result's row in the store


def finish(job: Job, run: Run, found: Found, training: Training, start: float) -> Result:
    """Write ``best/``, read it back and score it; score its baselines on test.

    All scores are of the written files, except a trained model's on dev, which are cross-fitted.
    The baselines' time is counted apart.

    Args:
        job: the search.
        run: run directory.
        found: outcome of exploring.
        training: models before and after training.
        start: when the search began in this process, by `time.perf_counter`.
    """
    chosen = training.models.get(training.best, found.chosen)
    files = _write_best(job, run, chosen)
    final = FinalScores(job, run, found)
    best = replace(chosen, patch=files, dev=chosen.dev if chosen.trained else None)
    models = {"best": final.measure("best", best)}
    for name, contestant in _contestants(job, found, training).items():
        models[name] = final.measure(name, contestant)
    if training.best:
        models[training.best] = models["best"]
    begun = time.perf_counter()
    rivals = _rivals(job, training.models)
    for name, contestant in rivals.items():
        if contestant is training.models.get("trained"):
            models[name] = models["trained"]
        else:
            models[name] = final.measure(name, contestant)
    apart = time.perf_counter() - begun
    if (commonest := commonest_label(job.objectives, job.pool.space.expert_names)) is not None:
        models["commonest"] = commonest
    alarms: list[str] = []
    if any(metric.new_tokens for metric in job.objectives.metrics.values()):
        from pyswarmopt_llm.searching.written.replies import keep_replies

        alarms = keep_replies(job, run, files, found, models)
    seconds = run.replayed_seconds / job.plan.side_by_side + time.perf_counter() - start - apart
    names = job.pool.space.expert_names
    return Result(
        models=models,
        objectives=_objectives(job, found),
        best_single=names[found.single],
        **_cost(job, run, training, rivals),
        seconds=round(seconds, 3),
        peak_memory_bytes=peak_memory() + found.memory,
        stop=dict(found.stop),
        combine=job.objectives.combined_by,
        alike=job.objectives.alike,
        experts=final.experts(),
        learnt=job.learnt,
        space=job.plan.kind.name,
        graph=job.plan.kind.in_words(files, names),
        expert_iteration=training.iteration,
        front=front_of(found.scorer.complete, job.objectives.names, names),
        by_label=_by_label(job, run),
        alarms=alarms,
        notes=_notes(job, run, found),
    )


class FinalScores:
    """The scores of the models that a search compares.

    Args:
        job: the search.
        run: run directory; known scores are taken from it.
        found: outcome of exploring, with its scores on dev.
    """

    def __init__(self, job: Job, run: Run, found: Found) -> None:
        self._job = job
        self._run = run
        self._found = found
        asked = tuple(found.scorings.items())
        self._evaluators = {
            split: job.evaluator(Questions(split, asked), margins=False) for split in SPLITS
        }

    def measure(self, name: str, contestant: Contestant) -> Model:
        """A model with its scores, those in the store or of the search where they are known; the
        result's row has its answers on test. A model that was trained without being kept has no
        scores on test.
        """
        rows = {} if contestant.dev is None else {"dev": contestant.dev}
        exists = contestant.patch is not None or not contestant.trained
        loaded = False
        for split, evaluator in self._evaluators.items():
            if split in rows or not exists or not evaluator.utilities:
                continue
            what = f"model {split}"
            row = self._run.store.find_row(what, name, evaluator.utilities)
            if row is None and split == "dev" and contestant.patch is None:
                row = self._found.scorer.known(contestant.position)
            if row is None:
                start = time.perf_counter()
                if not loaded:
                    self._job.engine.load(contestant.realise(self._job.pool.space))
                    loaded = True
                row = evaluator.row(start=start, answers=(what, name) == _RESULT)
                row = replace(row, phase=what, key=name)
                self._run.store.add(what, name, row.to_json())
            rows[split] = row
        scores = {split: self._scores(row, split) for split, row in rows.items()}
        weights = self._job.weights(contestant.position)
        return Model(weights, scores["dev"], scores.get("test"), contestant.trained)

    def experts(self) -> dict[str, Model]:
        """The given experts on dev; all on every item, unless a race dropped some."""
        space = self._job.pool.space
        models = {}
        for name, vertex, row in zip(
            space.expert_names, space.vertices(), self._found.experts, strict=True
        ):
            models[name] = Model(self._job.weights(vertex), self._scores(row, "dev"))
        return models

    def _scores(self, row: Row, split: str) -> Scores:
        """Scores on a split, by task and combined, with their 95% interval."""
        objectives = self._job.objectives
        scores = {task: row.score(task) for task in row.items}
        outcomes = {}
        asked: dict[str, list[int]] = {}
        for name, score in scores.items():
            named = dict(row.named.get(name, {}))
            outcomes[name] = Outcome(score.value, row.items[name], named)
            questions = objectives.questions[name].get(split, [])
            values = zip(questions, row.item_values(name), strict=False)
            asked[name] = [number for number, value in values if value == value]
        total = objectives.combine(list(scores.values()))
        scales = {name: metric.scale for name, metric in objectives.metrics.items()}
        interval = combined_interval(scores, objectives.combine, objectives.alike, scales, asked)
        stderr = None if math.isnan(total.stderr) else total.stderr
        return Scores(total.value, outcomes, interval, stderr)


def front_of(rows: Iterable[Row], tasks: Sequence[str], experts: Sequence[str]) -> list[FrontPoint]:
    """The non-dominated candidates, sorted by the first task, one of several equal ones; [] for one
    task.

    Args:
        rows: candidates with all items scored.
        tasks: names of the tasks.
        experts: names of the experts.
    """
    if len(tasks) < 2:
        return []
    from pyswarmopt.driver.multi.pareto import non_dominated

    points: dict[tuple[float, ...], Row] = {}
    for row in rows:
        points.setdefault(tuple(row.score(name).value for name in tasks), row)
    efficient = non_dominated(-np.array(list(points)))
    front = []
    for values, is_in in sorted(zip(points, efficient.tolist(), strict=True)):
        if is_in:
            coefficients = dict(zip(experts, points[values].coefficients, strict=True))
            front.append(FrontPoint(dict(zip(tasks, values, strict=True)), coefficients))
    return front


def commonest_label(objectives: Objectives, experts: Sequence[str]) -> Model | None:
    """The majority-class baseline: every question gets the label most frequent on dev.

    Where labels are unbalanced its accuracy may be high, though it knows nothing; a result has to be
    compared with it.

    Args:
        objectives: tasks and scores of a search.
        experts: names of the experts, whose weights are all 0.

    Returns:
        None unless every score is the accuracy on labels that all questions of a task share.
    """
    tasks = objectives.tasks
    plain = all(metric.name == "accuracy" for metric in objectives.metrics.values())
    if objectives.externals or not plain or not all(form_of(t).choices for t in tasks.values()):
        return None
    found: dict[str, Scores] = {}
    for split in SPLITS:
        scores: dict[str, Score] = {}
        for name, task in tasks.items():
            counts = Counter(item.answer for item in task.dev)
            label = min(counts, key=lambda answer: (-counts[answer], answer))
            if items := task.split(split):
                scores[name] = score_of([float(item.answer == label) for item in items])
        if scores:
            total = objectives.combine(list(scores.values()))
            outcomes = {
                n: Outcome(score.value, pack(score.per_item)) for n, score in scores.items()
            }
            asked = {name: objectives.questions[name].get(split, []) for name in scores}
            interval = combined_interval(scores, objectives.combine, questions=asked)
            found[split] = Scores(total.value, outcomes, interval)
    return Model(dict.fromkeys(experts, 0.0), found["dev"], found.get("test"))


def _write_best(job: Job, run: Run, chosen: Contestant) -> Patch:
    """The patch read back from the files in ``best/``."""
    space = job.pool.space
    folder = run.path / "best"
    if folder.is_dir():  # written by an earlier, interrupted process
        shutil.rmtree(folder)
    elif folder.exists():  # rmtree would block on a pipe without a writer
        raise UserError(f"{folder}: is no directory; remove it, and resume the run")
    if chosen.patch is not None:
        save_patch(chosen.patch, job.pool.experts, folder)
    else:
        space.save(chosen.position, folder)
    return space.read(folder)


def _contestants(job: Job, found: Found, training: Training) -> dict[str, Contestant]:
    """The models to compare with the result, by name, without base and fine-tuned baselines."""
    vertices = job.pool.space.vertices()
    single = found.single
    contestants = {"best_single": Contestant(vertices[single], dev=found.experts[single])}
    for name in ("mixture", "trained"):  # one of them is the result of a search that trains
        if name in training.models and name != training.best:
            contestants[name] = training.models[name]
    if job.plan.kind.averages:
        contestants["uniform"] = Contestant(vertices.mean(0))
    return contestants


def _rivals(job: Job, made: Mapping[str, Contestant]) -> dict[str, Contestant]:
    """The baselines: the base, and base and best expert fine-tuned on the same items; `no_rivals`
    drops them.

    A gain over the best expert may come from training alone; baselines trained in the same way show
    it. A search with labels trains both anyway, since either may be the result, so they only cost
    their scores on test. Any other search gets only the base.
    """
    if not job.plan.rivals:
        return {}
    rivals = {"base": made.get("base", Contestant(0 * job.pool.space.vertices()[0]))}
    if job.plan.rivals > 1:
        rivals |= {name: one for name, one in made.items() if name.endswith("_tuned")}
    return rivals


def _by_label(job: Job, run: Run) -> dict[str, LabelErrors]:
    """Task -> the result's errors on test, where all items share the same labels."""
    answers: Mapping[str, Sequence[str]] = run.store.known.get(_RESULT, {}).get("answers", {})
    found = {name: errors_by_label(job.tasks[name].test, given) for name, given in answers.items()}
    return {name: errors for name, errors in found.items() if errors is not None}


def _objectives(job: Job, found: Found) -> dict[str, Objective]:
    """How each task is scored."""
    objectives = {}
    for name, metric in job.objectives.metrics.items():
        questions = job.objectives.questions[name]
        objectives[name] = Objective(found.scorings[name], metric.name, metric.scale, questions)
    for name in job.objectives.externals:
        objectives[name] = Objective("own", name)
    return objectives


def _cost(job: Job, run: Run, training: Training, rivals: Collection[str]) -> dict[str, Any]:
    """The counts and costs of a result, by field."""
    items = sum(row.n for row in run.rows)
    cost: dict[str, Any] = {
        "evaluations": len({row.key for row in run.searched}),
        "item_evaluations": items,
        "passes": items + training.passes,
        "seconds_scoring": round(sum(row.seconds for row in run.rows), 3),
        "judge": {},
    }
    for metric in job.objectives.metrics.values():
        if metric.usage is not None:
            cost["judge"][metric.name] = typed(metric.usage(), JudgeUse)
    if not job.plan.alone:
        cost["workers"] = WorkerUse(job.plan.config.workers, run.failures)
    if job.plan.rivals:
        rows = [row for split in SPLITS for row in run.store.all(f"model {split}")]
        spent = [row for row in rows if row["who"] in rivals]
        cost["passes_rivals"] = sum(row["n"] for row in spent)
        cost["seconds_rivals"] = round(sum(row["seconds"] for row in spent), 3)
    return cost


def _notes(job: Job, run: Run, found: Found) -> list[str]:
    """What a user should know about the result."""
    notes = [*{**job.notes, **run.about.notes}.values(), *found.remarks]
    count = run.failures.get(UNDEFINED, 0)
    if count:
        notes.append(
            f"{count} candidates overflowed in this `dtype` and counted as the worst before them; "
            "with float32 or bfloat16 they may have scores"
        )
    return notes
