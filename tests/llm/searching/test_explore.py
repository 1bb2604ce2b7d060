"""The loop of a search, with proposers and utilities made for it; and a swarm as a proposer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from search_helpers import Hull, Position

import pyswarmopt as pso
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.run.directory import Checkpoint, RunJournal
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.explore import explore
from pyswarmopt_llm.searching.optimizers import make_optimizer
from pyswarmopt_llm.searching.scorer import CandidateEvaluator, Scorer
from pyswarmopt_llm.searching.swarm import SwarmProposer

GOAL = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
UNLIMITED = SearchConfig("", (), (), "")


def near(engine: Any, indices: Sequence[int] | None = None) -> Score:
    """Ten items, all with one value: higher near `GOAL`."""
    value = 1 / (1 + float(((engine.x - GOAL) ** 2).sum()))
    return score_of([value] * 10)


def scorer() -> Scorer:
    return Scorer(RunJournal(), CandidateEvaluator(Hull(3), Position(), {"t": near}, harmonic))  # type: ignore[arg-type]


def moved(seed: int = 0, **recipe: Any) -> pso.Swarm:
    return pso.Swarm(
        positions=torch.eye(3, dtype=torch.float64),
        population=6,
        recipe=pso.recipes.model_swarms(max_iter=8, **recipe),
        maximize=True,
        seed=seed,
    )


def test_a_swarm_is_asked_and_told_as_if_by_hand(tmp_path: Path) -> None:
    by_hand = moved()
    while not by_hand.stop():
        x = by_hand.ask()
        by_hand.tell(x, [1 / (1 + float(((one - GOAL) ** 2).sum())) for one in x])
    proposer = SwarmProposer(moved(), saved=Checkpoint(tmp_path / "swarm.npz"))
    scored = scorer()
    stop = explore(proposer, scored, UNLIMITED)
    assert stop == by_hand.stop() == {"max_iter": 8}
    assert proposer.best().x.equal(by_hand.best.x) and proposer.rounds == 9
    assert proposer.best().value == pytest.approx(by_hand.best.value)
    assert pso.Swarm.load(tmp_path / "swarm.npz").positions.equal(by_hand.positions)
    assert [row.particle for row in scored.rows][:6] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("direction", "said"),
    [("s.x[:2, :1]", "got (2, 1)"), ("s.nothing", "'nothing' on line 3 of mine.py")],
)
def test_a_fault_in_a_users_term_is_one_line(direction: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    term = f'import pyswarmopt as pso\nterm = pso.Term("c", 0.1,\n    lambda s: {direction})\n'
    file.write_text(f"{term}mine = pso.compose(terms=(pso.inertia(0.6), term), name='mine')\n")
    name = f"{file}:mine"
    swarm = make_optimizer(name, torch.eye(3), population=3, max_iter=2, patience=2, seed=0)
    proposer = SwarmProposer(swarm, name=name)
    with pytest.raises(UserError, match=f"optimizer {re.escape(name)} raised ") as error:
        explore(proposer, scorer(), UNLIMITED)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("budget", "rows"),
    [({"budget_items": 1}, 6), ({"budget_items": 120}, 12), ({"budget_minutes": 1e-9}, 6)],
)
def test_no_evaluation_begins_beyond_the_budget(budget: dict[str, Any], rows: int) -> None:
    scored = scorer()
    proposer = SwarmProposer(moved())
    assert explore(proposer, scored, replace(UNLIMITED, **budget)).keys() == budget.keys()
    assert len(scored.rows) == rows  # those of the start always


def test_what_dropout_leaves_out_is_not_scored_and_the_others_keep_their_numbers() -> None:
    drawn = np.random.default_rng([2, 1])
    proposer = SwarmProposer(moved(patience=100), 0.3, 0.4, seed=2)
    scored = scorer()
    explore(proposer, scored, UNLIMITED)
    found = [(row.iteration, row.particle) for row in scored.rows]
    expected = [(0, number) for number in range(6)]
    for iteration in range(1, 9):
        whole, each = drawn.random(), drawn.random(6)
        kept = [number for number in range(6) if min(each[number] - 0.4, whole - 0.3) >= 0]
        expected += [(iteration, number) for number in kept]
    assert found == expected and proposer.rounds == 9
    assert len({iteration for iteration, _ in found}) < 9  # a whole iteration is left out
    assert not math.isnan(proposer.best().value)
