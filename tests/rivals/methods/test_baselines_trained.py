"""Training on dev as methods of a comparison: what they are charged, what they choose, what comes
out.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from engine_reference import load_tiny
from trials import flat, run

from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.training.trainer import fit
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.methods.training import on_dev
from pyswarmopt_rivals.methods.training.on_dev import train_on_dev

WORDS = ("left", "right", "upwards")
NAMES = (
    "gradient gradient-module finetune-dev finetune-once finetune-best finetune-best-once".split()
)


class Resident:
    """A `BudgetedBench` on a tiny model: the loss is the engine's own."""

    def __init__(self, engine: TransformersEngine, choices: list[Choices], budget: int) -> None:
        self.engine, self.model = engine, engine.model
        self.choices, self.budget, self.spent = choices, budget, 0

    @property
    def items_left(self) -> int:
        return self.budget - self.spent

    @property
    def left(self) -> int:
        return self.items_left // len(self.choices)

    def spend(self, items: int) -> None:
        assert 0 <= items <= self.items_left
        self.spent += items

    def load(self, patch: Patch) -> None:
        self.engine.load(patch)

    def score(self, patch: Patch) -> Score:
        self.spend(len(self.choices))
        self.load(patch)
        found = [self.engine.loglikelihood(item.pairs) for item in self.choices]
        best = [max(range(3), key=row.__getitem__) for row in found]
        return score_of([float(k == c.right) for k, c in zip(best, self.choices, strict=True)])

    def mean_loss(self, patch: Patch) -> float:
        self.load(patch)
        total = 0.0
        for item in self.choices:
            logits = self.engine.loglikelihood(item.pairs)
            total += math.log(sum(map(math.exp, logits))) - logits[item.right]
        return total


def trial(tiny_base: Path, experts: list[Adapter], weights: list[float], budget: int) -> Resident:
    """Items whose right answers are those of the experts' sum with these weights."""
    engine = TransformersEngine(*load_tiny(tiny_base))
    engine.load(build_space("delta", experts).realise(torch.tensor(weights, dtype=torch.float64)))
    choices = []
    for i in range(32):
        pairs = tuple((f"Question {i * i}?", f" {word}") for word in WORDS)
        values = engine.loglikelihood(pairs)
        choices.append(Choices(pairs, (1.0, 1.0, 1.0), max(range(3), key=values.__getitem__)))
    engine.load(Patch())
    return Resident(engine, choices, budget)


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_to_the_budget_and_ends_alike_for_a_seed(
    name: str, tiny_base: Path, experts: list[Adapter]
) -> None:
    trials = [trial(tiny_base, experts, [2.0, -1.0, 0.5], 1200) for _ in range(2)]
    first, second = (run(name, experts, one) for one in trials)
    assert torch.equal(flat(first), flat(second)) and trials[0].spent == trials[1].spent > 0


def test_trained_once_it_is_what_a_search_trains_from_there(
    tiny_base: Path, experts: list[Adapter]
) -> None:
    resident = trial(tiny_base, experts, [2.0, -1.0, 0.5], 320 + 96 + 320)
    other = trial(tiny_base, experts, [2.0, -1.0, 0.5], 96)
    best = max(map(as_patch, experts), key=lambda patch: other.score(patch).value)
    for name, start, items in (("finetune-once", Patch(), 0), ("finetune-best-once", best, 96)):
        spent = resident.spent
        found = run(name, experts, resident, seed=3)
        assert resident.spent - spent == items + 4 * 2.5 * 32
        expected = flat(fit(resident.engine, start, resident.choices, experts[0].info, 3))
        if start.low_rank:
            expected = expected + flat(start)
        assert torch.allclose(flat(found), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("budget", "chosen"), [(10**4, (0.2, 2)), (2 * 140 + 100, (0.2, 2)), (2 * 140 + 99, (0.1, 3))]
)
def test_the_rate_and_the_epoch_with_the_best_held_out_probability_are_used(
    budget: int, chosen: tuple[float, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a table: rate 0.2 is best after its second epoch, 0.1 after its third; a rate costs
    140 passes, and 100 are left for the training itself.
    """
    table = {0.1: [0.3, 0.4, 0.5, 0.4], 0.2: [0.3, 0.9, 0.5, 0.4]}
    calls: list[tuple[float, int, int | None]] = []

    def train(_: Any, __: Any, rounds: Any, lr: float, last: Any = None, on_round: Any = None):
        calls.append((lr, sum(map(len, rounds[0])), last))
        for epoch in range(1, len(rounds) + 1):
            now.update(rate=lr, epoch=epoch)
            if on_round:
                on_round(epoch, len(rounds), 0.0)

    now: dict[str, Any] = {}
    monkeypatch.setattr(on_dev, "train", train)

    def probabilities(_: Any, items: list[Any]) -> list[float]:
        return [table[now["rate"]][now["epoch"] - 1]] * len(items)

    monkeypatch.setattr(on_dev, "_probabilities", probabilities)
    items = [Choices((("a", "b"),), (1.0,), 0)] * 10
    resident: Any = Resident(SimpleNamespace(model=None), items, budget)
    change = SimpleNamespace(tensors=[], additions=dict, patch=lambda: "done")
    assert train_on_dev(resident, lambda: change, (0.1, 0.2), 0) == "done"
    rate, epochs = chosen
    rates = [0.1, 0.2] if rate == 0.2 else [0.1]
    assert calls == [(tried, 5, None) for tried in rates for _ in range(2)] + [(rate, 10, epochs)]
    assert resident.spent == len(rates) * 4 * 10 * 3.5 + epochs * 10 * 2.5
