"""The plan of a search: its settings and its greatest cost.

A plan is decided once (`decide`), printed, priced and stored in ``run.json``. Resuming, workers and
analyses read it and decide nothing again.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import MODELS, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.kind import SpaceKind
from pyswarmopt_llm.scores.choices import MOST_STARTS, fold_passes, training_passes
from pyswarmopt_llm.scores.metrics.accuracy import TRIAL, TRIED
from pyswarmopt_llm.scores.metrics.objectives import Objectives
from pyswarmopt_llm.scores.tasks import Task
from pyswarmopt_llm.searching.halving import LEAST, LEAST_ITEMS, most_answers
from pyswarmopt_llm.searching.optimizers import recipe_options

MOST_ON_FRONT = 14  # points of a front, and strengths of the best expert, scored on test
MOST_STRENGTHS = 3  # of the best expert, scored on dev after the search for a front


@dataclass(frozen=True)
class Plan:
    """A search, requested or decided.

    Attributes:
        config: its settings; every one has its value once the plan is decided.
        objectives: tasks and scores.
        given: settings given by the user.
        why: topic -> why something was or was not chosen, for the user.
    """

    config: SearchConfig
    objectives: Objectives
    given: Mapping[str, Any] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)

    def with_settings(self, **values: Any) -> Self:
        """The plan with new values of these settings."""
        return replace(self, config=replace(self.config, **values))

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> task, in the given order."""
        return self.objectives.tasks

    @cached_property
    def first(self) -> Self:
        """The search for the first score alone."""
        return replace(self, objectives=self.objectives.first)

    @cached_property
    def kind(self) -> SpaceKind:
        """The kind of space."""
        return space_kind(self.config.space)

    @cached_property
    def alone(self) -> bool:
        """Whether the search's own process does everything."""
        return self.config.processes == 1

    @cached_property
    def side_by_side(self) -> int:
        """Number of candidates scored at the same time, as far as known."""
        return max(self.config.processes, 1)

    @cached_property
    def knob(self) -> bool:
        """Whether a share of an expert is its strength, and nothing of any is the base."""
        return self.kind.linear

    @cached_property
    def floors(self) -> dict[str, float]:
        """Score -> least value in the choice from a front, higher is better."""
        metrics = self.objectives.metrics
        found: dict[str, float] = {}
        for name, limit in map(read_floor, self.config.floor):
            found[name] = -limit if name in metrics and metrics[name].lower else limit
        return found

    @cached_property
    def trains(self) -> bool:
        """Whether the search ends with training."""
        return self.config.train == "on"

    @cached_property
    def items(self) -> int:
        """Dev items of all tasks."""
        return sum(self.objectives.items.values())

    @cached_property
    def test_items(self) -> int:
        """Test items of all tasks."""
        return sum(len(task.test) for task in self.tasks.values())

    @cached_property
    def examples(self) -> tuple[int, int]:
        """Dev and test examples, each once, however many scores it has."""
        tasks = self.objectives.different_tasks
        return sum(len(task.dev) for task in tasks), sum(len(task.test) for task in tasks)

    @cached_property
    def trained_items(self) -> int:
        """Training items: dev items, or spare ones."""
        split = "spare" if self.objectives.spare else "dev"
        return sum(len(task.split(split)) for task in self.tasks.values())

    @cached_property
    def paid_metric(self) -> str:
        """The metric that costs money per request, or ""."""
        for metric in self.objectives.metrics.values():
            if metric.usage is not None:
                return metric.name
        return ""

    @cached_property
    def without_options(self) -> str:
        """A task that is not decided by option scores; "" if there is none."""
        for name, metric in self.objectives.metrics.items():
            possible = self.objectives.answer_formats(name, self.config.scoring)
            if metric.name != "accuracy" or "generate" in possible:
                return name
        return next(iter(self.objectives.externals), "")

    @cached_property
    def screens(self) -> bool:
        """Whether experts that are clearly behind are dropped early."""
        return self.config.screen == "on"

    @cached_property
    def why_no_screening(self) -> str:
        """Why the experts cannot be screened; "" if they can."""
        config = self.config
        if config.method not in MODELS or config.front:
            return "works only with candidates proposed for one score by a surrogate; remove it"
        if not self.kind.adapters or self.objectives.externals:
            return "needs adapters and tasks from files; remove it"
        if len(config.experts) < LEAST:
            return f"needs at least {LEAST} experts, got {len(config.experts)}; remove it"
        if self.items < LEAST_ITEMS:
            return f"needs at least {LEAST_ITEMS} dev examples, got {self.items}; remove it"
        return ""

    @cached_property
    def started_items(self) -> int:
        """The most dev items that the starting points are scored on."""
        config = self.config
        count = config.population * self.items
        if self.screens:
            everyone = len(config.experts) * self.items
            count += most_answers(len(config.experts), self.objectives.items) - everyone
        return count

    @cached_property
    def evaluations(self) -> int:
        """Evaluations if only the item budget stops the search early; the draws of a grid share the
        first ones.
        """
        config = self.config
        draws = len(draws_of(config)) if config.is_grid else 1
        most = config.population * (1 + config.iterations * draws) + (config.proposals or 0)
        if config.budget_items is not None and self.items:
            most = min(most, max(config.budget_items // self.items, 1))
        return most

    @property
    def roundings(self) -> int:
        """The most models that are rounded with `quantize`: the result, and what it is compared with."""
        return self.rivals + 3 + self.trains

    @cached_property
    def training(self) -> str:
        """The training at the end, in words; "" if there is none."""
        if not self.trains:
            return ""
        if self.config.front and self.first.objectives.names != self.objectives.names:
            return self.first.training
        if not self.objectives.written:
            return f"training on the {self.items:,} dev examples"
        kind = "training" if self.objectives.spare else "dev"
        return f"training on the best replies to the {self.trained_items:,} {kind} prompts"

    @property
    def compares_base(self) -> bool:
        """Whether the base is scored beside the result."""
        return not (self.config.no_rivals or self.kind.several_models)

    @property
    def compares_tuned(self) -> bool:
        """Whether models that are trained without a search are scored on test beside the result."""
        trains = self.trains and self.test_items > 0 and not self.config.quick
        return self.compares_base and trains

    @cached_property
    def rivals(self) -> int:
        """The most models that the result is compared with."""
        if not self.compares_base:
            return 0
        if not self.compares_tuned:
            return 1
        if self.objectives.written:
            return 2  # the base, as it is and trained
        return 3  # and the best expert, trained

    @property
    def _of_front(self) -> int:
        """The most passes for the points of a front and for the single knob."""
        return self.test_items * MOST_ON_FRONT + self.items * MOST_STRENGTHS

    @cached_property
    def passes(self) -> dict[str, int]:
        """Part -> its most forward passes per item, in order; a backward pass counts as measured."""
        both = self.items + self.test_items
        searched = self.items * self.evaluations
        if self.screens:
            saved = self.config.population * self.items - self.started_items
            searched = max(searched - saved, 0)
        for name, task in self.tasks.items():
            if len(self.objectives.answer_formats(name, self.config.scoring)) > 1:
                searched += min(len(task.dev), TRIAL) * min(len(self.config.experts), TRIED)
        rounded = {"rounded": self.items * self.roundings} if self.config.quantize else {}
        curve = {"curve": self._curve_passes} if self.config.curve else {}
        return {
            "search": searched,
            "training": self._training_passes,
            **rounded,
            **curve,
            "controls": both * self.rivals,
            "front": self._of_front * self.config.front,
            "result": both * (2 + self.trains) + self.test_items,
        }

    @cached_property
    def prices(self) -> list[str]:
        """The requests of a metric that costs money per request, one for each reply."""
        if not self.paid_metric:
            return []
        requests = f"at most {sum(self.passes.values()):,} requests, one per distinct reply"
        return [f"{self.paid_metric}: {requests}"]

    def idle(self, workers: int) -> list[str]:
        """What to do where workers outnumber the candidates that are proposed at once, or there is one
        without rounds.
        """
        config = self.config
        if config.asynchronous and workers == 1:
            return ["asynchronous: one worker scores one candidate at a time; add `workers`"]
        if config.asynchronous:
            return []
        if config.method not in MODELS and workers > config.population:
            most = counted(config.population, "candidate")
            return [f"{workers} workers for at most {most} at once: the others have nothing to do"]
        batch = config.batch or 1
        if config.method not in MODELS or workers <= batch:
            return []
        return [
            f"{batch} candidate{'s' * (batch > 1)} proposed at once for {workers} "
            f"workers: batch {workers} keeps all busy after the starting points"
        ]

    def share(self, workers: int) -> float:
        """The time that the search takes with so many workers, as a share of that with one, if all
        candidates take the same time.

        Example:
            >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", method="swarm", particles=6, max_iter=3)
            >>> [round(Plan(config, None).share(workers), 2) for workers in (1, 2, 4, 8)]
            [1.0, 0.5, 0.33, 0.17]
        """
        config = self.config
        if config.asynchronous:
            return 1 / workers
        start = math.ceil(config.population / workers)
        if config.method not in MODELS:
            return start / config.population
        proposals = config.proposals or 0
        batch = config.batch or 1
        turns = start + proposals * math.ceil(batch / workers) / batch
        return turns / (config.population + proposals)

    @cached_property
    def _curve_passes(self) -> int:
        """Passes of training on parts of the labels, and of scoring that on test."""
        trained = sum(training_passes(count) for count in parts_of(self.items))
        return trained + self.test_items * len(parts_of(self.items))

    @cached_property
    def _training_passes(self) -> int:
        """Training passes, and replies written for training."""
        if not self.trains:
            return 0
        if self.config.front and self.first.objectives.names != self.objectives.names:
            return self.first._training_passes + self.items
        if self.objectives.written:
            from pyswarmopt_llm.searching.written.samples import planned_passes

            spare = self.trained_items if self.objectives.spare else 0
            return planned_passes(self.items, spare)
        starts = 1 if self.config.quick else MOST_STARTS
        whole = max(self.rivals, 1)  # with base and best expert, if they are rivals
        return starts * fold_passes(self.items) + whole * training_passes(self.items)


def parts_of(labels: int) -> list[int]:
    """The numbers of labels on a curve below all of them: a quarter and a half.

    Example:
        >>> parts_of(101)
        [25, 50]
    """
    return [labels // 4, labels // 2]


def check_floors(floors: Sequence[str], names: Sequence[str]) -> None:
    """Refuse a limit of no score, a second one of a score, or one that is not a number.

    Raises:
        InvalidOption: names the first one.
    """
    limited: set[str] = set()
    for floor in floors:
        name, limit = read_floor(floor)
        if name not in names or name in limited or not math.isfinite(limit):
            why = f": use NAME=X with a number, once for each of: {', '.join(names)}"
            raise InvalidOption("floor", floor, why)
        limited.add(name)


def read_floor(text: str) -> tuple[str, float]:
    """A score's name and its limit, written ``NAME=X``; the limit is NaN if X is no number.

    Example:
        >>> read_floor("tokens=50"), read_floor("few")
        (('tokens', 50.0), ('', nan))
    """
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        return name, math.nan


def draws_of(config: SearchConfig) -> list[tuple[str, ...]]:
    """The sets of coefficients to search with, ``NAME=VALUE``: distinct random sets from the
    paper's grid, or all of them if there are fewer. `settings` replace the values of a coefficient.

    Raises:
        UserError: a coefficient does not accept a value.

    Example:
        >>> settings = ("inertia=.1,.2", "cognitive=.3", "social=.4", "repel=0", "step=1")
        >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", settings=settings, draws=10)
        >>> [draw[0] for draw in draws_of(config)]
        ['inertia=.1', 'inertia=.2']
    """
    from pyswarmopt.algorithms.model_swarms import GRID

    grid = {name: list(map(str, numbers)) for name, numbers in GRID.items()}
    for setting in config.settings:
        name, _, texts = setting.partition("=")
        different = dict.fromkeys(text.strip() for text in texts.split(","))
        grid[name.replace("-", "_")] = list(different)
    pairs = [[f"{name}={text}" for text in texts] for name, texts in grid.items()]
    for pair in itertools.chain(*pairs):
        recipe_options([pair])
    combinations = list(itertools.product(*pairs))
    count = config.draws or 1
    if count < len(combinations):
        combinations = random.Random(config.seed).sample(combinations, count)
    return combinations
