"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from pyswarmopt_llm.common.config import MODELS, SearchConfig
from pyswarmopt_llm.common.events import OnEvent, ignore
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Format, MixtureSpace, Patch, Score, Utility
from pyswarmopt_llm.common.own import fingerprint, is_function
from pyswarmopt_llm.mix import make_pool
from pyswarmopt_llm.mix.coefficients import between, starting_points, with_sums
from pyswarmopt_llm.mix.kind import Pool
from pyswarmopt_llm.mix.load import format_of
from pyswarmopt_llm.run.cards import QUESTIONS, digest_of
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.metrics.objectives import check_window, task_print
from pyswarmopt_llm.scores.tasks import AnswerFormat, Task, render_prompt
from pyswarmopt_llm.searching.decide import make_plan, stored_plan
from pyswarmopt_llm.searching.plan import Plan
from pyswarmopt_llm.searching.scorer import CandidateEvaluator


@dataclass(frozen=True, kw_only=True)
class Job(Plan):
    """A search ready to run: a decided plan, and its models.

    Attributes:
        pool: the experts, and the space over them.
        engine: runs candidates.
        notes: topic -> what a user should know, such as how dev and test were drawn.
        learnt: expert -> number of dev examples that it was trained on, by its card.
        tell: called with progress.
    """

    pool: Pool
    engine: Engine
    notes: Mapping[str, str] = field(default_factory=dict)
    learnt: dict[str, int] = field(default_factory=dict)
    tell: OnEvent = ignore

    @cached_property
    def fingerprints(self) -> dict[str, Any]:
        """Digests of base, experts, tasks and score functions."""
        tasks = {task.name: task_print(task) for task in self.objectives.tasks.values()}
        for name, external in self.objectives.externals.items():
            tasks[name] = external.fingerprint
        metrics = self.objectives.metrics
        optimizer = self.config.optimizer
        prints = {
            **self.pool.fingerprints,
            "tasks": tasks,
            "metrics": {name: metric.identity for name, metric in metrics.items()},
        }
        if is_function(optimizer):
            prints["custom code"] = {optimizer: fingerprint(optimizer)}
        return {kind: value for kind, value in prints.items() if value}

    def utilities(
        self, split: str, answer_formats: Mapping[str, AnswerFormat]
    ) -> dict[str, Utility]:
        """Name -> scoring function on a split; see `Objectives.utilities`."""
        return self.objectives.utilities(split, answer_formats, self.engine.chat)

    def evaluator(
        self, split: str, answer_formats: Mapping[str, AnswerFormat]
    ) -> CandidateEvaluator:
        """The evaluator of models on a split, before rounding."""
        utilities = self.utilities(split, answer_formats)
        return CandidateEvaluator(self.pool.space, self.engine, utilities, self.objectives.combine)

    @cached_property
    def format(self) -> Format | None:
        """The format of the file that the result is for, if any."""
        return format_of(self.config.quantize)

    def choices(self, answer_formats: Mapping[str, AnswerFormat]) -> list[Choices]:
        """The dev items of all tasks, as training examples."""
        return [
            choice
            for utility in self.utilities("dev", answer_formats).values()
            if isinstance(utility, Accuracy)
            for choice in utility.choices()
        ]

    def total(self, row: Row) -> Score:
        """The score of a row over all tasks, on the scored items."""
        return self.objectives.combine([row.tasks[name] for name in self.objectives.names])

    def weights(self, position: Tensor) -> dict[str, float]:
        """Expert -> its coefficient at a position, (D,)."""
        coefficients = self.pool.space.coefficients(position).tolist()
        return dict(zip(self.pool.space.expert_names, coefficients, strict=True))

    @cached_property
    def starts(self) -> Tensor:
        """Starting positions; a swarm adds the rest of its population itself."""
        config = self.config
        starts = starting_points(self.pool.space, config.start, config.population, config.seed)
        if config.method in MODELS:
            return between(starts, config.population, config.seed)
        return starts

    def starts_without(self, dropped: Collection[int]) -> Tensor:
        """Starting positions of a surrogate that mixes all experts but these, by number."""
        if not dropped:
            return self.starts
        config = self.config
        vertices = self.pool.space.vertices()
        left = [number for number in range(len(vertices)) if number not in dropped]
        starts = with_sums(vertices[left], config.start)
        return between(starts, config.population - len(dropped), config.seed)


@dataclass(frozen=True, eq=False)
class Contestant:
    """A model that a search compares: a mixture, possibly trained further. One model may have several
    names; objects that differ are models that differ.

    Attributes:
        position: coefficients of the mixture, (D,).
        patch: the whole model, if it differs from the mixture at `position`.
        trained: True if trained on dev. Without a patch only its cross-validation fits exist,
            because another model is the result.
        dev: scores on dev, if known.
    """

    position: Tensor
    patch: Patch | None = None
    trained: bool = False
    dev: Row | None = None

    def realise(self, space: MixtureSpace) -> Patch:
        """The patch for an engine."""
        if self.patch is None:
            return space.realise(self.position)
        return self.patch


def prepare(config: SearchConfig) -> Job:
    """Plan a search and load its tasks, experts and base; the first fault raises a `UserError`, and
    nothing is written.
    """
    if not config.processes:
        need_extra("ray", f"`workers` {config.workers}")
    return _opened(make_plan(config))


def reopen(config: SearchConfig, given: Mapping[str, Any] = {}) -> Job:
    """Load a decided and stored plan as a job.

    Args:
        config: decided settings.
        given: settings given by the user.

    Raises:
        UserError: the base, experts or tasks cannot be loaded.
    """
    return _opened(stored_plan(config, given))


def _opened(plan: Plan) -> Job:
    """Load everything that a plan names."""
    config = plan.config
    objectives = plan.objectives
    pool, engine = make_pool(plan.kind, config)
    engine.thinking = config.thinking
    notes: dict[str, str] = {}
    for name, task in objectives.tasks.items():
        check_window(task, config.scoring, engine, metric=objectives.metrics[name])
        if task.note and task.note not in notes.values():
            notes[name] = task.note
    notes |= plan.why
    learnt: dict[str, int] = {}
    for spec, name in zip(config.experts, pool.space.expert_names, strict=True):
        if count := learnt_items(user_path(spec), objectives.different_tasks):
            learnt[name] = count
            notes[f"learnt by {name}"] = (
                f"{name} was trained on {count} of the {plan.items} dev examples, "
                "so its score on dev is not held out"
            )
    return Job(
        replace(config, **engine.decided),
        objectives,
        plan.given,
        plan.why,
        pool=pool,
        engine=engine,
        notes={**notes, **pool.notes},
        learnt=learnt,
    )


def learnt_items(adapter: Path, tasks: Iterable[Task]) -> int:
    """Number of dev items whose questions an adapter was trained on, according to its card."""
    card = adapter / "README.md"
    if not card.is_file():
        return 0
    learnt = {*card.read_text("utf-8", "replace").partition(QUESTIONS)[2].split()}
    count = 0
    for task in tasks:
        for item in task.dev:
            scoring: AnswerFormat = "likelihood" if item.choices else "generate"
            asked = render_prompt(item, scoring, task.prompt)
            count += not learnt.isdisjoint({digest_of(item.question), digest_of(asked)})
    return count
