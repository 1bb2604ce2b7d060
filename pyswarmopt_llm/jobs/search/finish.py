"""The end of a search: what it hands over is written, read back and scored, and described."""

from __future__ import annotations

import logging
import math
import resource
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pyswarmopt_llm.common.files.json_types import typed
from pyswarmopt_llm.common.files.regular import write_text
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.paired import Comparison, compare_paired, paired
from pyswarmopt_llm.common.statistics import score_interval
from pyswarmopt_llm.evaluation.record import CANDIDATES, Packed, Row, pack
from pyswarmopt_llm.evaluation.result import (
    ExpertScores,
    FunctionScore,
    JudgeUse,
    RunResult,
    TaskResult,
    WorkerUse,
)
from pyswarmopt_llm.evaluation.run_directory import UNDEFINED, Run
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.jobs.search.rivals import BASE, Rival, combined_difference, entries
from pyswarmopt_llm.jobs.search.selection import Choice, best_first, items_scored, values_on_dev
from pyswarmopt_llm.jobs.search.written.replies import RESULT, read_replies, save_replies
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo
from pyswarmopt_llm.reporting.reading import headroom
from pyswarmopt_llm.spaces.one_base import save_patch
from pyswarmopt_llm.tasks import Scoring

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.search.train import Training

log = logging.getLogger(__name__)
Scores = dict[tuple[str, str], Mapping[str, Score]]  # (contestant, split) -> task -> score


def finish(
    job: Job,
    run: Run,
    chosen: Choice,
    training: Training | None,
    rivals: Sequence[Rival],
    singles: Sequence[Mapping[str, Score]],
    scorings: Mapping[str, Scoring],
    workers_memory: int,
) -> RunResult:
    """Write ``best/``, read it back, score it; score what it is compared with on test.

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
    mixture = chosen if training is None else training.before
    files, cut = _write_best(job, run, chosen)
    on_dev = values_on_dev(job, singles)
    single, second = best_first(job, singles)[:2]
    scores = _closing_scores(job, files, training, (single, singles[single]), scorings)
    doubts = _keep_replies(job, run, files, single, rivals, scores, scorings)
    metrics = job.objectives.metrics
    combine, scales = job.objectives.combine, job.objectives.scales
    items = sum(row.n for row in run.rows)
    totals = {place: combine(list(tasks.values())) for place, tasks in scores.items()}
    values: dict[str, Any] = {_key(place): total.value for place, total in totals.items()}
    result = RunResult(
        **values,
        best_single=job.space.expert_names[single],
        intervals={
            _key(place): score_interval(
                total, len(scores[place]), scales.get(job.objectives.names[0])
            )
            for place, total in totals.items()
        },
        stderr={
            _key(place): None if math.isnan(total.stderr) else total.stderr
            for place, total in totals.items()
        },
        paired=paired(scores, scales=scales),
        paired_training=None if training is None else paired(scores, "trained", "mixture", scales),
        combined=_combined(job, scores, "best", "best_single"),
        combined_training=_combined(job, scores, "trained", "mixture"),
        expert_iteration=None if training is None else training.iteration,
        tasks=_by_task(job, scores, scorings),
        metrics={name: metric.name for name, metric in metrics.items()},
        named=_named(scores),
        own_scores=_own_scores(job, scores["best", "dev"]),
        outcomes=_outcomes(scores) or None,
        rivals=entries(rivals, scores, job.objectives, chosen is not mixture),
        passes_rivals=sum(rival.passes for rival in rivals) if rivals else None,
        seconds_rivals=round(sum(rival.seconds for rival in rivals), 3) if rivals else None,
        headroom=headroom(run.rows, len(singles), single, scores["best", "dev"], combine),
        experts=_experts(job.space.expert_names, on_dev, singles, single, second),
        trained=None if training is None else chosen is training.after,
        coefficients=dict(
            zip(
                job.space.expert_names,
                job.space.coefficients(mixture.position).tolist(),
                strict=True,
            )
        ),
        space=job.kind.name,
        graph=job.kind.in_words(files, job.space.expert_names),
        truncation={**cut, "dev_before": chosen.value} if cut else None,
        confirm=chosen.confirm,
        scoring=_one(scorings),
        evaluations=len({(row.phase, row.key) for row in run.rows if row.phase in CANDIDATES}),
        passes=items + (0 if training is None else training.passes),
        item_evaluations=items,
        # Functions and harness tasks are always scored whole.
        items_saved=0.0 if job.objectives.externals else _items_saved(run.rows, job.plan.items),
        seconds=0.0,
        seconds_scoring=round(sum(row.seconds for row in run.rows), 3),
        peak_memory_bytes=peak_memory() + workers_memory,
        stop={},
        workers=None if job.workers.alone else WorkerUse(job.config.workers, run.failures),
        judge={m.name: typed(m.usage(), JudgeUse) for m in metrics.values() if m.usage is not None},
        notes=[*{**job.notes, **run.about.notes}.values(), *doubts, *_without_numbers(run)],
    )
    if not cut and result.best_dev != chosen.value:
        why = ": the server does not repeat itself" if run.about.noise else ""
        log.warning("best/ scores %s, the search saw %s%s", result.best_dev, chosen.value, why)
    return result


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
    scores: Scores,
    scorings: Mapping[str, Scoring],
) -> list[str]:
    """Write down what the base, the best expert and the result reply, for the report; what a user has
    to know of that.
    """
    models = {rival.label: Patch() for rival in rivals if rival.name == BASE}
    expert = job.space.realise(job.space.vertices()[single])
    models[f"best expert, {job.space.expert_names[single]}"] = expert
    models[RESULT] = best
    singles, bests = scores["best_single", "dev"], scores["best", "dev"]
    doubts = save_replies(job, run, models, singles, bests, scorings)
    for doubt in doubts:
        log.warning(doubt)
    return doubts


def _key(place: tuple[str, str]) -> str:
    """A contestant on a split, as ``result.json`` calls it: LABEL_SPLIT."""
    return "_".join(place)


def publish(job: Job, run: Run, result: RunResult) -> dict[str, Any]:
    """Write card and report first, ``result.json`` last: where it is, everything is. Returns its
    content.
    """
    from pyswarmopt_llm.reporting.report.card import model_card
    from pyswarmopt_llm.reporting.report.front_matter import licence_conflict, parents_of
    from pyswarmopt_llm.reporting.report.report import render_report

    parents = parents_of(job.config) if job.kind.library else []
    if conflict := licence_conflict(parents):
        log.warning(conflict)
    write_text(run.path / "best" / "README.md", model_card(run.about, result, parents))
    page = render_report(run.about, result, run.rows, job.tasks, read_replies(run))
    write_text(run.path / "report.html", page)
    content = result.to_json()
    run.finish(content)
    return content


def _write_best(job: Job, run: Run, chosen: Choice) -> tuple[Patch, dict[str, float]]:
    """The patch that the files in ``best/`` hold, and what truncation lost."""
    space, folder = job.space, run.path / "best"
    if folder.exists():  # an earlier process was stopped after writing it
        shutil.rmtree(folder)
    cut: dict[str, float] = {}
    if job.config.output_rank is not None:
        cut = _save_truncated(chosen.realise(space), job.config.output_rank, job.experts, folder)
    elif chosen.patch is not None:
        save_patch(chosen.patch, job.experts, folder)
    else:
        space.save(chosen.position, folder)
    return space.read(folder), cut


def _closing_scores(
    job: Job,
    best: Patch,
    training: Training | None,
    single: tuple[int, Mapping[str, Score]],
    scorings: Mapping[str, Scoring],
) -> Scores:
    """Best, best single expert, the mixture before or after training, and the experts' average, on
    dev and test.

    All are scored as files, but what was trained on dev: its scores on dev are cross-fitted.
    """
    vertices, (number, of_single) = job.space.vertices(), single
    contestants = {"best": best, "best_single": job.space.realise(vertices[number])}
    scores: Scores = {("best_single", "dev"): of_single}  # what the search has scored already
    if training is not None:
        same, label, other = "mixture", "trained", training.after
        if training.kept:
            same, label, other = "trained", "mixture", training.before
            row, names = training.rows[0], job.objectives.names
            scores["mixture", "dev"] = {name: row.score(name) for name in names}
        scores["best" if training.kept else "trained", "dev"] = training.scores
        contestants[label] = other.realise(job.space)
    if job.kind.averages:
        contestants["uniform"] = job.space.realise(vertices.mean(0))
    utilities = {split: job.utilities(split, scorings) for split in ("dev", "test")}
    for label, patch in contestants.items():
        job.engine.load(patch)
        for split, tasks in utilities.items():
            if tasks and (label, split) not in scores:
                scores[label, split] = {
                    name: utility(job.engine) for name, utility in tasks.items()
                }
    if training is not None:
        scores |= {
            (same, split): tasks for (label, split), tasks in scores.items() if label == "best"
        }
    return scores


def _experts(
    names: Sequence[str],
    values: Sequence[float],
    singles: Sequence[Mapping[str, Score]],
    best: int,
    second: int,
) -> ExpertScores:
    """The given experts on dev: scores, share of items on which they differ, the best against the
    second; the latter two where all are scored on the same items.
    """
    counts = [items_scored(of_expert) for of_expert in singles]
    dropped = {
        name: count for name, count in zip(names, counts, strict=False) if count < max(counts)
    }
    scores = ExpertScores(dict(zip(names, values, strict=False)), names[second], dropped=dropped)
    items = [
        [value for score in of_expert.values() for value in score.per_item] for of_expert in singles
    ]
    if len({*map(len, items)}) > 1 or len(items[0]) < 2:
        return scores
    differ = float(np.mean(np.ptp(np.array(items), axis=0) > 0))
    return replace(scores, differ=differ, ahead=compare_paired(items[best], items[second]))


def _outcomes(scores: Scores) -> dict[str, dict[str, Packed]]:
    """Model -> task -> the scores of its test items."""
    return {
        label: {name: pack(score.per_item) for name, score in tasks.items()}
        for (label, split), tasks in scores.items()
        if split == "test"
    }


def _combined(job: Job, scores: Scores, first: str, second: str) -> dict[str, Comparison]:
    """The differences of two contestants' combined scores, where there are several tasks."""
    objectives = job.objectives
    differences: dict[str, Comparison] = {}
    if len(objectives.names) < 2:
        return differences
    for split in ("dev", "test"):
        ours, theirs = (scores.get((contestant, split), {}) for contestant in (first, second))
        difference = combined_difference(ours, theirs, objectives.combine, objectives.alike)
        if difference is not None:
            differences[split] = difference
    return differences


def _by_task(job: Job, scores: Scores, scorings: Mapping[str, Scoring]) -> dict[str, TaskResult]:
    """Each task's own scores, where there are several."""
    names = job.objectives.names
    return {
        name: TaskResult(
            **{_key(place): tasks[name].value for place, tasks in scores.items() if name in tasks},
            scoring=scorings.get(name, "own"),
        )
        for name in (names if len(names) > 1 else ())
    }


def _own_scores(job: Job, dev: Mapping[str, Score]) -> dict[str, FunctionScore]:
    """Of each Python function: how many items it has, and whether some are held out."""
    names = [spec.partition(":")[2] for spec in job.config.utilities]
    externals = job.objectives.externals
    return {
        name: FunctionScore(len(dev[name].per_item), externals[name].has_test) for name in names
    }


def _named(scores: Scores) -> dict[str, dict[str, dict[str, float]]]:
    """Task -> model and split -> the named numbers of its score."""
    named: dict[str, dict[str, dict[str, float]]] = {}
    for (label, split), tasks in scores.items():
        for name, score in tasks.items():
            if score.named:
                named.setdefault(name, {})[f"{label}_{split}"] = dict(score.named)
    return named


def _one(scorings: Mapping[str, Scoring]) -> str:
    kinds: set[str] = {*scorings.values()} or {"own"}
    return kinds.pop() if len(kinds) == 1 else "mixed"


def peak_memory() -> int:
    """Most resident memory of this process so far, plus the most on the GPU, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes on macOS, KiB elsewhere
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return resident + (torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0)


def _save_truncated(
    patch: Patch, rank: int, experts: Sequence[AdapterInfo], folder: Path
) -> dict[str, float]:
    """Write the adapter of that rank that is nearest to a candidate (Eckart & Young 1936).

    Returns:
        `rank`, and `relative_error` in the Frobenius norm over all weights.
    """
    from pyswarmopt_llm.models.adapters.truncate import truncate_low_rank

    cut = {name: truncate_low_rank(change, rank) for name, change in patch.low_rank.items()}
    save_patch(Patch(low_rank={name: part.change for name, part in cut.items()}), experts, folder)
    lost, whole = sum(part.lost for part in cut.values()), sum(part.whole for part in cut.values())
    return {"rank": rank, "relative_error": math.sqrt(lost / whole) if whole else 0.0}


def _items_saved(rows: Iterable[Row], items: int) -> float:
    """Share of the items of all evaluated positions that did not have to be scored.

    Args:
        rows: of the journal.
        items: of a complete evaluation.
    """
    searched = [row for row in rows if row.phase == "search"]
    whole = len({row.key for row in searched}) * items
    return round(1 - sum(row.n for row in searched) / whole, 4)
