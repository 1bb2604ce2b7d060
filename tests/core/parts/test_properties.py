"""What must hold for every recipe whatever the numbers: symmetries of the search.

Scaling by powers of two and mirroring the objective's sign round nothing, so those runs must agree
to the bit.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.algorithms.bare_bones import gaussian_between
from pyswarmopt.algorithms.spso2011 import Hypersphere
from pyswarmopt.parts.velocity import Snapshot, SumOfTerms

RECIPES = sorted(pso.recipes.RECIPES)
# the swarm itself: scalar randomness; spso2011 for rotated draws, see below
ROTATION_INVARIANT = ["model_swarms"]


def bowl(x: torch.Tensor) -> torch.Tensor:
    weights = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    return (weights * (x - 1.0) ** 2).sum(-1)


def drive(swarm: pso.Swarm, fun, rounds: int) -> pso.Swarm:
    for _ in range(rounds):
        x = swarm.ask()
        swarm.tell(x, fun(x))
    return swarm


def rotation(dim: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn((dim, dim), generator=generator, dtype=torch.float64))[0]


def some(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=15)
@given(shift=st.lists(st.floats(-100, 100), min_size=3, max_size=3), seed=st.integers(0, 1000))
def test_a_shifted_problem_gives_a_shifted_run(name, shift, seed):
    offset, start, v = (
        torch.tensor(shift, dtype=torch.float64),
        some((6, 3), seed),
        some((6, 3), seed + 1),
    )
    box, moved = (
        torch.tensor([[-999.0] * 3, [999.0] * 3]).double(),
        torch.stack([offset - 999, offset + 999]),
    )
    here = drive(
        pso.Swarm(bounds=tuple(box), positions=start, velocities=v, recipe=name, seed=seed), bowl, 8
    )
    there = drive(
        pso.Swarm(
            bounds=tuple(moved), positions=start + offset, velocities=v, recipe=name, seed=seed
        ),
        lambda x: bowl(x - offset),
        8,
    )
    torch.testing.assert_close(there.ask() - offset, here.ask(), rtol=0, atol=1e-7)


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


# --- permutation of particles ---


@given(order=st.permutations(range(6)), seed=st.integers(0, 1000))
def test_particles_have_no_rank_without_random_numbers(order, seed):
    recipe = pso.recipes.model_swarms(randomness="none", patience=99)
    start, v = some((6, 3), seed), some((6, 3), seed + 1)
    a = drive(pso.Swarm(positions=start, velocities=v, recipe=recipe), bowl, 12)
    b = drive(pso.Swarm(positions=start[order], velocities=v[order], recipe=recipe), bowl, 12)
    assert torch.equal(a.ask()[order], b.ask()) and torch.equal(a.best.x, b.best.x)


@given(turn=st.integers(0, 6), seed=st.integers(0, 1000))
@pytest.mark.parametrize("lattice", [pso.topology.Ring(2), pso.topology.VonNeumann()])
def test_a_lattice_may_be_turned(lattice, turn, seed):
    recipe = pso.compose([pso.inertia(0.5), pso.social(0.7, "none")], topology=lattice)
    start, v = some((7, 3), seed), some((7, 3), seed + 1)
    a = drive(pso.Swarm(positions=start, velocities=v, recipe=recipe), bowl, 12)
    b = drive(
        pso.Swarm(positions=start.roll(turn, 0), velocities=v.roll(turn, 0), recipe=recipe),
        bowl,
        12,
    )
    assert torch.equal(a.ask().roll(turn, 0), b.ask())


# --- rotation ---


def snapshot(seed: int, n: int = 6, dim: int = 4) -> Snapshot:
    x, v, p, g, w = some((5, n, dim), seed).unbind(0)
    g[0] = p[0]  # a particle that is its own best informant
    return Snapshot(x, v, p, g, w[:1])


@given(seed=st.integers(0, 1000))
def test_spso2011_turns_with_the_problem_when_its_random_directions_do(seed):
    rule, turn, s = Hypersphere(0.7, 1.2), rotation(4, seed), snapshot(seed)
    normal, radius = (
        some((6, 4), seed + 1),
        torch.rand((6, 1), dtype=torch.float64, generator=torch.Generator()),
    )
    turned = Snapshot(*(field @ turn for field in s))
    torch.testing.assert_close(
        rule.given(turned, normal @ turn, radius),
        rule.given(s, normal, radius) @ turn,
        rtol=1e-10,
        atol=1e-10,
    )


def test_spso2011_draws_evenly_in_all_directions():
    """x' around G: mean G, and the same variance along every axis: R^2 E[u^2] / D = R^2 / (3 D), no
    covariance.
    """
    n, dim = 60_000, 3
    x = torch.zeros((n, dim), dtype=torch.float64)
    p, g = torch.tensor([[[3.0, 0.0, 0.0]], [[0.0, 6.0, 0.0]]], dtype=torch.float64)
    s = Snapshot(x, v=x, p=p.expand(n, dim), g=g, w=x[:1])
    v = Hypersphere(inertia=0.7, pull=1.0)(s, 0, torch.Generator().manual_seed(0)).numpy()
    centre = np.array([1.0, 2.0, 0.0])  # (0 + p + g) / 3
    np.testing.assert_allclose(v.mean(axis=0), centre, atol=0.02)
    np.testing.assert_allclose(np.cov(v.T), np.eye(3) * 5 / 9, atol=0.02)  # R^2 = 1 + 4
    distance = np.linalg.norm(v - centre, axis=1) / 5**0.5
    np.testing.assert_allclose(
        np.quantile(distance, [0.25, 0.5, 0.75, 1.0]), [0.25, 0.5, 0.75, 1.0], atol=0.01
    )


@pytest.mark.parametrize("name", ROTATION_INVARIANT)
@settings(max_examples=15)
@given(seed=st.integers(0, 1000))
def test_scalar_random_factors_turn_with_the_problem(name, seed):
    turn, start, v = rotation(3, seed), some((6, 3), seed), some((6, 3), seed + 1)
    here = drive(pso.Swarm(positions=start, velocities=v, recipe=name, seed=seed), bowl, 8)
    there = drive(
        pso.Swarm(positions=start @ turn, velocities=v @ turn, recipe=name, seed=seed),
        lambda x: bowl(x @ turn.T),
        8,
    )
    torch.testing.assert_close(there.ask() @ turn.T, here.ask(), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["constriction", "fips", "bare_bones"])
def test_a_factor_per_coordinate_does_not_turn(name):
    """So that the tests above are known to be able to fail."""
    turn, s = rotation(4, 0), snapshot(0)
    rule = gaussian_between if name == "bare_bones" else pso.recipes.get(name).velocity
    assert name == "bare_bones" or isinstance(rule, SumOfTerms)
    here = rule(s, 0, torch.Generator().manual_seed(0))
    there = rule(Snapshot(*(field @ turn for field in s)), 0, torch.Generator().manual_seed(0))
    assert (there - here @ turn).abs().max() > 0.1
