"""The rivals of a search's result: the base, and the base and the best expert fine-tuned
on the same items.

A gain over the best expert may come from training alone; rivals that are trained in the same way
tell. They are scored on dev and test as the result is, cost one training each, and are left out by
``--no-rivals``. A search that trains nothing but has a function of the user's to score gets the
base alone, and so does one that trains on the best of its replies: each rival would take as long as
the search's own training.

Each score is a line of ``rivals.jsonl`` as soon as it is there, so that a resumed run does not
repeat it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.paired import only, paired
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.common.statistics import score_interval
from pyswarmopt_llm.evaluation.evaluator import row_of
from pyswarmopt_llm.evaluation.record import Row, journal
from pyswarmopt_llm.evaluation.result import RivalScore
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.models.choices import Choices, training_passes
from pyswarmopt_llm.tasks import Scoring

FILE = "rivals.jsonl"
BASE, BASE_TUNED, EXPERT_TUNED = "base", "base-tuned", "expert-tuned"
# Not every search trains, or has several tasks.
fit = lazy("pyswarmopt_llm.models.training.folds:fit")
combined_difference = lazy("pyswarmopt_llm.reporting.combined:combined_difference")


@dataclass(frozen=True)
class Rival:
    """The rivals of a result.

    Attributes:
        name: in ``rivals.jsonl`` and ``result.json``.
        label: in tables.
        patch: what it is, or what is trained further.
        trained: whether it is fine-tuned on dev.
        same: the search has trained the very same, so that it is not scored again.
        scores: split -> task -> score.
        passes: forward passes of an item that it took, training included.
        seconds: the same.
    """

    name: str
    label: str
    patch: Patch
    trained: bool = False
    same: bool = False
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    passes: int = 0
    seconds: float = 0.0


def score_rivals(
    job: Job,
    run: Run,
    mixture: Tensor | None,
    single: int,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
    base: Mapping[str, Score],
) -> list[Rival]:
    """Train and score the rivals, or read what the run directory has of them.

    Without test items none is trained: on dev it could be scored only on what it was trained on.

    Args:
        job: what the search worked with.
        run: its directory, locked.
        mixture: position that the search trained further; None if it does not train.
        single: number of the best single expert.
        scorings: of the tasks.
        notify: called with progress.
        base: task name -> score of the base on dev, where it is known.

    Raises:
        UserError: ``rivals.jsonl`` is damaged.
    """
    if not planned_rivals(job)[0]:
        return []
    return _Scoring(job, run, scorings, notify, base).rivals(
        mixture if _tunes(job) else None, single
    )


def planned_rivals(job: Job) -> tuple[int, int]:
    """Maximum number of rivals that are scored, and of those that are trained."""
    if (
        job.config.no_rivals
        or not (job.config.train == "on" or job.objectives.user_scored)
        or job.kind.several_models
    ):
        return 0, 0
    return (3, 2) if _tunes(job) else (1, 0)


def _tunes(job: Job) -> bool:
    """Whether there are rivals that are trained: on the right answers, and scored on test."""
    return (
        job.config.train == "on"
        and not job.objectives.written
        and any(task.test for task in job.tasks.values())
    )


class _Scoring:
    def __init__(
        self,
        job: Job,
        run: Run,
        scorings: Mapping[str, Scoring],
        notify: OnEvent,
        base: Mapping[str, Score],
    ) -> None:
        self._job, self._notify = job, notify
        self._known = {(BASE, "dev"): base} if base else {}
        splits = {split: job.utilities(split, scorings) for split in ("dev", "test")}
        self._utilities = {split: tasks for split, tasks in splits.items() if tasks}
        self._choices: list[Choices] = []
        if _tunes(job):
            self._choices = job.training_items(scorings)[1]
        self._file = run.path / FILE
        self._log = journal(self._file)
        self._rows = {
            (row["key"], row["phase"]): Row.from_json(row) for row in self._log.repaired()
        }

    def rivals(self, mixture: Tensor | None, single: int) -> list[Rival]:
        unscored = list(_rivals(self._job, mixture, single))
        if not self._rows:
            self._notify(Event("note", {"text": _announcement(unscored, self._job.dev_items)}))
        return [rival if rival.same else self._scored(rival) for rival in unscored]

    def _scored(self, rival: Rival) -> Rival:
        if any((rival.name, split) not in self._rows for split in self._utilities):
            self._score(rival)
        scores, seconds = dict[str, Mapping[str, Score]](), 0.0
        passes = training_passes(len(self._choices)) if rival.trained else 0
        for split in self._utilities:
            row = self._row(rival.name, split)
            scores[split] = {name: row.score(name) for name in row.items}
            passes += row.n
            seconds += row.seconds
        return replace(rival, scores=scores, passes=passes, seconds=seconds)

    def _score(self, rival: Rival) -> None:
        """Train it if it is to be trained, and score it on the splits on which it is not scored
        yet.
        """
        begun = time.perf_counter()
        self._job.engine.load(self._trained(rival, begun) if rival.trained else rival.patch)
        for split, tasks in self._utilities.items():
            if (rival.name, split) in self._rows:
                continue
            scores = self._known.get((rival.name, split))
            if scores is None:
                scores = {name: utility(self._job.engine) for name, utility in tasks.items()}
            seconds, begun = round(time.perf_counter() - begun, 3), time.perf_counter()
            total = self._job.objectives.combine(list(scores.values()))
            row = row_of(split, rival.name, scores, total, seconds)
            self._log.append(row.to_json())
            self._rows[rival.name, split] = row

    def _trained(self, rival: Rival, begun: float) -> Patch:
        def after_epoch(epoch: int, epochs: int, _loss: float) -> None:
            seconds = time.perf_counter() - begun
            self._notify(
                Event("rival", {"label": rival.label, "share": epoch / epochs, "seconds": seconds})
            )

        settings = (self._job.experts[0], self._job.config.seed, after_epoch)
        lora: Patch = fit(self._job.engine, rival.patch, self._choices, *settings)
        return rival.patch.with_low_rank(lora.low_rank)

    def _row(self, name: str, split: str) -> Row:
        row = self._rows[name, split]
        if row.items.keys() != self._utilities[split].keys():
            raise UserError(
                f"{self._file}: is of other tasks; remove it: the rivals are scored again"
            )
        return row


def _rivals(job: Job, mixture: Tensor | None, single: int) -> Iterator[Rival]:
    yield Rival(BASE, "base", Patch())
    if mixture is None:
        return
    expert = job.space.vertices()[single]
    label = f"best expert, fine-tuned on dev: {job.space.expert_names[single]}"
    yield Rival(BASE_TUNED, "base, fine-tuned on dev", Patch(), True, not mixture.any())
    yield Rival(
        EXPERT_TUNED, label, job.space.realise(expert), True, mixture.equal(expert.to(mixture))
    )


def _announcement(rivals: Sequence[Rival], items: int) -> str:
    names = {BASE_TUNED: "the base", EXPERT_TUNED: "the best expert"}
    tuned = [names[rival.name] for rival in rivals if rival.trained and not rival.same]
    then = (
        f", and {' and '.join(tuned)} fine-tuned on the same {counted(items, 'dev item')}"
        if tuned
        else ""
    )
    return f"for comparison the base is scored{then} (`no_rivals` leaves this out)"


def entries(
    rivals: Sequence[Rival],
    scores: Mapping[tuple[str, str], Mapping[str, Score]],
    objectives: Objectives,
    kept: bool,
) -> list[RivalScore]:
    """The rivals for ``result.json``.

    Args:
        rivals: see `score_rivals`.
        scores: of the result and what the search trained: (``best`` or ``trained``, split) -> task
            -> score.
        objectives: of the search.
        kept: whether the result is what the search trained.
    """
    scored, combine, scales = list[RivalScore](), objectives.combine, objectives.scales
    for rival in rivals:
        splits = dict(rival.scores) or {
            split: scores["trained", split] for split in ("dev", "test")
        }
        totals = {split: combine(list(tasks.values())) for split, tasks in splits.items()}
        values: dict[str, Any] = {split: total.value for split, total in totals.items()}
        values |= {
            f"{split}_interval": score_interval(
                total, len(splits[split]), scales.get(objectives.names[0])
            )
            for split, total in totals.items()
        }
        entry = RivalScore(
            rival.label,
            name=rival.name,
            dev_of=("cross-fitting" if rival.same else "training") if rival.trained else None,
            row=("best" if kept else "trained") if rival.same else None,
            **values,
        )
        ours, theirs = scores.get(("best", "test"), {}), splits.get("test", {})
        if len(ours) > 1:
            against = combined_difference(ours, theirs, combine, objectives.alike)
        else:
            both = {("best", "test"): ours, (rival.name, "test"): theirs}
            against = only(paired(both, "best", rival.name, scales), "test")
        if against is not None and entry.row != "best":
            lead = {"difference": against.difference, "interval": against.interval}
            entry = replace(entry, **lead, p=against.p_value)
        scored.append(entry)
    return scored


__all__ = ["FILE", "Rival", "combined_difference", "entries", "planned_rivals", "score_rivals"]
