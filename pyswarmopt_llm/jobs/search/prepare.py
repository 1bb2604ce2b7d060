"""Everything a search needs, found and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Engine, Space, Utility
from pyswarmopt_llm.common.optimizers import is_swarm
from pyswarmopt_llm.evaluation.evaluator import LETTERS, Evaluator, Questions
from pyswarmopt_llm.evaluation.run_files import UNTRAINED
from pyswarmopt_llm.evaluation.search import Budget
from pyswarmopt_llm.jobs.search.preset import resolve, untrained
from pyswarmopt_llm.jobs.search.validate import (
    ResolvedSearch,
    check_budget,
    check_objectives,
    check_settings,
    check_surrogate,
    check_train,
)
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.metrics.combine import harmonic
from pyswarmopt_llm.metrics.objectives import Objectives, load_objectives, task_print
from pyswarmopt_llm.metrics.questions.answer_format import trial_of
from pyswarmopt_llm.metrics.questions.context_window import check_window
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.spaces.starts import starting_points
from pyswarmopt_llm.tasks import Scoring, Task

if TYPE_CHECKING:
    from pyswarmopt_llm.models.served.attach import Examination

EXPERT_ITERATION = 0.5  # share of `budget_minutes` that is kept for it
MOST_KEPT = 10  # candidates at most that a budget of items keeps for proposals


@dataclass(frozen=True, kw_only=True)
class Job(ResolvedSearch):
    """A search with its data and models, ready to run.

    Attributes:
        objectives: what is maximised.
        space: holds the experts' weights, or knows where they are.
        engine: holds the resident base, or all experts.
        experts: what the space was made of, see `Prepared`.
        base_name: the base's public name; "" where the experts have several.
        fingerprints: of base, experts and tasks, for ``run.json``.
        notes: task -> how its dev and test were drawn, if its file has no split; what to know of
            the base.
        examination: of the server; None where the base runs here.
    """

    objectives: Objectives
    space: Space
    engine: Engine
    experts: Sequence[Any]
    base_name: str
    fingerprints: Mapping[str, Any]
    notes: Mapping[str, str]
    examination: Examination | None

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

    @property
    def training(self) -> str:
        """The training of the mixture that is found, in words."""
        if self.objectives.written:
            kind = "spare" if self.objectives.spare else "dev"
            return f"expert iteration on the {counted(self.trained_items, f'{kind} prompt')}"
        return f"training on the {counted(self.dev_items, 'dev item')}"

    @property
    def dev_items(self) -> int:
        """Items of one evaluation."""
        return sum(len(task.dev) for task in self.tasks.values())

    @property
    def trained_items(self) -> int:
        """Items that the mixture that is found would be trained on: dev items, or spare ones; the
        prompts of several scores count once.
        """
        return self.distinct("spare" if self.objectives.spare else "dev")

    def distinct(self, split: str) -> int:
        """Items of a split; those that all tasks share count once."""
        counts = [len(task.split(split)) for task in self.tasks.values()]
        return counts[0] if self.objectives.alike else sum(counts)

    @cached_property
    def starts(self) -> Tensor:
        """Starting positions."""
        return starting_points(
            self.space, self.config.start, self.config.population, self.config.seed
        )

    @cached_property
    def budget(self) -> Budget:
        """The budget of the search."""
        minutes, items = self.config.budget_minutes, self.config.budget_items
        # The end scores best and average on dev, and on test those, the best single expert, and
        # what was trained.
        on_test = 3 + (self.config.train == "on")
        closing = 2 * self.dev_items + on_test * sum(len(task.test) for task in self.tasks.values())
        candidates = self.config.most_proposals  # kept for proposals after iterations
        if items is not None:
            candidates = min(candidates, MOST_KEPT, items // self.dev_items // 4)
        training = (
            EXPERT_ITERATION if self.config.train == "on" and self.objectives.written else 0.0
        )
        seconds = None if minutes is None else 60 * minutes
        return Budget(seconds, items, closing, candidates * self.dev_items, training)


def prepare(config: SearchConfig) -> Job:
    """Load tasks, experts and base; the first thing that is wrong is a `UserError`, with nothing
    written.
    """
    search = resolve(config)
    if search.config.is_grid:
        raise InvalidOption(
            "grid", search.config.grid, "is a search for each draw; use `pyswarmopt_llm.search`"
        )
    check_settings(search)  # first, since it is cheap
    objectives = load_objectives(search.config)
    check_objectives(search, objectives)
    search = resolve(config, objectives)
    check_budget(search.config, objectives.tasks)
    check_train(search, objectives)
    prepared = search.kind.prepare(search.config)
    check_surrogate(search, objectives, prepared.space.size)
    for name, task in objectives.tasks.items():
        check_window(task, search.config.scoring, prepared.engine, metric=objectives.metrics[name])
    notes: dict[str, str] = {}
    for name, task in objectives.tasks.items():
        if task.note and task.note not in notes.values():
            notes[name] = task.note
    if config.combine == "auto" and objectives.combined_by != "harmonic":
        search = search.changed(combine=objectives.combined_by)
        notes["combine"] = (
            f"{', '.join(objectives.names)}: the mean of the scores is maximised (`combine` "
            "arithmetic), since they may be negative; front/ has other compromises"
        )
    if why := untrained(search, objectives):
        notes[UNTRAINED] = why
    examination = None
    if search.config.served:
        from pyswarmopt_llm.evaluation.workers.served import check_served

        examination = check_served(search.config, objectives, prepared)
        notes["engine"] = examination.text
    start = _start(search.config, prepared.space)
    search = search.changed(start=start, **prepared.decided)
    return Job(
        **vars(search),
        objectives=objectives,
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


def _start(config: SearchConfig, space: Space) -> str:
    """The starting points that ``auto`` stands for, or those that are given.

    Sums of experts are for swarms; rivals, and the authors' code, begin with the experts.
    """
    if config.start != "auto":
        return config.start
    if not (space.linear and config.compat != "reference" and is_swarm(config.optimizer)):
        return "segments"
    return "sums" if config.iterations else "even"
