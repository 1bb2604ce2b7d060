"""The end of a search: what it hands over is written, read back and scored, and described."""

from __future__ import annotations

import logging
import math
import resource
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from pyswarmopt_llm.common.files.json_types import typed
from pyswarmopt_llm.common.files.regular import write_text
from pyswarmopt_llm.common.interfaces import Patch, Score, Utility
from pyswarmopt_llm.common.statistics import score_interval
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.rivals import BASE, Rival
from pyswarmopt_llm.searching.scoring.record import CANDIDATES, Row, pack
from pyswarmopt_llm.searching.scoring.result import (
    SPLITS,
    Cost,
    JudgeUse,
    Model,
    Objective,
    Outcome,
    Result,
    Scores,
    WorkerUse,
)
from pyswarmopt_llm.searching.scoring.run_directory import UNDEFINED, Run
from pyswarmopt_llm.searching.selection import Choice, best_first
from pyswarmopt_llm.searching.written.replies import RESULT, read_replies, save_replies

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.train import Training

log = logging.getLogger(__name__)
ByTask = Mapping[str, Score]


def finish(
    job: Job,
    run: Run,
    chosen: Choice,
    training: Training | None,
    rivals: Sequence[Rival],
    singles: Sequence[ByTask],
    scorings: Mapping[str, Scoring],
    workers_memory: int,
) -> Result:
    """Write ``best/``, read it back, score it; score what it is compared with on test.

    All are scored as files, but what was trained on dev: its scores on dev are cross-fitted.

    Args:
        job: what the search worked with.
        run: its directory.
        chosen: what is handed over.
        training: what the search found before and after training; None if it does not train.
        rivals: what the result is compared with.
        singles: of each expert, task name -> score on dev.
        scorings: how each task is scored.
        workers_memory: bytes that the workers took.
    """
    files = _write_best(job, run, chosen)
    vertices, single = job.space.vertices(), best_first(job, singles)[0]
    score = partial(_model, job, {split: job.utilities(split, scorings) for split in SPLITS})
    kept = training is not None and training.kept
    best = replace(chosen, patch=files)
    models = {"best": score(best, kept, {"dev": training.scores} if training and kept else {})}
    models["best_single"] = score(Choice(vertices[single]), known={"dev": singles[single]})
    if training is not None:
        models |= _before_and_after(job, training, models["best"], score)
    if job.kind.averages:
        models["uniform"] = score(Choice(vertices.mean(0)))
    for rival in rivals:  # which are scored already, but for what the search has trained itself
        start = vertices[single] * (not rival.name.startswith(BASE))
        scored = Choice(start, patch=rival.patch), rival.trained, rival.scores
        # what is clearly behind on dev was not trained on all items: nothing else can be scored
        scoring = partial(_model, job, {}) if rival.patch is None else score
        models[rival.name] = models["trained"] if rival.same else scoring(*scored)
    doubts = _keep_replies(job, run, files, single, rivals, models, scorings)
    result = Result(
        models=models,
        objectives=_objectives(job, scorings),
        best_single=job.space.expert_names[single],
        cost=_cost(job, run, training, rivals, workers_memory),
        stop={},
        combine=job.objectives.combined_by,
        alike=job.objectives.alike,
        experts=_experts(job, run, singles),
        space=job.kind.name,
        graph=job.kind.in_words(files, job.space.expert_names),
        expert_iteration=None if training is None else training.iteration,
        confirm=chosen.confirm,
        notes=[*{**job.notes, **run.about.notes}.values(), *doubts, *_without_numbers(run)],
    )
    if result.best.dev.value != chosen.value:
        why = ": the server does not repeat itself" if run.about.noise else ""
        log.warning(
            "best/ scores %s, the search saw %s%s", result.best.dev.value, chosen.value, why
        )
    return result


def _before_and_after(
    job: Job, training: Training, best: Model, score: Callable[..., Model]
) -> dict[str, Model]:
    """The mixture before and after training, of which one is the result."""
    if not training.kept:
        return {"mixture": best, "trained": score(training.after, True, {"dev": training.scores})}
    dev = {name: training.rows[0].score(name) for name in job.objectives.names}
    return {"mixture": score(training.before, known={"dev": dev}), "trained": best}


def _model(
    job: Job,
    utilities: Mapping[str, Mapping[str, Utility]],
    choice: Choice,
    trained: bool = False,
    known: Mapping[str, ByTask] | None = None,
) -> Model:
    """A model with its scores; what is not known is scored."""
    scores = dict(known or {})
    missing = [split for split, tasks in utilities.items() if tasks and split not in scores]
    if missing:
        job.engine.load(choice.realise(job.space))
    for split in missing:
        scores[split] = {name: utility(job.engine) for name, utility in utilities[split].items()}
    combined = {split: _scores(job, tasks) for split, tasks in scores.items()}
    weights = job.space.coefficients(choice.position).tolist()
    named = dict(zip(job.space.expert_names, weights, strict=True))
    return Model(named, combined["dev"], combined.get("test"), trained)


def _scores(job: Job, tasks: ByTask) -> Scores:
    """The scores on a split, by task and combined."""
    objectives = job.objectives
    total, scale = objectives.combine(list(tasks.values())), objectives.scales
    return Scores(
        total.value,
        {name: Outcome(s.value, pack(s.per_item), dict(s.named)) for name, s in tasks.items()},
        score_interval(total, len(tasks), scale.get(objectives.names[0])),
        None if math.isnan(total.stderr) else total.stderr,
    )


def _experts(job: Job, run: Run, singles: Sequence[ByTask]) -> dict[str, Model]:
    """The given experts on dev; with all items, where some were not scored in a race."""
    first = {r.particle: r.items for r in run.rows if r.phase == "search" and r.iteration == 0}
    experts = {}
    for number, (name, tasks) in enumerate(zip(job.space.expert_names, singles, strict=False)):
        model = _model(job, {}, Choice(job.space.vertices()[number]), known={"dev": tasks})
        found = {task: replace(o, items=first[number][task]) for task, o in model.dev.tasks.items()}
        experts[name] = replace(model, dev=replace(model.dev, tasks=found))
    return experts


def _objectives(job: Job, scorings: Mapping[str, Scoring]) -> dict[str, Objective]:
    """The way in which each task is scored."""
    metrics, externals = job.objectives.metrics, job.objectives.externals
    own = {spec.partition(":")[2] for spec in job.config.utilities}
    scored = {
        name: Objective(scorings[name], metric.name, metric.scale)
        for name, metric in metrics.items()
    }
    return scored | {
        name: Objective("own", name, held_out=external.has_test if name in own else None)
        for name, external in externals.items()
    }


def _cost(
    job: Job,
    run: Run,
    training: Training | None,
    rivals: Sequence[Rival],
    workers_memory: int,
) -> Cost:
    items = sum(row.n for row in run.rows)
    metrics = job.objectives.metrics.values()
    return Cost(
        evaluations=len({(row.phase, row.key) for row in run.rows if row.phase in CANDIDATES}),
        item_evaluations=items,
        # Functions and harness tasks are always scored whole.
        items_saved=0.0 if job.objectives.externals else _items_saved(run.rows, job.plan.items),
        passes=items + (0 if training is None else training.passes),
        passes_rivals=sum(rival.passes for rival in rivals) if rivals else None,
        seconds=0.0,
        seconds_rivals=round(sum(rival.seconds for rival in rivals), 3) if rivals else None,
        seconds_scoring=round(sum(row.seconds for row in run.rows), 3),
        peak_memory_bytes=peak_memory() + workers_memory,
        workers=None if job.workers.alone else WorkerUse(job.config.workers, run.failures),
        judge={m.name: typed(m.usage(), JudgeUse) for m in metrics if m.usage is not None},
    )


def _without_numbers(run: Run) -> list[str]:
    """A note on candidates that the engine could not score."""
    count = run.failures.get(UNDEFINED, 0)
    said = f"{count} candidates overflowed in this `dtype` and counted as the worst before them"
    return [f"{said}; with float32 or bfloat16 they may have scores"] if count else []


def _keep_replies(
    job: Job,
    run: Run,
    best: Patch,
    single: int,
    rivals: Sequence[Rival],
    models: Mapping[str, Model],
    scorings: Mapping[str, Scoring],
) -> list[str]:
    """Write down what the base, the best expert and the result reply, for the report; what a user has
    to know of that.
    """
    shown = {BASE: Patch()} if any(rival.name == BASE for rival in rivals) else {}
    expert = job.space.realise(job.space.vertices()[single])
    shown |= {f"best expert, {job.space.expert_names[single]}": expert, RESULT: best}
    before, after = models["best_single"].dev.items, models["best"].dev.items
    doubts = save_replies(job, run, shown, before, after, scorings)
    for doubt in doubts:
        log.warning(doubt)
    return doubts


def publish(job: Job, run: Run, result: Result) -> dict[str, Any]:
    """Write card and report first, ``result.json`` last: where it is, everything is. Returns its
    content.
    """
    from pyswarmopt_llm.report.card import model_card
    from pyswarmopt_llm.report.front_matter import licence_conflict, parents_of
    from pyswarmopt_llm.report.report import render_report

    parents = parents_of(job.config) if job.kind.library else []
    if conflict := licence_conflict(parents):
        log.warning(conflict)
    write_text(run.path / "best" / "README.md", model_card(run.about, result, parents))
    page = render_report(run.about, result, run.rows, job.tasks, read_replies(run))
    write_text(run.path / "report.html", page)
    content = result.to_json()
    run.finish(content)
    return content


def _write_best(job: Job, run: Run, chosen: Choice) -> Patch:
    """The patch that the files in ``best/`` hold."""
    space, folder = job.space, run.path / "best"
    if folder.exists():  # an earlier process was stopped after writing it
        shutil.rmtree(folder)
    if chosen.patch is not None:
        save_patch(chosen.patch, job.experts, folder)
    else:
        space.save(chosen.position, folder)
    return space.read(folder)


def peak_memory() -> int:
    """Most resident memory of this process so far, plus the most on the GPU, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return resident + (torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)


def _items_saved(rows: Iterable[Row], items: int) -> float:
    """Share of the items of all evaluated positions that did not have to be scored.

    Args:
        rows: of the journal.
        items: of a complete evaluation.
    """
    searched = [row for row in rows if row.phase == "search"]
    whole = len({row.key for row in searched}) * items
    return round(1 - sum(row.n for row in searched) / whole, 4)
