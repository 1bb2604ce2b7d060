"""The end of a search: what it hands over is written, read back, and scored beside what it is
compared with.
"""

from __future__ import annotations

import json
import logging
import math
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch

from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.interfaces import Patch, Utility
from pyswarmopt_llm.common.statistics import score_interval
from pyswarmopt_llm.common.words import listed
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.explore import Found
from pyswarmopt_llm.searching.prepare import Job
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
from pyswarmopt_llm.searching.selection import (
    ByTask,
    Contestant,
    by_task,
    named_weights,
    save_front,
)
from pyswarmopt_llm.searching.written.replies import RESULT, save_replies

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.train import Training

log = logging.getLogger(__name__)
RIVALS = {
    "base": "the base",
    "base_tuned": "the fine-tuned base",
    "expert_tuned": "the fine-tuned best expert",
}


@dataclass(frozen=True)
class Measured:
    """The scores of a model on a split, as the store holds them, with what they took."""

    scores: Scores
    passes: int
    seconds: float


def finish(
    job: Job, run: Run, found: Found, training: Training | None, start: float, tell: OnEvent
) -> Result:
    """Write ``best/``, read it back, score it; score what it is compared with on test.

    All are scored as files, but what was trained on dev: its scores on dev are cross-fitted. The
    rivals' time is counted apart.

    Args:
        job: what the search worked with.
        run: its directory.
        found: what the search found.
        training: the same before and after training; None if it does not train.
        start: of the search in this process, by `time.perf_counter`.
        tell: called with progress.
    """
    chosen = found.chosen if training is None else training.chosen
    files = _write_best(job, run, chosen)
    splits = {split: job.utilities(split, found.scorings) for split in SPLITS}
    measure = partial(
        _measure, job, run, {split: tasks for split, tasks in splits.items() if tasks}
    )
    models: dict[str, Model] = {}
    best = replace(chosen, patch=files, known=chosen.known if chosen.trained else {})
    for name, one in _contestants(job, found, training, best).items():
        models[name], _ = measure(name, one)
    if training is not None:
        models["trained" if training.kept else "mixture"] = models["best"]
    begun = time.perf_counter()
    spent: list[Measured] = []
    for name, one in _rivals(job, run, training, tell).items():
        if training is not None and one.patch is training.after.patch:
            models[name] = models["trained"]  # the very same
            continue
        models[name], took = measure(name, one)
        spent += took
    apart = time.perf_counter() - begun
    doubts = _keep_replies(job, run, files, found, models)
    seen = models["best"].dev.value
    if seen != chosen.value:
        why = ": the server does not repeat itself" if run.about.noise else ""
        log.warning("best/ scores %s, the search saw %s%s", seen, chosen.value, why)
    several = len(job.objectives.names) > 1
    front = save_front(job, run, found.archive, chosen) if several else None
    cost = _cost(job, run, training, spent if job.plan.rivals else None, found.memory)
    # What processes that were interrupted spent; their workers ran side by side.
    earlier = run.replayed_seconds / job.workers.side_by_side
    seconds = round(earlier + time.perf_counter() - start - apart, 3)
    return Result(
        models=models,
        objectives=_objectives(job, found.scorings),
        best_single=job.space.expert_names[found.single],
        cost=replace(cost, seconds=seconds),
        stop=dict(found.stop),
        combine=job.objectives.combined_by,
        alike=job.objectives.alike,
        experts=_experts(job, found),
        space=job.kind.name,
        graph=job.kind.in_words(files, job.space.expert_names),
        expert_iteration=None if training is None else training.iteration,
        confirm=found.confirmed,
        front=front,
        notes=[*{**job.notes, **run.about.notes}.values(), *doubts, *_without_numbers(run)],
    )


def _contestants(
    job: Job, found: Found, training: Training | None, best: Contestant
) -> dict[str, Contestant]:
    """The models of the result by name, but for the rivals."""
    vertices, single = job.space.vertices(), found.single
    known = {"dev": by_task(job, found.experts[single])}
    contestants = {"best": best, "best_single": Contestant(vertices[single], known=known)}
    if training is not None and training.kept:
        contestants["mixture"] = training.before
    elif training is not None:
        contestants["trained"] = training.after
    if job.kind.averages:
        contestants["uniform"] = Contestant(vertices.mean(0))
    return contestants


def _rivals(job: Job, run: Run, training: Training | None, tell: OnEvent) -> dict[str, Contestant]:
    """The base, and base and best expert fine-tuned on the same items; `no_rivals` leaves them out.

    A gain over the best expert may come from training alone; rivals that are trained in the same
    way tell. A search with labels trains both anyway, since either may be its result, so that they
    cost their scores on test and no more. A search that trains nothing but has a function of the
    user's to score gets the base alone, and so does one that trains on the best of its replies.
    """
    if not job.plan.rivals:
        return {}
    base = Contestant(job.space.vertices()[0] * 0, Patch())
    rivals = {"base": base}
    if training is not None and training.base:
        rivals["base"] = replace(base, known={"dev": training.base})
    if training is not None and job.plan.rivals > 1:
        rivals |= {f"{start}_tuned": training.tuned[start] for start in ("base", "expert")}
    trained = None if training is None else training.after.patch
    scored = [
        RIVALS[name]
        for name, one in rivals.items()
        if one.patch is not None and one.patch is not trained
    ]
    if not any((_what(split), "base") in run.store for split in SPLITS):
        are = "are" if len(scored) > 1 else "is"
        tell(note(f"for comparison {listed(scored)} {are} scored (`no_rivals` leaves this out)"))
    return rivals


def _what(split: str) -> str:
    """What the store calls the scores of a model."""
    return f"model {split}"


def _measure(
    job: Job, run: Run, splits: Mapping[str, Mapping[str, Utility]], name: str, one: Contestant
) -> tuple[Model, list[Measured]]:
    """A model with its scores, and what new ones took; what is known is not scored again."""
    scores = {split: _scores(job, tasks) for split, tasks in one.known.items()}
    load = cache(lambda: job.engine.load(one.realise(job.space)))  # not at all if all is known
    spent: list[Measured] = []
    for split, tasks in splits.items():
        if split not in scores and (one.patch is not None or not one.trained):
            new = partial(_measured, job, load, tasks)
            stored = run.store.get(_what(split), name, new, _wrong)
            spent.append(typed(stored, Measured))
            scores[split] = spent[-1].scores
    weights = named_weights(job.space, one.position)
    return Model(weights, scores["dev"], scores.get("test"), one.trained), spent


def _measured(
    job: Job, load: Callable[[], None], tasks: Mapping[str, Utility]
) -> Mapping[str, Any]:
    """Score the model that is loaded."""
    begun = time.perf_counter()
    load()
    scores = {name: utility(job.engine) for name, utility in tasks.items()}
    total, combined = job.objectives.combine(list(scores.values())), _scores(job, scores)
    measured = Measured(combined, total.n, round(time.perf_counter() - begun, 3))
    content: Mapping[str, Any] = json.loads(json.dumps(asdict(measured)))
    return content


def _wrong(content: dict[str, Any]) -> str | None:
    try:
        typed(content, Measured)
    except WrongType as error:
        return error.place
    return None


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


def _experts(job: Job, found: Found) -> dict[str, Model]:
    """The given experts on dev; with all items, where some were not scored in a race."""
    experts = {}
    for vertex, row, name in zip(
        job.space.vertices(), found.experts, job.space.expert_names, strict=False
    ):
        dev = _scores(job, by_task(job, row))
        tasks = {task: replace(o, items=row.items[task]) for task, o in dev.tasks.items()}
        experts[name] = Model(named_weights(job.space, vertex), replace(dev, tasks=tasks))
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
    rivals: Sequence[Measured] | None,
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
        passes_rivals=None if rivals is None else sum(one.passes for one in rivals),
        seconds=0.0,
        seconds_rivals=None if rivals is None else round(sum(one.seconds for one in rivals), 3),
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
    job: Job, run: Run, best: Patch, found: Found, models: Mapping[str, Model]
) -> list[str]:
    """Write down what the base, the best expert and the result reply, for the report; what a user
    has to know of that.
    """
    shown = {"base": Patch()} if "base" in models else {}
    expert = job.space.realise(job.space.vertices()[found.single])
    shown |= {f"best expert, {job.space.expert_names[found.single]}": expert, RESULT: best}
    before, after = models["best_single"].dev.items, models["best"].dev.items
    doubts = save_replies(job, run, shown, before, after, found.scorings)
    for doubt in doubts:
        log.warning(doubt)
    return doubts


def _write_best(job: Job, run: Run, chosen: Contestant) -> Patch:
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
