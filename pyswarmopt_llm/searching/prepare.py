"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import Engine, Space, Utility
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.mix.kind import SpaceKind
from pyswarmopt_llm.mix.starts import starting_points
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.scores.metrics.objectives import Objectives, task_print
from pyswarmopt_llm.scores.metrics.questions.answer_format import trial_of
from pyswarmopt_llm.scores.metrics.questions.context_window import check_window
from pyswarmopt_llm.scores.tasks import Scoring, Task
from pyswarmopt_llm.searching.plan import Plan, make_plan
from pyswarmopt_llm.searching.scoring.evaluator import LETTERS, Evaluator, Questions
from pyswarmopt_llm.searching.worker_names import Workers

check_served = lazy("pyswarmopt_llm.servers.workers.served:check_served")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A search with its models, ready to run.

    Attributes:
        plan: of the search.
        space: holds the experts' weights, or knows where they are.
        engine: holds the resident base, or all experts.
        experts: what the space was made of, see `Prepared`.
        base_name: the base's public name; "" where the experts have several.
        fingerprints: of base, experts and tasks, for ``run.json``.
        notes: task -> how its dev and test were drawn, if its file has no split; what to know of
            the base.
        examination: of the server; None where the base runs here.
    """

    plan: Plan
    space: Space
    engine: Engine
    experts: Sequence[Any]
    base_name: str
    fingerprints: Mapping[str, Any]
    notes: Mapping[str, str]
    examination: Any = None

    @property
    def config(self) -> SearchConfig:
        """Every setting, with a value."""
        return self.plan.config

    @property
    def kind(self) -> SpaceKind:
        """The kind of its space."""
        return self.plan.kind

    @property
    def workers(self) -> Workers:
        """The workers that score."""
        return self.plan.workers

    @property
    def objectives(self) -> Objectives:
        """Tasks and scores."""
        return self.plan.objectives

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> task, in the order given."""
        return self.objectives.tasks

    def utilities(self, split: str, scorings: Mapping[str, Scoring]) -> dict[str, Utility]:
        """Name -> what is scored on a split; see `Objectives.utilities`."""
        return self.objectives.utilities(split, scorings, self.engine.chat)

    def evaluator(self, questions: Questions) -> Evaluator:
        """The evaluator of candidates on these questions."""
        if questions.split == LETTERS:
            tasks = [self.tasks[name] for name, _ in questions.scorings]
            trials = {task.name: trial_of(task, self.engine.chat) for task in tasks}
            return Evaluator(self.space, self.engine, trials, harmonic)
        utilities = self.utilities(questions.split, dict(questions.scorings))
        return Evaluator(self.space, self.engine, utilities, self.objectives.combine)

    def training_items(
        self, scorings: Mapping[str, Scoring]
    ) -> tuple[dict[str, Accuracy], list[Choices]]:
        """The tasks' dev items as they are scored, and all of them as they are trained on."""
        utilities: dict[str, Accuracy] = {}
        choices: list[Choices] = []
        for name, utility in self.utilities("dev", scorings).items():
            if isinstance(utility, Accuracy):
                utilities[name] = utility
                choices += utility.choices()
        return utilities, choices

    @cached_property
    def starts(self) -> Tensor:
        """Starting positions."""
        return starting_points(
            self.space, self.config.start, self.config.population, self.config.seed
        )


def prepare(config: SearchConfig, given: Mapping[str, Any] | None = None) -> Job:
    """Plan a search and load its tasks, experts and base; the first thing that is wrong is a
    `UserError`, with nothing written.

    Args:
        config: the settings.
        given: see `make_plan`.
    """
    plan = make_plan(config, given)
    config, objectives = plan.config, plan.objectives
    prepared = plan.kind.prepare(config)
    notes: dict[str, str] = {}
    for name, task in objectives.tasks.items():
        check_window(task, config.scoring, prepared.engine, metric=objectives.metrics[name])
        if task.note and task.note not in notes.values():
            notes[name] = task.note
    notes |= plan.why
    examination = None
    if config.served:
        examination = check_served(config, objectives, prepared)
        notes["engine"] = examination.text
    return Job(
        plan=plan.with_settings(**prepared.decided),
        space=prepared.space,
        engine=prepared.engine,
        experts=prepared.experts,
        base_name=prepared.base_name,
        fingerprints={**prepared.fingerprints, **_prints(objectives)},
        notes={**notes, **prepared.notes},
        examination=examination,
    )


def _prints(objectives: Objectives) -> dict[str, Any]:
    """Fingerprints of tasks and of the user's own scores, and of the files of score functions where
    there are any.
    """
    tasks = {name: task_print(task) for name, task in objectives.tasks.items()}
    tasks |= {name: external.fingerprint for name, external in objectives.externals.items()}
    scores = {
        name: metric.fingerprint
        for name, metric in objectives.metrics.items()
        if metric.fingerprint
    }
    return {"tasks": tasks, "scores": scores} if scores else {"tasks": tasks}
