"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.config import MODELS, SearchConfig
from pyswarmopt_llm.common.interfaces import Patch, Score, Space, Utility
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.engine.chat import use_day
from pyswarmopt_llm.mix import Prepared
from pyswarmopt_llm.mix.coefficients import between, starting_points
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.objectives import Objectives, check_window, task_print
from pyswarmopt_llm.scores.tasks import Scoring, Task
from pyswarmopt_llm.searching.plan import Plan, make_plan
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Questions

check_served = lazy("pyswarmopt_llm.servers.attach:check_served")


@dataclass(frozen=True)
class Job(Prepared, Plan):
    """A plan with what it needs, ready to run.

    The fingerprints are also of the tasks, and of score functions; the notes also say how a task's
    dev and test were drawn, if its file has no split.

    Attributes:
        examination: of the server; None where the base runs here.
    """

    examination: Any = None

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> task, in the order given."""
        return self.objectives.tasks

    def utilities(self, split: str, scorings: Mapping[str, Scoring]) -> dict[str, Utility]:
        """Name -> what is scored on a split; see `Objectives.utilities`."""
        return self.objectives.utilities(split, scorings, self.engine.chat)

    def evaluator(self, questions: Questions, margins: bool | None = None) -> Evaluator:
        """The evaluator of models on these questions; None: with margins if a model learns of them."""
        utilities = self.utilities(questions.split, dict(questions.scorings))
        margins = self.config.method == "items" if margins is None else margins
        return Evaluator(self.space, self.engine, utilities, self.objectives.combine, margins)

    def choices(self, scorings: Mapping[str, Scoring]) -> list[Choices]:
        """The dev items of all tasks as they are trained on."""
        utilities = self.utilities("dev", scorings).values()
        scored = [utility for utility in utilities if isinstance(utility, Accuracy)]
        return [choice for utility in scored for choice in utility.choices()]

    def total(self, row: Row) -> Score:
        """The score of a row over all tasks, of the items that were scored."""
        return self.objectives.combine([row.score(name) for name in self.objectives.names])

    def weights(self, position: Tensor) -> dict[str, float]:
        """Expert -> its coefficient at a position, (D,)."""
        coefficients = self.space.coefficients(position).tolist()
        return dict(zip(self.space.expert_names, coefficients, strict=True))

    @cached_property
    def starts(self) -> Tensor:
        """Starting positions; a swarm fills up its population itself."""
        count = self.config.population
        seed = self.config.seed
        starts = starting_points(self.space, self.config.start, count, seed)
        if self.config.method not in MODELS:
            return starts
        return torch.cat([starts, between(starts, count - len(starts), seed)])


@dataclass(frozen=True)
class Contestant:
    """A model that a search compares: a mixture, and what was trained on top of it.

    Attributes:
        position: of the mixture, (D,).
        patch: the whole model, where it is not what the space makes of the position.
        trained: whether it was trained on dev; without a patch it was trained without folds alone,
            since it is clearly behind, and cannot be scored.
        dev: its scores on dev, where these are known.
        value: on dev, as the search saw it.
    """

    position: Tensor
    patch: Patch | None = None
    trained: bool = False
    dev: Row | None = None
    value: float = math.nan

    def realise(self, space: Space) -> Patch:
        """The patch that an engine loads."""
        return space.realise(self.position) if self.patch is None else self.patch


def prepare(config: SearchConfig, given: Mapping[str, Any] | None = None) -> Job:
    """Plan a search and load its tasks, experts and base; the first thing that is wrong is a
    `UserError`, with nothing written.

    Args:
        config: the settings.
        given: see `make_plan`.
    """
    plan = make_plan(config, given)
    config, objectives = plan.config, plan.objectives
    prepared = plan.kind.make(plan.kind, config)
    prepared.engine.thinking = config.thinking
    if config.day is not None:
        use_day(prepared.engine, config.day)
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
    plan = plan.with_settings(**prepared.engine.decided)  # a copy, which holds its fields alone
    prepared = replace(
        prepared,
        fingerprints={**prepared.fingerprints, **_fingerprints(objectives)},
        notes={**notes, **prepared.notes},
    )
    return Job(**vars(plan), **vars(prepared), examination=examination)


def _fingerprints(objectives: Objectives) -> dict[str, Any]:
    """Fingerprints of tasks, metrics and the user's own scores, and of the files of score functions
    where there are any.
    """
    tasks = {name: task_print(task) for name, task in objectives.tasks.items()}
    tasks |= {name: external.fingerprint for name, external in objectives.externals.items()}
    scores = {
        name: metric.fingerprint
        for name, metric in objectives.metrics.items()
        if metric.fingerprint
    }
    metrics = {name: metric.identity for name, metric in objectives.metrics.items()}
    prints = {"tasks": tasks, "metrics": metrics}
    return {**prints, "scores": scores} if scores else prints
