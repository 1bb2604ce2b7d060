"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Space, Utility
from pyswarmopt_llm.evaluation.evaluator import Evaluator
from pyswarmopt_llm.evaluation.workers.messages import LETTERS, Questions
from pyswarmopt_llm.evaluation.workers.spec import parse_workers
from pyswarmopt_llm.jobs.search.preset import with_policy, with_space
from pyswarmopt_llm.jobs.search.validate import check_budget, check_screen, check_settings, check_train
from pyswarmopt_llm.metrics.combine import harmonic
from pyswarmopt_llm.metrics.objectives import Objectives, load_objectives, task_print
from pyswarmopt_llm.metrics.questions.answer_format import trial_of
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_llm.spaces import SpaceKind, space_kind
from pyswarmopt_llm.spaces.kind import Prepared
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
    """What a search works with."""

    prepared: Prepared  # config, space, engine and experts; also attributes of the job itself
    objectives: Objectives
    kind: SpaceKind  # of the space

    @property
    def config(self) -> SearchConfig:
        """The configuration, after a calibration if there was one."""
        return self.prepared.config

    @property
    def space(self) -> Space:
        """Holds the experts' weights, or knows where they are."""
        return self.prepared.space

    @property
    def engine(self) -> Engine:
        """Holds the resident base, or all experts."""
        return self.prepared.engine

    @property
    def fingerprints(self) -> dict[str, Any]:
        """Of base, experts and tasks, for ``run.json``."""
        own = {name: task_print(task) for name, task in self.tasks.items()}
        external = {name: external.fingerprint for name, external in self.objectives.externals.items()}
        return {**self.prepared.fingerprints, "tasks": own | external}

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
    config = with_space(config)
    check_settings(config)  # first, since it is cheap
    objectives, kind = load_objectives(config), space_kind(config.space)
    paid = [metric.name for metric in objectives.metrics.values() if metric.usage is not None]
    if paid and not parse_workers(config.workers).alone:
        why = f"{paid[0]} counts and limits its requests in one process"
        raise UserError(f"--workers {config.workers}: {why}; remove it")
    check_budget(config, objectives.tasks)
    if kind.several_models and objectives.externals:
        name = next(iter(objectives.externals))
        raise UserError(f"--space {config.space}: {name} scores one model, not several; give task files")
    config = with_policy(config, objectives)
    check_train(config, objectives)
    found = kind.prepare(config)
    job = Job(found, objectives, kind)
    check_screen(job.config, objectives, job.space.size)
    for name, task in objectives.tasks.items():
        check_window(task, config.scoring, job.engine, metric=objectives.metrics[name])
    return job
