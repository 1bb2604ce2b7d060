"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Engine, Space, Utility
from pyswarmopt_llm.common.optimizers import is_swarm
from pyswarmopt_llm.evaluation.evaluator import Evaluator
from pyswarmopt_llm.evaluation.workers.messages import LETTERS, Questions
from pyswarmopt_llm.evaluation.workers.spec import Workers, parse_workers, with_threads
from pyswarmopt_llm.jobs.search.preset import resolve
from pyswarmopt_llm.jobs.search.validate import check_budget, check_screen, check_settings, check_train
from pyswarmopt_llm.metrics.combine import harmonic
from pyswarmopt_llm.metrics.objectives import Objectives, load_objectives, task_print
from pyswarmopt_llm.metrics.questions.answer_format import trial_of
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_llm.spaces import SpaceKind, space_kind
from pyswarmopt_llm.tasks import Scoring, Task


@dataclass(frozen=True)
class Budget:
    """When a search has to end so that it keeps within its budget.

    Seconds are those that the journal has of every evaluation, so that a resumed run ends where the interrupted one
    would have. The closing evaluations (best, best single expert and average, on dev and test) are reserved at the pace
    so far.
    """

    seconds: float | None  # for all evaluations; None: no limit
    items: int | None  # item evaluations of the search; None: no limit
    closing_items: int = 0  # items of the closing evaluations, which count in `seconds` only
    kept_items: int = 0  # reserved for proposals, which are scored when the search has ended

    def spent(self, item_evaluations: Sequence[int], seconds: float) -> dict[str, float]:
        """Reasons to stop: another iteration like the latest would exceed the budget.

        `item_evaluations` is the running total after each iteration, `seconds` the time spent on them.

        Example:
            >>> Budget(None, 1000).spent([400, 700], 9.0), Budget(None, 999).spent([400, 700], 9.0)
            ({}, {'budget_items': 700})
            >>> Budget(15.0, None, closing_items=400).spent([400, 700], 9.0)
            {'budget_minutes': 0.15}
        """
        total = item_evaluations[-1]
        latest = total - item_evaluations[-2] if len(item_evaluations) > 1 else total
        found: dict[str, float] = {}
        if self.items is not None and total + latest + self.kept_items > self.items:
            found["budget_items"] = total
        if not self._time(total, seconds, latest + self.kept_items):
            found["budget_minutes"] = round(seconds / 60, 3)
        return found

    def pays(self, total: int, seconds: float, more: int) -> bool:
        """Whether the budget covers so many more items, its reserve for proposals included.

        Example:
            >>> Budget(None, 1000, kept_items=300).spent([400, 700], 9.0), Budget(None, 1000).pays(700, 9.0, 300)
            ({'budget_items': 700}, True)
        """
        return (self.items is None or total + more <= self.items) and self._time(total, seconds, more)

    def _time(self, total: int, seconds: float, more: int) -> bool:
        """Whether there is time for so many more items and the closing ones, at the pace so far."""
        pace = seconds / total if total else 0.0
        return self.seconds is None or seconds + pace * (more + self.closing_items) <= self.seconds


@dataclass(frozen=True)
class Job:
    """What a search works with, everything parsed and chosen.

    Attributes:
        config: the configuration, with all that was chosen for it.
        kind: of the space.
        workers: who scores.
        objectives: what is maximised.
        space: holds the experts' weights, or knows where they are.
        engine: holds the resident base, or all experts.
        experts: what the space was made of, see `Prepared`.
        base_name: the base's public name; "" where the experts have several.
        fingerprints: of base, experts and tasks, for ``run.json``.
    """

    config: SearchConfig
    kind: SpaceKind
    workers: Workers
    objectives: Objectives
    space: Space
    engine: Engine
    experts: Sequence[Any]
    base_name: str
    fingerprints: Mapping[str, Any]

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> task, in the order given."""
        return self.objectives.tasks

    @property
    def task_notes(self) -> dict[str, str]:
        """Task -> how its dev and test were drawn, if its file has no split."""
        return {name: task.note for name, task in self.tasks.items() if task.note}

    def utilities(self, split: str, scorings: Mapping[str, Scoring]) -> dict[str, Utility]:
        """Name -> what is scored on ``dev``, ``test`` or ``fresh``; see `Objectives.utilities`."""
        return self.objectives.utilities(split, scorings, self.engine.chat)

    def evaluator(self, questions: Questions) -> Evaluator:
        """What scores candidates on these questions."""
        if questions.split == LETTERS:
            tasks = [self.tasks[name] for name, _ in questions.scorings]
            trials = {task.name: trial_of(task, self.engine.chat) for task in tasks}
            return Evaluator(self.space, self.engine, trials, harmonic)
        utilities = self.utilities(questions.split, dict(questions.scorings))
        return Evaluator(self.space, self.engine, utilities, self.objectives.combine)

    @property
    def dev_items(self) -> int:
        """Items of one evaluation."""
        return sum(len(task.dev) for task in self.tasks.values())

    @property
    def budget(self) -> Budget:
        """What the search may spend."""
        minutes = self.config.budget_minutes
        # The end scores best and average on dev, and on test those, the best single expert, and what was trained.
        on_test = 3 + (self.config.train == "on")
        closing = 2 * self.dev_items + on_test * sum(len(task.test) for task in self.tasks.values())
        kept = 0
        if self.config.screen is not None:
            from pyswarmopt_llm.evaluation.surrogate.proposals import proposal_count

            items = self.config.budget_items
            kept = self.dev_items * (
                self.config.proposals if items is None else proposal_count(items // self.dev_items)
            )
        return Budget(None if minutes is None else 60 * minutes, self.config.budget_items, closing, kept)


def prepare(config: SearchConfig) -> Job:
    """Load tasks, experts and base; the first thing that is wrong is a `UserError`, with nothing written."""
    plain = resolve(config)
    if plain.is_grid:
        raise InvalidOption("grid", plain.grid, "is a search for each draw; use `pyswarmopt_llm.search`")
    kind, workers = space_kind(plain.space), parse_workers(plain.workers)
    check_settings(plain, kind, workers)  # first, since it is cheap
    objectives = load_objectives(plain)
    _check_objectives(objectives, kind, workers)
    config = with_threads(resolve(config, objectives), workers)
    check_budget(config, objectives.tasks)
    check_train(config, kind, workers, objectives)
    prepared = kind.prepare(config)
    space, engine = prepared.space, prepared.engine
    check_screen(config, kind, objectives, space.size)
    for name, task in objectives.tasks.items():
        check_window(task, config.scoring, engine, metric=objectives.metrics[name])
    return Job(
        config=replace(config, start=_start(config, space)),
        kind=kind,
        workers=workers,
        objectives=objectives,
        space=space,
        engine=engine,
        experts=prepared.experts,
        base_name=prepared.base_name,
        fingerprints={**prepared.fingerprints, "tasks": _task_prints(objectives)} | _score_prints(objectives),
    )


def _check_objectives(objectives: Objectives, kind: SpaceKind, workers: Workers) -> None:
    """Refuse what several workers, or several models, cannot be scored by."""
    paid = [metric.name for metric in objectives.metrics.values() if metric.usage is not None]
    if paid and not workers.alone:
        why = f"{paid[0]} counts and limits its requests in one process"
        raise InvalidOption("workers", workers.text, f"{why}; remove it")
    if kind.several_models and objectives.externals:
        name = next(iter(objectives.externals))
        raise InvalidOption("space", kind.name, f"{name} scores one model, not several; give task files")


def _score_prints(objectives: Objectives) -> dict[str, Any]:
    """Fingerprints of the files of score functions, by task; nothing where there are none."""
    scores = {name: metric.fingerprint for name, metric in objectives.metrics.items() if metric.fingerprint}
    return {"scores": scores} if scores else {}


def _task_prints(objectives: Objectives) -> dict[str, Any]:
    """Name -> fingerprint, of tasks and of the user's own scores."""
    own = {name: task_print(task) for name, task in objectives.tasks.items()}
    return own | {name: external.fingerprint for name, external in objectives.externals.items()}


def _start(config: SearchConfig, space: Space) -> str:
    """The starting points that ``auto`` stands for, or those that are given.

    Sums of experts are for swarms; rivals, and the authors' code, begin with the experts.
    """
    if config.start != "auto":
        return config.start
    if not (space.linear and config.compat != "reference" and is_swarm(config.optimizer)):
        return "segments"
    return "sums" if config.iterations else "even"
