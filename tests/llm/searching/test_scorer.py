"""The scorer: a position is scored once, whatever the run has seen before."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_engine import FakeEngine
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.metrics.combine import harmonic
from pyswarmopt_llm.searching.scoring.record import pack, unpack
from pyswarmopt_llm.searching.scoring.run_directory import Run, about_run
from pyswarmopt_llm.searching.scoring.scorer import Evaluator, Scorer


class Line:
    """A space of two experts that notes what was realised."""

    name = "line"
    expert_names: tuple[str, ...] = ("x", "y")
    size = 2

    def __init__(self) -> None:
        self.realised: list[list[float]] = []

    def vertices(self) -> torch.Tensor:
        return torch.eye(2, dtype=torch.float64)

    def coefficients(self, position: torch.Tensor) -> torch.Tensor:
        return position

    def realise(self, position: torch.Tensor) -> Patch:
        self.realised.append(position.tolist())
        return Patch()

    def save(self, position: torch.Tensor, out: Path) -> None:
        raise NotImplementedError


def new_run(path: Path) -> Run:
    return Run.create(path, about_run(SearchConfig("b", ("x", "y"), ("t",), "r"), {}))


def scorer(run: Run, space: Any, utility: Any, **more: Any) -> Scorer:
    return Scorer(run, Evaluator(space, FakeEngine(), {"t": utility}, harmonic), **more)  # type: ignore[arg-type]


def value(scorer: Scorer, position: torch.Tensor, iteration: int, particle: int) -> float:
    (row,) = scorer.score([position], iteration, [particle])
    return row.value


def test_a_position_is_scored_once_also_after_a_restart(tmp_path: Path) -> None:
    run, space = new_run(tmp_path / "r"), Line()
    rows: list[Any] = []
    scores = iter([score_of([1.0, 0.0, 0.0]), score_of([0.3, 0.6, 0.9])])
    here, there = torch.tensor([0.25, 0.75]).double(), torch.tensor([1.0, 0.0]).double()
    first = scorer(
        run, space, lambda engine: next(scores), on_row=lambda row, known: rows.append(row)
    )
    assert math.isclose(value(first, here, 0, 4), 1 / 3) and math.isclose(
        value(first, there, 1, 0), 0.6
    )
    assert math.isclose(value(first, here, 2, 1), 1 / 3)
    assert space.realised == [[0.25, 0.75], [1.0, 0.0]]
    assert [(row.iteration, row.particle, row.n) for row in rows] == [(0, 4, 3), (1, 0, 3)]

    again = scorer(Run.open(run.path), space, lambda engine: pytest.fail("scored again"))
    assert again.evaluations == 0
    assert math.isclose(value(again, there, 1, 0), 0.6)
    found = again.score([there, here], 1)
    assert [row.score("t") for row in found] == [
        score_of([0.3, 0.6, 0.9]),
        score_of([1.0, 0.0, 0.0]),
    ]


def test_phases_are_kept_apart(tmp_path: Path) -> None:
    run = new_run(tmp_path / "r")
    position = torch.tensor([1.0, 0.0]).double()
    letters = scorer(run, Line(), lambda e: score_of([0.0]), phase="letter")
    assert value(letters, position, 0, 0) == 0.0
    searched = scorer(run, Line(), lambda e: score_of([1.0]))
    assert value(searched, position, 0, 0) == 1.0
    assert [row.phase for row in run.rows] == ["letter", "search"]


def test_a_score_that_is_no_number_stops_the_search(tmp_path: Path) -> None:
    run = new_run(tmp_path / "r")
    broken = scorer(run, Line(), lambda engine: Score(math.nan, (), 1, 0.0))
    with pytest.raises(UserError, match="particle 3, iteration 2"):
        broken.score([torch.tensor([1.0, 0.0]).double()], 2, [3])
    assert run.rows == []


@given(st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), min_size=1))
def test_values_per_item_survive_the_journal(values: list[float]) -> None:
    packed = pack(tuple(values))
    assert unpack(json.loads(json.dumps(packed))) == values
    assert isinstance(packed, str) == (set(values) <= {0.0, 1.0})
