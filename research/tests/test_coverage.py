"""The simulations behind what is claimed of intervals and tests; the whole takes a quarter of an hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from laboratory import script

coverage = script("size_and_coverage")
SOME = [coverage.repeated_questions, coverage.several_baselines]
REST = [simulation for simulation in coverage.SIMULATIONS if simulation not in SOME]


def check(simulation: Callable[[int], Iterator[Any]], samples: int) -> None:
    rows = list(simulation(samples))
    assert [row for row in rows if coverage.broken(row, samples)] == []
    assert rows


@pytest.mark.parametrize("simulation", SOME)
def test_some_claims_hold(simulation: Callable[[int], Iterator[Any]]) -> None:
    check(simulation, samples=40)


@pytest.mark.parametrize("simulation", REST)
def test_all_claims_hold(simulation: Callable[[int], Iterator[Any]]) -> None:
    check(simulation, samples=150)


def test_a_claim_that_does_not_hold_is_noticed() -> None:
    held = coverage.Row("four baselines in one verdict", "", 0.75, None)
    assert coverage.broken(held, 400)
    assert coverage.broken(coverage.Row("several tasks, difference", "", 0.96, 0.23), 400)
    assert not coverage.broken(coverage.Row("several tasks, difference", "", 0.94, 0.06), 400)
