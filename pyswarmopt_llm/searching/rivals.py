"""The rivals of a search's result: the base, and the base and the best expert fine-tuned
on the same items.

A gain over the best expert may come from training alone; rivals that are trained in the same way
tell. A search with labels trains both anyway, since either may be its result, so that they cost
their scores on test and no more; ``--no-rivals`` leaves them out. A search that trains nothing but
has a function of the user's to score gets the base alone, and so does one that trains on the best
of its replies: each rival would take as long as the search's own training.

The store has each score as soon as it is there, so that a resumed run does not repeat it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.scores.tasks import Scoring
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.evaluator import row_of
from pyswarmopt_llm.searching.scoring.record import Row, wrong_for
from pyswarmopt_llm.searching.scoring.run_directory import Run

if TYPE_CHECKING:
    from pyswarmopt_llm.searching.train import Training

BASE, BASE_TUNED, EXPERT_TUNED = "base", "base_tuned", "expert_tuned"


@dataclass(frozen=True)
class Rival:
    """The rivals of a result.

    Attributes:
        name: in the store and ``result.json``.
        patch: what it is; None of what was trained without folds alone, since it is clearly behind
            on dev.
        trained: whether it is fine-tuned on dev.
        same: the search has trained the very same, so that it is not scored again.
        scores: split -> task -> score.
        passes: forward passes of an item that it took, training included.
        seconds: the same.
    """

    name: str
    patch: Patch | None
    trained: bool = False
    same: bool = False
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    passes: int = 0
    seconds: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing is left to score."""
        return self.same or self.patch is None


def score_rivals(
    job: Job,
    run: Run,
    training: Training | None,
    scorings: Mapping[str, Scoring],
    notify: OnEvent,
) -> list[Rival]:
    """Score the rivals, or read what the run directory has of them.

    One that cross-fitting finds behind by more than a standard error has its score on dev alone.

    Args:
        job: what the search worked with.
        run: its directory, locked.
        training: what the search trained; None if it does not train.
        scorings: of the tasks.
        notify: called with progress.

    Raises:
        UserError: what is stored of them is damaged.
    """
    if not job.plan.rivals:
        return []
    return _Scoring(job, run, training, scorings, notify).rivals()


class _Scoring:
    def __init__(
        self,
        job: Job,
        run: Run,
        training: Training | None,
        scorings: Mapping[str, Scoring],
        notify: OnEvent,
    ) -> None:
        self._job, self._notify, self._training = job, notify, training
        self._known = {(BASE, "dev"): training.base} if training and training.base else {}
        splits = {split: job.utilities(split, scorings) for split in ("dev", "test")}
        self._utilities = {split: tasks for split, tasks in splits.items() if tasks}
        self._store = run.store

    def rivals(self) -> list[Rival]:
        unscored = list(_rivals(self._job, self._training))
        if not any((_what(split), BASE) in self._store for split in self._utilities):
            self._notify(Event("note", {"text": _announcement(unscored)}))
        return [rival if rival.settled else self._scored(rival) for rival in unscored]

    def _scored(self, rival: Rival) -> Rival:
        load = cache(
            lambda: self._job.engine.load(rival.patch or Patch())
        )  # not at all if all is known
        rows = {}
        for split in self._utilities:
            new = partial(self._row, rival, split, load)
            wrong = wrong_for(self._utilities[split])
            rows[split] = Row.from_json(self._store.get(_what(split), rival.name, new, wrong))
        scores = {s: {name: row.score(name) for name in row.items} for s, row in rows.items()}
        passes, seconds = sum(r.n for r in rows.values()), sum(r.seconds for r in rows.values())
        # what was trained on dev is scored there by cross-fitting
        return replace(rival, scores={**scores, **rival.scores}, passes=passes, seconds=seconds)

    def _row(self, rival: Rival, split: str, load: Callable[[], None]) -> dict[str, Any]:
        """Its scores on a split."""
        begun = time.perf_counter()
        scores = rival.scores.get(split) or self._known.get((rival.name, split))
        if scores is None:
            load()
            tasks = self._utilities[split]
            scores = {name: utility(self._job.engine) for name, utility in tasks.items()}
        total = self._job.objectives.combine(list(scores.values()))
        if split in rival.scores:
            total = replace(total, n=0)  # nothing was scored for it
        seconds = round(time.perf_counter() - begun, 3)
        return row_of(split, rival.name, scores, total, seconds).to_json()


def _what(split: str) -> str:
    """What the store calls a rival's scores on a split."""
    return f"rival {split}"


def _rivals(job: Job, training: Training | None) -> Iterator[Rival]:
    yield Rival(BASE, Patch())
    if training is None or job.plan.rivals < 2:
        return
    for start, name in {"base": BASE_TUNED, "expert": EXPERT_TUNED}.items():
        tuned = training.tuned[start]
        same = training.after.patch is tuned.patch
        yield Rival(name, tuned.patch, True, same, {} if same else {"dev": tuned.scores})


def _announcement(rivals: Sequence[Rival]) -> str:
    names = {
        BASE: "the base",
        BASE_TUNED: "the fine-tuned base",
        EXPERT_TUNED: "the fine-tuned best expert",
    }
    *others, last = [names[rival.name] for rival in rivals if not rival.settled]
    scored = f"{', '.join(others)} and {last} are scored" if others else f"{last} is scored"
    return f"for comparison {scored} (`no_rivals` leaves this out)"


__all__ = ["Rival", "score_rivals"]
