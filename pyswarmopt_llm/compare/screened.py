"""A swarm under a budget of items: only those in doubt are asked (see `screening`), so the budget lasts longer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pyswarmopt as pso
from pyswarmopt_llm.asking import Ask, Asker, Found
from pyswarmopt_llm.compare.bench import Bench, BudgetedTrial
from pyswarmopt_llm.interfaces import Patch, Space
from pyswarmopt_llm.optimizers import released
from pyswarmopt_llm.runs import position_key
from pyswarmopt_llm.screening import MOST_COEFFICIENTS, Screening
from pyswarmopt_llm.utilities.combine import harmonic

LEVEL = 0.05  # as `--screen` recommends
STARTING_SHARE = 0.6  # of the candidates that the budget pays for in full, at most so many begin
MOST_PER_EXPERT = 4


def can_screen(bench: Bench, space: Space) -> bool:
    """Whether a task's items can be foretold: options are scored, right or wrong, by few coefficients."""
    return "dev" in bench.accuracy and bench.scoring != "generate" and space.size <= MOST_COEFFICIENTS


def population_for(experts: int, candidates: int) -> int:
    """Particles for a budget of so many candidates in full: the more the longer it lasts, never fewer than experts.

    Example:
        >>> population_for(10, 100), population_for(12, 40), population_for(10, 5)
        (40, 24, 10)
    """
    return max(experts, min(MOST_PER_EXPERT * experts, int(STARTING_SHARE * candidates)))


class ScreenedTrial:
    """The dev scores of positions, told as a screened search tells them.

    Args:
        bench: the task.
        trial: pays.
        space: realises positions.

    Attributes:
        best: the best value so far; it was always asked in full.
    """

    def __init__(self, bench: Bench, trial: BudgetedTrial, space: Space) -> None:
        self._trial, self._asked_in_full = trial, bench.asked_in_full
        self._dev = {bench.task.name: bench.accuracy["dev"]}
        self._asker = Asker(space, bench.engine, self._dev, harmonic)
        self._screening = Screening(LEVEL, {name: dev.n for name, dev in self._dev.items()})
        self._items = bench.dev_items
        self.best = -math.inf

    def values(self, positions: Tensor) -> list[float]:
        """The values of these positions; NaN from where the budget ends. What was asked is learnt from afterwards."""
        found: list[tuple[Tensor, Found]] = []
        values = []
        best = self.best if math.isfinite(self.best) else math.inf
        for x, screen in zip(positions, self._screening.screens(positions, best), strict=True):
            if self._trial.left < 1:
                values.append(math.nan)
                continue
            answer = self._ask(x, screen)
            found.append((x, answer))
            values.append(answer.value)
        for x, answer in found:
            self._screening.learn(x, {"key": position_key(x), "margins": answer.margins})
        return values

    def _ask(self, position: Tensor, screen: Any) -> Found:
        key = position_key(position)
        answer = self._asked_in_full.get(key)
        if answer is None or not all(len(first) == self._items for first in screen.first.values()):
            answer = self._asker.ask(Ask(position, (screen,)))
            if answer.n == self._items:
                self._asked_in_full[key] = answer
            self._trial.waited(answer.seconds)
        if answer.n == self._items:
            self.best = max(self.best, answer.value)
        self._trial.book(answer.n, answer.seconds, self.best)
        return answer


def screened_best(optimizer: pso.Optimizer, bench: Bench, trial: BudgetedTrial, space: Space, experts: int) -> Patch:
    """Search until the budget is spent or the optimizer stops; the best candidate.

    The starting swarm is asked in parts of as many candidates as there are experts, the experts first, so that the
    later parts are screened by what the earlier ones tell.
    """
    asked = ScreenedTrial(bench, trial, space)
    with released(optimizer):
        first = True
        while trial.left > 0 and not optimizer.stop():
            positions = optimizer.ask()
            parts: Sequence[Tensor] = positions.split(experts) if first else (positions,)
            values = np.concatenate([asked.values(part) for part in parts])
            optimizer.tell(positions, torch.from_numpy(values))
            first = False
        return space.realise(optimizer.best.x)


__all__ = ["ScreenedTrial", "can_screen", "population_for", "screened_best"]
