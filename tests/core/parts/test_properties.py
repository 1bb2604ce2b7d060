"""What must hold for every recipe whatever the numbers: symmetries of the search.

Scaling by powers of two and mirroring the objective's sign round nothing, so those runs must agree
to the bit.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from swarm_runs import drive

import pyswarmopt as pso

RECIPES = sorted(pso.recipes.RECIPES)


def bowl(x: torch.Tensor) -> torch.Tensor:
    weights = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    return (weights * (x - 1.0) ** 2).sum(-1)


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=15)
@given(power=st.integers(-20, 20), seed=st.integers(0, 1000))
def test_a_problem_scaled_by_a_power_of_two_gives_the_scaled_run_to_the_bit(name, power, seed):
    scale = 2.0**power
    here = drive(pso.Swarm(bounds=[(-3, 4)] * 3, recipe=name, population=7, seed=seed), bowl, 15)
    there = drive(
        pso.Swarm(bounds=[(-3 * scale, 4 * scale)] * 3, recipe=name, population=7, seed=seed),
        lambda x: bowl(x / scale),
        15,
    )
    assert torch.equal(there.ask(), here.ask() * scale)
    assert there.best.value == here.best.value


# a model of the values sees more of them
@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"surrogate"}))
@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_only_the_order_of_the_values_counts(name, seed):
    """A monotone transformation of the objective changes nothing; the values here are small
    integers, so exact.
    """

    def steps(x: torch.Tensor) -> torch.Tensor:
        return torch.floor(bowl(x))

    a = drive(pso.Swarm(bounds=[(-5, 5)] * 3, recipe=name, population=7, seed=seed), steps, 20)
    b = drive(
        pso.Swarm(bounds=[(-5, 5)] * 3, recipe=name, population=7, seed=seed),
        lambda x: steps(x) ** 3 - 7,
        20,
    )
    assert torch.equal(a.ask(), b.ask())
