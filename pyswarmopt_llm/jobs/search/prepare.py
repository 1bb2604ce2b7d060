"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyswarmopt_llm.common.config import PROPOSALS, SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Engine, Space, Utility
from pyswarmopt_llm.evaluation.evaluator import Evaluator
from pyswarmopt_llm.evaluation.workers.messages import LETTERS, Questions
from pyswarmopt_llm.evaluation.workers.spec import parse_workers
from pyswarmopt_llm.jobs.search.budget import Budget
from pyswarmopt_llm.jobs.search.preset import with_policy, with_space
from pyswarmopt_llm.jobs.search.validate import check_budget, check_dev_expert, check_screen, check_settings
from pyswarmopt_llm.metrics.combine import harmonic
from pyswarmopt_llm.metrics.objectives import Objectives, load_objectives, task_print
from pyswarmopt_llm.metrics.questions.answer_format import trial_of
from pyswarmopt_llm.metrics.questions.context_window import check_askable
from pyswarmopt_llm.spaces import SpaceKind, space_kind
from pyswarmopt_llm.spaces.kind import Prepared
from pyswarmopt_llm.tasks import Scoring, Task


@dataclass(frozen=True)
class Job:
    """What a search works with.

    Attributes:
        prepared: config, space, engine and experts; also attributes of the job itself.
        objectives: what is maximised.
        kind: of the space.
    """

    prepared: Prepared
    objectives: Objectives
    kind: SpaceKind

    @property
    def config(self) -> SearchConfig:
        """What was asked, after a calibration if there was one."""
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
        return {**self.prepared.fingerprints, "tasks": _task_prints(self.objectives)}

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> task, in the order given."""
        return self.objectives.tasks

    @property
    def task_notes(self) -> dict[str, str]:
        """Task -> how its dev and test were drawn, where its file has no split."""
        return {name: task.note for name, task in self.tasks.items() if task.note}

    def utilities(self, split: str, scorings: Mapping[str, Scoring]) -> dict[str, Utility]:
        """Name -> what is asked on ``dev``, ``test`` or ``fresh``; see `Objectives.utilities`."""
        return self.objectives.utilities(split, scorings, self.engine.chat)

    def evaluator(self, questions: Questions) -> Evaluator:
        """What scores candidates on these questions."""
        if questions.split == LETTERS:
            tried: dict[str, Utility] = {
                name: trial_of(self.tasks[name], self.engine.chat) for name, _ in questions.scorings
            }
            return Evaluator(self.space, self.engine, tried, harmonic)
        asked = self.utilities(questions.split, dict(questions.scorings))
        return Evaluator(self.space, self.engine, asked, self.objectives.combine)

    @property
    def particles(self) -> int:
        """Population of the swarm: never fewer than the experts."""
        return self.config.population

    @property
    def planned(self) -> int:
        """Evaluations if nothing stops the search early."""
        return self.config.planned

    @property
    def dev_items(self) -> int:
        """Items of one evaluation."""
        return sum(len(task.dev) for task in self.tasks.values())

    @property
    def budget(self) -> Budget:
        """What the search may spend."""
        minutes = self.config.budget_minutes
        # The end scores best and average on dev, and those and the best single expert on test; where one was trained on
        # dev, the best of the others, too.
        on_test = 3 + (self.config.dev_expert == "on")
        closing = 2 * self.dev_items + on_test * sum(len(task.test) for task in self.tasks.values())
        kept = 0
        if self.config.screen is not None:
            from pyswarmopt_llm.evaluation.surrogate.proposals import proposal_count

            items = self.config.budget_items
            kept = self.dev_items * (PROPOSALS if items is None else proposal_count(items // self.dev_items))
        return Budget(None if minutes is None else 60 * minutes, self.config.budget_items, closing, kept)


def prepare(config: SearchConfig) -> Job:
    """Load tasks, experts and base; whatever is wrong is said here, in one line, with nothing written.

    Raises:
        UserError: the first thing that is wrong.
    """
    config = with_space(config)
    check_settings(config)  # first, since it is cheap
    objectives, kind = load_objectives(config), space_kind(config.space)
    paid = [metric.name for metric in objectives.metrics.values() if metric.usage is not None]
    if paid and not parse_workers(config.workers).alone:
        raise UserError(
            f"--workers {config.workers}: {paid[0]} counts and limits its requests in one process; leave it out"
        )
    check_budget(config, objectives.tasks)
    if kind.several_models and objectives.externals:
        name = next(iter(objectives.externals))
        raise UserError(f"--space {config.space}: {name} asks one model, not several; give task files")
    config = with_policy(config, objectives)
    check_dev_expert(config, objectives)
    found = kind.prepare(config)
    job = Job(found, objectives, kind)
    check_screen(job.config, objectives, job.space.size)
    for name, task in objectives.tasks.items():
        check_askable(task, config.scoring, job.engine, metric=objectives.metrics[name])
    return job


def _task_prints(objectives: Objectives) -> dict[str, str]:
    """Name of what is maximised -> its fingerprint."""
    own = {name: task_print(task) for name, task in objectives.tasks.items()}
    return own | {name: external.fingerprint for name, external in objectives.externals.items()}
