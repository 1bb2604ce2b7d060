"""How much a search may spend, and on what: early stops, races, dropped evaluations, budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import pyswarmopt as pso
from pyswarmopt_llm.config import SearchConfig
from pyswarmopt_llm.early_stop import Bounded, Race, Rule
from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.objective import Objective

EARLY_STOPS = ("exact", "bound", "off")


def check_effort(config: SearchConfig, optimizer: pso.Optimizer) -> None:
    """Refuse settings of this file that are out of range, unknown, or too much for the optimizer.

    Raises:
        UserError: names the option.
    """
    if config.early_stop not in EARLY_STOPS:
        raise UserError(f"--early-stop {config.early_stop}: unknown; use {', '.join(EARLY_STOPS)}")
    if config.racing is not None and not 0 < config.racing < 0.5:
        raise UserError(f"--racing {config.racing:g}: the level of a test; give a number above 0 and below 0.5")
    for option, share in (("--drop-k", config.drop_k), ("--drop-n", config.drop_n)):
        if not 0 <= share < 1:
            raise UserError(f"{option} {share:g}: a probability; give a number from 0 to below 1")
    if (config.racing or config.drop_k or config.drop_n) and not isinstance(optimizer, pso.Swarm):
        raise UserError(f"--optimizer {config.optimizer}: needs every value; leave out --racing, --drop-k and --drop-n")
    if config.one_by_one and not isinstance(optimizer, pso.Swarm):
        raise UserError(f"--async: the points of --optimizer {config.optimizer} come in rounds; leave it out")
    if config.one_by_one and (config.drop_k or config.drop_n):
        raise UserError("--async: has no rounds to leave evaluations out of; leave out --drop-k and --drop-n")
    for option, budget in (("--budget-minutes", config.budget_minutes), ("--budget-items", config.budget_items)):
        if budget is not None and not budget > 0:
            raise UserError(f"{option} {budget:g}: a budget has to be above 0")


def rules_for(config: SearchConfig, optimizer: pso.Optimizer, objective: Objective, particle: int) -> list[Rule]:
    """What may end the evaluation of a particle's new position early.

    Only a `pyswarmopt.Swarm` says what it does with a value; any other optimizer is told exact ones.
    """
    if not isinstance(optimizer, pso.Swarm):
        return []
    rules: list[Rule] = []
    best = float(optimizer.personal_best_values[particle])
    if config.early_stop != "off":
        rules.append(Bounded(best, optimizer.worst.value if config.early_stop == "exact" else -np.inf))
    if config.racing is not None and np.isfinite(best):
        rival = objective.values(optimizer.personal_bests[particle])
        if rival is not None:
            rules.append(Race(rival, config.racing))
    return rules


class Drops:
    """Which evaluations are left out: Drop-K and Drop-N of Feng et al. 2024 (arXiv 2410.11163).

    Drop-K leaves out a whole iteration with probability `drop_k`, Drop-N a single particle's evaluation with
    probability `drop_n`. The particles move on all the same. The starting swarm is always evaluated. Draws are the
    drops' own, so that the same seed moves the swarm by the same random numbers with and without them.

    Example:
        >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", drop_n=0.5)
        >>> drops = Drops(config)
        >>> drops(0, 4).tolist(), drops(1, 4).tolist()
        ([False, False, False, False], [False, False, False, True])
    """

    def __init__(self, config: SearchConfig) -> None:
        self._whole, self._single = config.drop_k, config.drop_n
        self._random = np.random.default_rng([config.seed, 1])

    def __call__(self, iteration: int, particles: int) -> npt.NDArray[np.bool_]:
        """(N,) mask of the particles whose evaluation is left out."""
        if iteration == 0:
            return np.zeros(particles, dtype=np.bool_)
        whole = self._random.random() < self._whole
        return (self._random.random(particles) < self._single) | whole


@dataclass(frozen=True)
class Budget:
    """When a search has to end so that it keeps within its budget.

    Seconds are those that the journal has of every evaluation, so that a resumed run ends where the stopped one
    would have. What the closing evaluations take (best, best single expert and average, on dev and test) is set
    aside at the pace so far.

    Attributes:
        seconds: for all evaluations; None: no limit.
        items: item evaluations of the search; None: no limit.
        closing_items: items of the closing evaluations, which count in `seconds` only.
    """

    seconds: float | None
    items: int | None
    closing_items: int = 0

    def spent(self, item_evaluations: Sequence[int], seconds: float) -> dict[str, float]:
        """Reasons to stop: another iteration like the latest would go beyond the budget.

        Args:
            item_evaluations: running total at the end of each iteration so far.
            seconds: spent on them.

        Example:
            >>> Budget(None, 1000).spent([400, 700], 9.0), Budget(None, 999).spent([400, 700], 9.0)
            ({}, {'budget_items': 700})
            >>> Budget(15.0, None, closing_items=400).spent([400, 700], 9.0)
            {'budget_minutes': 0.15}
        """
        total = item_evaluations[-1]
        latest = total - item_evaluations[-2] if len(item_evaluations) > 1 else total
        found: dict[str, float] = {}
        if self.items is not None and total + latest > self.items:
            found["budget_items"] = total
        pace = seconds / total if total else 0.0
        if self.seconds is not None and seconds + pace * (latest + self.closing_items) > self.seconds:
            found["budget_minutes"] = round(seconds / 60, 3)
        return found
