"""The plan of a search: its settings, its greatest cost, and its budget.

A plan is decided once (`decide`), printed, priced and stored in ``run.json``. Resuming, workers and
analyses read it and decide nothing again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.mix.kind import SpaceKind
from pyswarmopt_llm.scores.choices import MOST_STARTS, labelled
from pyswarmopt_llm.scores.metrics.accuracy import TRIAL, TRIED
from pyswarmopt_llm.scores.metrics.objectives import Objectives


@dataclass(frozen=True)
class Budget:
    """Limits of a search, and the time at which it has to end to stay within them.

    Seconds are those of all journalled evaluations, so a resumed run ends where the interrupted one
    would have. The closing evaluations (best, best single expert and average, on dev and test) are
    reserved at the pace so far.
    """

    seconds: float | None  # seconds for evaluations; None: no limit
    items: int | None  # item evaluations of the search; None: no limit
    closing_items: int = 0  # items of the closing evaluations; they count only in `seconds`

    def exceeded(self, total: int, seconds: float, more: int) -> dict[str, float]:
        """Reasons to stop if the next items would exceed the budget.

        Args:
            total: item evaluations so far.
            seconds: time taken by these evaluations.
            more: next items, without the closing ones.

        Example:
            >>> Budget(None, 1000).exceeded(700, 9.0, 300), Budget(None, 999).exceeded(700, 9.0, 300)
            ({}, {'budget_items': 700})
            >>> Budget(15.0, None, closing_items=400).exceeded(700, 9.0, 300)
            {'budget_minutes': 0.15}
        """
        if self.items is not None and total + more > self.items:
            return {"budget_items": total}
        left = self.left(total, seconds, more)
        if left is not None and left < 0:
            return {"budget_minutes": round(seconds / 60, 3)}
        return {}

    def left(self, total: int, seconds: float, more: int = 0) -> float | None:
        """Seconds left after the next items and the closing ones, at the pace so far; None: no
        limit.
        """
        if self.seconds is None:
            return None
        return self.seconds - seconds - seconds / total * (more + self.closing_items)


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
            from pyswarmopt_llm.searching.draws import draws_of

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

    @property
    def budget(self) -> Budget:
        """The budget of the search."""
        minutes = self.config.budget_minutes
        return Budget(
            seconds=minutes and 60 * minutes,
            items=self.config.budget_items,
            closing_items=2 * self.items + int(self.cost(0, self.test_items, 0)["result"]),
        )

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
            plain = 2 * labelled(self.items).whole_passes(self.items)
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
        schedule = labelled(self.items)
        return starts * schedule.fold_passes(self.items) + schedule.whole_passes(self.items)
