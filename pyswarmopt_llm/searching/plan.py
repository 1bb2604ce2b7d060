"""The plan of a search: its settings and its greatest cost.

A plan is decided once (`decide`), printed, priced and stored in ``run.json``. Resuming, workers and
analyses read it and decide nothing again.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.optimizers import recipe_options
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.kind import SpaceKind
from pyswarmopt_llm.scores.choices import MOST_STARTS, fold_passes, training_passes
from pyswarmopt_llm.scores.metrics.accuracy import TRIAL, TRIED
from pyswarmopt_llm.scores.metrics.objectives import Objectives


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

    @property
    def kind(self) -> SpaceKind:
        """The kind of space."""
        return space_kind(self.config.space)

    @property
    def alone(self) -> bool:
        """Whether the search's own process does everything."""
        return self.config.processes == 1

    @property
    def side_by_side(self) -> int:
        """Number of candidates scored at the same time, as far as known."""
        return max(self.config.processes, 1)

    @property
    def trains(self) -> bool:
        """Whether the search ends with training."""
        return self.config.train == "on"

    @property
    def items(self) -> int:
        """Dev items of all tasks."""
        return sum(self.objectives.items.values())

    @property
    def test_items(self) -> int:
        """Test items of all tasks."""
        return sum(len(task.test) for task in self.objectives.tasks.values())

    @property
    def trained_items(self) -> int:
        """Training items: dev items, or spare ones."""
        split = "spare" if self.objectives.spare else "dev"
        return sum(len(task.split(split)) for task in self.objectives.tasks.values())

    @property
    def paid_metric(self) -> str:
        """The metric that costs money per request, or ""."""
        for metric in self.objectives.metrics.values():
            if metric.usage is not None:
                return metric.name
        return ""

    @property
    def without_options(self) -> str:
        """An objective that is not decided by option scores, and how it is decided; "" if there is
        none.
        """
        for name in self.objectives.externals:
            return f"{name} is scored by its own metric"
        for name, metric in self.objectives.metrics.items():
            if metric.name != "accuracy":
                return f"{name} is scored by {metric.name}"
            if "generate" in self.objectives.scorings(name, self.config.scoring):
                return f"{name} has free-form answers"
        return ""

    @property
    def proposals(self) -> int:
        """The most candidates that a surrogate proposes."""
        return self.config.proposals or 0

    @property
    def evaluations(self) -> int:
        """Evaluations if nothing stops the search early; the draws of a grid share the first ones."""
        draws = 1
        if self.config.is_grid:
            draws = len(draws_of(self.config))
        return self.config.population * (1 + self.config.iterations * draws) + self.proposals

    def affordable(self, evaluations: int) -> int:
        """How many of these evaluations the item budget allows."""
        if self.config.budget_items is None:
            return evaluations
        return min(evaluations, max(self.config.budget_items // max(self.items, 1), 1))

    @property
    def training(self) -> str:
        """The training at the end, in words; "" if there is none."""
        if not self.trains:
            return ""
        if not self.objectives.written:
            return f"training on the {counted(self.items, 'dev example')}"
        kind = "training prompt" if self.objectives.spare else "dev prompt"
        return f"training on the best replies to the {counted(self.trained_items, kind)}"

    @property
    def rivals(self) -> int:
        """The most models that the result is compared with."""
        if self.config.no_rivals or self.kind.several_models:
            return 0
        if self.config.quick or not (self.trains and self.test_items):
            return 1
        if self.objectives.written:
            return 2
        return 3

    def cost(self, dev: float, test: float, other: float) -> dict[str, float]:
        """Part of the search -> its greatest cost, in order.

        Args:
            dev: cost of a model on dev.
            test: cost of a model on test.
            other: cost of any other pass of an item.
        """
        experts = len(self.config.experts)
        scored = self.affordable(self.evaluations)
        if self.kind.remembers and not self.without_options:
            scored = experts
        tried = 0
        for name, task in self.objectives.tasks.items():
            if len(self.objectives.scorings(name, self.config.scoring)) > 1:
                tried += min(len(task.dev), TRIAL)
        plain = 0
        if self.rivals == 3:  # with the plain fine-tunings of base and best expert
            plain = 2 * training_passes(self.items)
        return {
            "search": other * tried * min(experts, TRIED) + dev * scored,
            "training": other * (self._training_passes + plain),
            "controls": (dev + test) * self.rivals,
            "result": dev * (2 + self.trains) + test * (3 + self.trains),
        }

    @property
    def passes(self) -> dict[str, int]:
        """Part -> its most forward passes per item; a backward pass counts as measured."""
        return {name: int(n) for name, n in self.cost(self.items, self.test_items, 1).items()}

    def seconds(self, dev: float, test: float, other: float) -> dict[str, float]:
        """Part -> its most seconds; `budget_minutes` bounds the search.

        Args:
            dev: seconds of an evaluation on dev.
            test: seconds of an evaluation on test.
            other: seconds of any other pass of an item.
        """
        taken = self.cost(dev, test, other)
        most = 60 * (self.config.budget_minutes or math.inf)
        return {**taken, "search": min(taken["search"] / self.side_by_side, most)}

    @property
    def prices(self) -> list[str]:
        """The requests of a metric that costs money per request, one for each reply."""
        if not self.paid_metric:
            return []
        most = sum(self.passes.values())
        return [f"{self.paid_metric}: at most {most:,} requests, one per distinct reply"]

    @property
    def _training_passes(self) -> int:
        """Training passes, and replies written for training."""
        if not self.trains:
            return 0
        if self.objectives.written:
            from pyswarmopt_llm.searching.written.samples import planned_passes

            spare = self.trained_items if self.objectives.spare else 0
            return planned_passes(self.items, spare)
        starts = 1 if self.config.quick else MOST_STARTS
        return starts * fold_passes(self.items) + training_passes(self.items)


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
