"""The end of a search: ``best/`` is written, read back, and scored beside its baselines."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import typed
from pyswarmopt_llm.common.hardware import peak_memory
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import Ends
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.scores.by_label import LabelErrors, errors_by_label
from pyswarmopt_llm.scores.tasks.types import SPLITS, Scoring
from pyswarmopt_llm.searching.find import Found
from pyswarmopt_llm.searching.prepare import Contestant, Job, Training
from pyswarmopt_llm.searching.scoring.combined import combined_interval
from pyswarmopt_llm.searching.scoring.commonest import commonest_label
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.result import (
    Cost,
    Front,
    JudgeUse,
    Model,
    Objective,
    Outcome,
    Result,
    Scores,
    WorkerUse,
)
from pyswarmopt_llm.searching.scoring.run_directory import UNDEFINED, Run
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Questions

log = logging.getLogger(__name__)
_HANDED_OVER = ("model test", "best")  # name of a row in the store
_STAGES = ("mixture", "trained")  # one of them is the result of a search that trains


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
    splits = _evaluators(job, found)
    measure = partial(_measure, job, run, splits)
    best = replace(chosen, patch=files, dev=chosen.dev if chosen.trained else None)
    contestants = {"best": best, **_contestants(job, found, training)}
    models = {name: measure(name, one) for name, one in contestants.items()}
    if training.best:
        models[training.best] = models["best"]
    _warn_of_noise(run, models["best"].dev.value, chosen.value)
    begun = time.perf_counter()
    rivals = _rivals(job, training.models)
    for name, one in rivals.items():
        known = one is training.models.get("trained")
        models[name] = models["trained"] if known else measure(name, one)
    apart = time.perf_counter() - begun
    models |= _commonest(job, splits)
    alarms, doubts = _kept_replies(job, run, files, found, models)
    front = _front(job, run, found, chosen, measure)
    seconds = _seconds(job, run, start, apart)
    return Result(
        models=models,
        objectives=_objectives(job, found.scorings),
        best_single=job.pool.space.expert_names[found.single],
        cost=_cost(job, run, training, rivals, seconds, found.memory),
        stop=dict(found.stop),
        combine=job.objectives.combined_by,
        alike=job.objectives.alike,
        experts=_experts(job, found),
        space=job.plan.kind.name,
        graph=job.plan.kind.in_words(files, job.pool.space.expert_names),
        expert_iteration=training.iteration,
        front=front,
        by_label=_by_label(job, run),
        alarms=alarms,
        notes=_notes(job, run, found, doubts),
    )


def _evaluators(job: Job, found: Found) -> dict[str, Evaluator]:
    """Split -> evaluator, with the search's answer formats."""
    asked = tuple(found.scorings.items())
    return {split: job.evaluator(Questions(split, asked), margins=False) for split in SPLITS}


def _notes(job: Job, run: Run, found: Found, doubts: Sequence[str]) -> list[str]:
    """What a user should know about the result."""
    begun = {**job.notes, **run.about.notes}
    return [*begun.values(), *found.remarks, *doubts, *_without_numbers(run)]


def _warn_of_noise(run: Run, now: float, before: float) -> None:
    """Warn if ``best/``, read back, scores differently on dev than in the search."""
    if now != before:
        log.warning("best/ scores %s, the search saw %s", now, before)


def _kept_replies(
    job: Job, run: Run, files: Patch, found: Found, models: Mapping[str, Model]
) -> tuple[list[str], list[str]]:
    """Keep the result's replies, if it writes any; return alarms and doubts about its score."""
    if not any(metric.new_tokens for metric in job.objectives.metrics.values()):
        return [], []
    from pyswarmopt_llm.searching.written.replies import keep_replies

    return keep_replies(job, run, files, found, models)


def _front(
    job: Job, run: Run, found: Found, chosen: Contestant, measure: Callable[..., Model]
) -> Front | None:
    """Write the models that no other leads on all tasks beside ``best/``; None for one task."""
    if found.archive is None:
        return None
    from pyswarmopt_llm.searching.leaders import save_front

    return save_front(job, run, found.archive, chosen, measure)


def _seconds(job: Job, run: Run, start: float, apart: float) -> float:
    """Seconds of the search, including interrupted processes with their parallel workers.

    Args:
        start: when the search began in this process, by `time.perf_counter`.
        apart: seconds of this process counted elsewhere.
    """
    earlier = run.replayed_seconds / job.plan.side_by_side
    return round(earlier + time.perf_counter() - start - apart, 3)


def _contestants(job: Job, found: Found, training: Training) -> dict[str, Contestant]:
    """The models to compare with the result, by name, without base and fine-tuned baselines."""
    vertices = job.pool.space.vertices()
    single = found.single
    contestants = {"best_single": Contestant(vertices[single], dev=found.experts[single])}
    made = training.models
    contestants |= {name: made[name] for name in _STAGES if name in made and name != training.best}
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
    base = Contestant(job.pool.space.vertices()[0] * 0, Patch())
    tuned = {name: one for name, one in made.items() if name.endswith("_tuned")}
    return {"base": made.get("base", base), **(tuned if job.plan.rivals > 1 else {})}


def _commonest(job: Job, splits: Mapping[str, Evaluator]) -> dict[str, Model]:
    """The majority-class baseline; {} unless the metric is accuracy on labels."""
    metrics = [metric.name for metric in job.objectives.metrics.values()]
    if job.objectives.externals or set(metrics) != {"accuracy"}:
        return {}
    scored = [split for split, evaluator in splits.items() if evaluator.utilities]
    names = job.pool.space.expert_names
    model = commonest_label(job.tasks, job.objectives.combine, scored, names)
    return {} if model is None else {"commonest": model}


def _measure(
    job: Job, run: Run, splits: Mapping[str, Evaluator], name: str, one: Contestant
) -> Model:
    """A model with its scores; known scores are reused."""
    rows = {} if one.dev is None else {"dev": one.dev}
    load = cache(lambda: job.engine.load(one.realise(job.pool.space)))  # unless all is known
    for split, evaluator in splits.items():
        if evaluator.utilities and split not in rows and (one.patch is not None or not one.trained):
            what = f"model {split}"
            new = partial(_scored, evaluator, load, what, name)
            rows[split] = run.store.row(what, name, evaluator.utilities, new)
    scores = {split: _scores(job, row, split) for split, row in rows.items()}
    weights = job.weights(one.position)
    return Model(weights, scores["dev"], scores.get("test"), one.trained)


def _scored(evaluator: Evaluator, load: Callable[[], None], what: str, name: str) -> Row:
    """The scores of the loaded model."""
    start = time.perf_counter()
    load()
    row = evaluator.row(start=start, answers=(what, name) == _HANDED_OVER)
    return replace(row, phase=what, key=name)


def _by_label(job: Job, run: Run) -> dict[str, LabelErrors]:
    """Task -> the result's errors on test, where all items share the same labels."""
    content = run.store.known.get(_HANDED_OVER, {})
    found = {
        name: errors_by_label(job.tasks[name].test, answers)
        for name, answers in content.get("answers", {}).items()
    }
    return {name: errors for name, errors in found.items() if errors is not None}


def _scores(job: Job, row: Row, split: str) -> Scores:
    """Scores on a split, by task and combined."""
    tasks = {task: row.score(task) for task in row.items}
    total = job.objectives.combine(list(tasks.values()))
    return Scores(
        total.value,
        {
            name: Outcome(score.value, row.items[name], dict(row.named.get(name, {})))
            for name, score in tasks.items()
        },
        _interval(job, row, tasks, split),
        None if math.isnan(total.stderr) else total.stderr,
    )


def _interval(job: Job, row: Row, scores: Mapping[str, Score], split: str) -> Ends | None:
    """The 95% interval of a score, or of several scores combined."""
    objectives = job.objectives
    scales = {name: metric.scale for name, metric in objectives.metrics.items()}
    asked = {name: row.known(name, objectives.questions[name].get(split, [])) for name in scores}
    return combined_interval(scores, objectives.combine, objectives.alike, scales, asked)


def _experts(job: Job, found: Found) -> dict[str, Model]:
    """The given experts on dev; all on every item, unless a race dropped some."""
    rows = zip(job.pool.space.expert_names, job.pool.space.vertices(), found.experts, strict=False)
    return {
        name: Model(job.weights(vertex), _scores(job, row, "dev")) for name, vertex, row in rows
    }


def _objectives(job: Job, scorings: Mapping[str, Scoring]) -> dict[str, Objective]:
    """How each task is scored."""
    metrics = job.objectives.metrics
    scored = {
        name: Objective(
            scorings[name],
            metric.name,
            metric.scale,
            questions=job.objectives.questions[name],
        )
        for name, metric in metrics.items()
    }
    return scored | {name: Objective("own", name) for name in job.objectives.externals}


def _cost(
    job: Job,
    run: Run,
    training: Training,
    rivals: Collection[str],
    seconds: float,
    workers_memory: int,
) -> Cost:
    items = sum(row.n for row in run.rows)
    spent = [
        row for split in SPLITS for row in run.store.all(f"model {split}") if row["who"] in rivals
    ]
    return Cost(
        evaluations=len({row.key for row in run.searched}),
        item_evaluations=items,
        passes=items + training.passes,
        passes_rivals=sum(row["n"] for row in spent) if job.plan.rivals else None,
        seconds=seconds,
        seconds_rivals=round(sum(row["seconds"] for row in spent), 3) if job.plan.rivals else None,
        seconds_scoring=round(sum(row.seconds for row in run.rows), 3),
        peak_memory_bytes=peak_memory() + workers_memory,
        workers=None if job.plan.alone else WorkerUse(job.plan.config.workers, run.failures),
        judge={
            metric.name: typed(metric.usage(), JudgeUse)
            for metric in job.objectives.metrics.values()
            if metric.usage is not None
        },
    )


def _without_numbers(run: Run) -> list[str]:
    """A note on candidates that the engine could not score."""
    count = run.failures.get(UNDEFINED, 0)
    said = f"{count} candidates overflowed in this `dtype` and counted as the worst before them"
    return [f"{said}; with float32 or bfloat16 they may have scores"] if count else []


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
