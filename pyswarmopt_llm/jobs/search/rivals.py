"""What the result of a search stands beside: the base, and the base and the best expert fine-tuned on the same items.

A gain over the best expert may come from training alone; rivals that are trained in the same way tell. They are scored
on dev and test as the result is, cost one training each, and are left out by ``--no-rivals``. A search that trains
nothing but has a function of the user's to score gets the base alone.

Each score is a line of ``rivals.jsonl`` as soon as it is there, so that a resumed run does not repeat it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import paired, score_interval
from pyswarmopt_llm.evaluation.evaluator import own_values
from pyswarmopt_llm.evaluation.record import Row, journal, pack
from pyswarmopt_llm.evaluation.result import RivalScore
from pyswarmopt_llm.evaluation.run_directory import Run
from pyswarmopt_llm.jobs.search.prepare import Job
from pyswarmopt_llm.metrics.combine import Combine
from pyswarmopt_llm.models.choices import EPOCHS, Choices, training_passes
from pyswarmopt_llm.reporting.verdict import difference
from pyswarmopt_llm.tasks import Scoring

if TYPE_CHECKING:
    from pyswarmopt_llm.jobs.search.train import Training

FILE = "rivals.jsonl"
BASE, BASE_TUNED, EXPERT_TUNED = "base", "base-tuned", "expert-tuned"


@dataclass(frozen=True)
class Start:
    """A rival before it is trained and scored.

    Attributes:
        name: in ``rivals.jsonl`` and ``result.json``.
        label: in tables.
        patch: what it is, or what is trained further.
        trained: whether it is fine-tuned on dev.
        same: the search has trained the very same.
    """

    name: str
    label: str
    patch: Patch
    trained: bool = False
    same: bool = False


@dataclass(frozen=True)
class Rival:
    """A rival with its scores.

    Attributes:
        name, label, trained, same: see `Start`.
        scores: split -> task -> score; none if it is `same`.
        passes: forward passes of an item that it took, training included.
        seconds: the same.
    """

    name: str
    label: str
    trained: bool
    same: bool
    scores: Mapping[str, Mapping[str, Score]]
    passes: int
    seconds: float


def score_rivals(
    job: Job, run: Run, training: Training | None, single: int, scorings: Mapping[str, Scoring], notify: OnEvent
) -> list[Rival]:
    """Train and score the rivals, or read what the run directory has of them.

    Without test items none is trained: on dev it could be scored only on what it was trained on.

    Args:
        job: what the search worked with.
        run: its directory, locked.
        training: what the search trained; None if it does not train.
        single: number of the best single expert.
        scorings: of the tasks.
        notify: called with progress.

    Raises:
        UserError: ``rivals.jsonl`` is damaged.
    """
    if not planned_rivals(job)[0]:
        return []
    return _Scoring(job, run, scorings, notify).rivals(training, single)


def planned_rivals(job: Job) -> tuple[int, int]:
    """How many rivals are scored, and how many of these trained, at most."""
    trains = job.config.train == "on"
    if job.config.no_rivals or not (trains or job.objectives.own) or job.kind.several_models:
        return 0, 0
    tested = trains and any(task.test for task in job.tasks.values())
    return (3, 2) if tested else (1, 0)


def train_once(*arguments: Any) -> Any:
    """See `models.training.folds.train_once`, which is imported only where something is trained."""
    from pyswarmopt_llm.models.training import folds

    return folds.train_once(*arguments)


class _Scoring:
    def __init__(self, job: Job, run: Run, scorings: Mapping[str, Scoring], notify: OnEvent) -> None:
        self._job, self._notify = job, notify
        splits = {split: job.utilities(split, scorings) for split in ("dev", "test")}
        self._utilities = {split: tasks for split, tasks in splits.items() if tasks}
        self._choices: list[Choices] = []
        if job.config.train == "on":
            from pyswarmopt_llm.jobs.search.train import training_items

            self._choices = training_items(job, scorings)[1]
        self._file = run.path / FILE
        self._log = journal(self._file)
        self._known = {(row["key"], row["phase"]): Row.from_json(row) for row in self._log.repaired()}

    def rivals(self, training: Training | None, single: int) -> list[Rival]:
        starts = list(_starts(self._job, training if "test" in self._utilities else None, single))
        if not self._known:
            self._notify(Event("note", {"text": _announcement(starts, self._job.dev_items)}))
        return [self._rival(start) for start in starts]

    def _rival(self, start: Start) -> Rival:
        if start.same:
            return Rival(start.name, start.label, start.trained, True, {}, 0, 0.0)
        if any((start.name, split) not in self._known for split in self._utilities):
            self._score(start)
        rows = {split: self._row(start.name, split) for split in self._utilities}
        scores = {split: {name: row.score(name) for name in row.items} for split, row in rows.items()}
        passes = training_passes(len(self._choices)) if start.trained else 0
        passes += sum(row.n for row in rows.values())
        seconds = sum(row.seconds for row in rows.values())
        return Rival(start.name, start.label, start.trained, False, scores, passes, seconds)

    def _score(self, start: Start) -> None:
        """Train it if it is to be trained, and score it on the splits on which it is not scored yet."""
        begun = time.perf_counter()
        self._job.engine.load(self._trained(start, begun) if start.trained else start.patch)
        for split, tasks in self._utilities.items():
            if (start.name, split) in self._known:
                continue
            scores = {name: utility(self._job.engine) for name, utility in tasks.items()}
            seconds, begun = round(time.perf_counter() - begun, 3), time.perf_counter()
            row = _row(start.name, split, scores, self._job.objectives.combine(list(scores.values())), seconds)
            self._log.append(row.to_json())
            self._known[start.name, split] = row

    def _trained(self, start: Start, begun: float) -> Patch:
        def after_epoch(epoch: int, _loss: float) -> None:
            seconds = time.perf_counter() - begun
            self._notify(Event("rival", {"label": start.label, "share": epoch / EPOCHS, "seconds": seconds}))

        engine, config = self._job.engine, self._job.config
        engine.load(start.patch)
        lora, _ = train_once(engine, self._choices, self._job.experts[0], config.seed, after_epoch)
        return start.patch.with_low_rank(lora.low_rank)

    def _row(self, name: str, split: str) -> Row:
        row = self._known[name, split]
        if row.items.keys() != self._utilities[split].keys():
            raise UserError(f"{self._file}: is of other tasks; remove it: the rivals are scored again")
        return row


def _starts(job: Job, training: Training | None, single: int) -> Iterator[Start]:
    yield Start(BASE, "base", Patch())
    if training is None:
        return
    expert, found = job.space.vertices()[single], training.before.position
    label = f"best expert, fine-tuned on dev: {job.space.expert_names[single]}"
    yield Start(BASE_TUNED, "base, fine-tuned on dev", Patch(), True, not found.any())
    yield Start(EXPERT_TUNED, label, job.space.realise(expert), True, found.equal(expert.to(found)))


def _announcement(starts: Sequence[Start], items: int) -> str:
    names = {BASE_TUNED: "the base", EXPERT_TUNED: "the best expert"}
    tuned = [names[start.name] for start in starts if start.trained and not start.same]
    then = f", and {' and '.join(tuned)} fine-tuned on the same {counted(items, 'dev item')}" if tuned else ""
    return f"for comparison the base is scored{then} (`no_rivals` leaves this out)"


def _row(name: str, split: str, scores: Mapping[str, Score], total: Score, seconds: float) -> Row:
    items = {task: pack(score.per_item) for task, score in scores.items()}
    return Row(split, 0, 0, name, (), total.value, total.n, seconds, items, values=own_values(scores))


def entries(
    rivals: Sequence[Rival], scores: Mapping[tuple[str, str], Mapping[str, Score]], combine: Combine, kept: bool
) -> list[RivalScore]:
    """The rivals for ``result.json``.

    Args:
        rivals: see `score_rivals`.
        scores: of the result and what the search trained: (``best`` or ``trained``, split) -> task -> score.
        combine: of the tasks' scores.
        kept: whether the result is what the search trained.
    """
    scored = []
    for rival in rivals:
        own = dict(rival.scores) or {split: scores["trained", split] for split in ("dev", "test")}
        totals = {split: combine(list(tasks.values())) for split, tasks in own.items()}
        values: dict[str, Any] = {split: total.value for split, total in totals.items()}
        values |= {f"{split}_interval": score_interval(total, len(own[split])) for split, total in totals.items()}
        entry = RivalScore(
            rival.label,
            name=rival.name,
            dev_of=("cross-fitting" if rival.same else "training") if rival.trained else None,
            row=("best" if kept else "trained") if rival.same else None,
            **values,
        )
        both = {("best", "test"): scores.get(("best", "test"), {}), (rival.name, "test"): own.get("test", {})}
        against = difference(paired(both, "best", rival.name))
        if against is not None and entry.row != "best":
            interval = (against.low, against.high)
            entry = replace(entry, difference=against.mean, interval=interval, p=against.p_value)
        scored.append(entry)
    return scored


__all__ = ["FILE", "Rival", "entries", "planned_rivals", "score_rivals"]
