"""A trial without a language model: candidates are scored by how near their weights are to a target's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of


def flat(patch: Patch) -> torch.Tensor:
    """All changes of a patch in one vector, modules by name, float64."""
    return torch.cat([change.dense().double().flatten() for _, change in sorted(patch.low_rank.items())])


class NearTo:
    """A `Trial` whose loss is the squared distance to `target`, and whose items are coordinates that are near enough.

    Attributes:
        seen: what was scored, in order.
    """

    def __init__(self, target: torch.Tensor, scorings: int, items: int = 20) -> None:
        self.target, self.items, self.spent = target, items, 0
        self.budget = scorings * items
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

    def score(self, patch: Patch) -> Score:
        found = self._look(patch)
        parts = ((found - self.target) ** 2).tensor_split(self.items)
        size = float((self.target**2).mean())
        return score_of([float(part.mean()) < size / 4 for part in parts])

    def loss(self, patch: Patch) -> float:
        return float(((self._look(patch) - self.target) ** 2).sum())

    def _look(self, patch: Patch) -> torch.Tensor:
        self.spend(self.items)
        self.seen.append(flat(patch))
        return self.seen[-1]

    def load(self, patch: Patch) -> None:
        raise AssertionError("nothing to load")

    def prompts(self, expert: str) -> Sequence[str]:
        return []

    def examples(self, expert: str) -> Sequence[Mapping[str, Any]]:
        return []
