"""A trial without a language model: candidates are scored by how near their weights are to a
target's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.mix import build_space
from pyswarmopt_rivals.methods import load_method


def dense(patch: Patch) -> dict[str, torch.Tensor]:
    """Weight -> its change, of low rank or full."""
    return {name: change.dense() for name, change in patch.low_rank.items()} | dict(patch.full_rank)


def flat(patch: Patch) -> torch.Tensor:
    """All changes of a patch in one vector, modules by name, float64."""
    return torch.cat([change.double().flatten() for _, change in sorted(dense(patch).items())])


class NearTo:
    """A `BudgetedBench` whose loss is the squared distance to `target`, and whose items are coordinates
    that are near enough.

    Attributes:
        seen: what was scored, in order.
    """

    def __init__(self, target: torch.Tensor, scores: int, items: int = 20) -> None:
        self.target, self.items, self.spent = target, items, 0
        self.budget = scores * items
        self.seen: list[torch.Tensor] = []
        self.model: Any = None
        self.tokenizer: Any = None
        self.base: Any = None

    @property
    def left(self) -> int:
        return self.items_left // self.items

    @property
    def items_left(self) -> int:
        return self.budget - self.spent

    def spend(self, items: int) -> None:
        assert items <= self.items_left
        self.spent += items

    def score(self, patch: Patch, items: Sequence[int] | None = None) -> Score:
        if items is None:
            items = range(self.items)
        right = self.right(self._look(patch, len(items)))
        return score_of([right[i] for i in items])

    def right(self, vector: torch.Tensor) -> list[float]:
        """1 for each item that a vector of changes answers."""
        parts = ((vector - self.target) ** 2).tensor_split(self.items)
        size = float((self.target**2).mean())
        return [float(float(part.mean()) < size / 4) for part in parts]

    def loss(self, patch: Patch) -> float:
        return float(((self._look(patch, self.items) - self.target) ** 2).sum())

    def _look(self, patch: Patch, items: int) -> torch.Tensor:
        self.spend(items)
        self.seen.append(flat(patch))
        return self.seen[-1]

    def load(self, patch: Patch) -> None:
        raise AssertionError("nothing to load")

    def prompts(self, expert: str) -> Sequence[str]:
        return []

    def examples(self, expert: str) -> Sequence[Mapping[str, Any]]:
        return []


def run(
    name: str, experts: list[Adapter], trial: NearTo, space: str | None = None, seed: int = 0
) -> Patch:
    """What a searching method finds."""
    method = load_method(name)
    settings = method.settings(len(experts), space, seed=seed if method.chance else None)
    return method.execute(experts, replace(settings, trial=trial)).patch


def target(experts: list[Adapter], weights: list[float], space: str) -> torch.Tensor:
    """The changes of a mixture, in one vector."""
    return flat(build_space(space, experts).realise(torch.tensor(weights, dtype=torch.float64)))
