"""What must hold for every recipe whatever the numbers: symmetries of the search.

Scaling by powers of two and mirroring the objective's sign round nothing, so those runs must agree
to the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from swarm_runs import drive

import pyswarmopt as pso

RECIPES = sorted(pso.recipes.RECIPES)


def coupled(x: Any) -> Any:
    """Of arrays or tensors, (N, 3) -> (N,)."""
    bowl = sum((k + 1) * (x[:, k] - 1.0) ** 2 for k in range(3))
    return bowl + abs(x[:, 0] * x[:, 2])


def made(name: str, bounds: list[tuple[float, float]], seed: int) -> Any:
    if name == "default":
        return pso.DefaultSearch(bounds, seed=seed)
    return pso.Swarm(bounds=bounds, recipe=name, population=7, seed=seed)


@pytest.mark.parametrize(("name", "rounds"), [("default", 40), *((name, 15) for name in RECIPES)])
@settings(max_examples=15)
@given(power=st.integers(-20, 20), seed=st.integers(0, 1000))
def test_a_problem_scaled_by_a_power_of_two_gives_the_scaled_run_to_the_bit(
    name, rounds, power, seed
):
    scale = 2.0**power
    here = drive(made(name, [(-3, 4)] * 3, seed), coupled, rounds)
    wide = made(name, [(-3 * scale, 4 * scale)] * 3, seed)
    there = drive(wide, lambda x: coupled(x / scale), rounds)
    assert np.array_equal(there.ask(), here.ask() * scale)
    assert there.best.value == here.best.value


@pytest.mark.parametrize("name", sorted(RECIPES))
@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_only_the_order_of_the_values_counts(name, seed):
    """A monotone transformation of the objective changes nothing; the values here are small
    integers, so exact.
    """

    def steps(x: Any) -> Any:
        return np.floor(coupled(x))

    a, b = (made(name, [(-5, 5)] * 3, seed) for _ in range(2))
    drive(a, steps, 20)
    drive(b, lambda x: steps(x) ** 3 - 7, 20)
    assert np.array_equal(a.ask(), b.ask())
