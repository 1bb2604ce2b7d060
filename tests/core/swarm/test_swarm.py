"""The contract of Swarm: ask, tell, stop, best; aliasing, failures, drops, tickets, symmetries."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds
from swarm_runs import bowls, drive

import pyswarmopt as pso

RECIPES = ("constriction", "model_swarms")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", [list, np.asarray, torch.tensor])
def test_values_may_be_a_list_an_array_or_a_tensor(recipe, kind):
    swarm = pso.Swarm(bounds=[(-5, 5)] * 2, recipe=recipe, seed=0, population=4)
    swarm.tell(swarm.ask(), kind([4.0, 2.0, 3.0, 1.0]))
    assert swarm.best.value == 1.0 and swarm.worst.value == 4.0
    assert np.array_equal(swarm.best.x, swarm.positions[3]) and np.array_equal(
        swarm.worst.x, swarm.positions[0]
    )


def test_bad_calls_say_what_is_wrong():
    swarm = pso.Swarm(bounds=[(-5, 5)] * 2, population=4, seed=0)
    with pytest.raises(ValueError, match="call ask"):
        swarm.tell(np.zeros((4, 2)), [1.0] * 4)
    x = swarm.ask()
    for values in ([1.0] * 3, [[1.0]] * 4, 1.0):
        with pytest.raises(ValueError, match=r"values .* shape \(4,\)"):
            swarm.tell(x, values)
    with pytest.raises(ValueError, match=r"positions .* \(4, 2\), got \(4, 1\)"):
        swarm.tell(x[:, :1], [1.0] * 4)
    with pytest.raises(ValueError, match="positions that ask"):
        swarm.tell(np.where(np.arange(4)[:, None] == 2, math.nan, x), [1.0] * 4)
    with pytest.raises(ValueError, match="dropped must be an array of 4"):
        swarm.tell(x, [1.0] * 4, dropped=[0, 1, 0, 1])
    swarm.tell(x, [1.0] * 4)  # none of the failed calls was taken in
    assert swarm.evaluations == 4 and swarm.iteration == 0


def test_every_form_of_bounds_means_the_same_box():
    low, high = np.array([-1.0, 2.0]), np.array([0.0, 5.0])

    pairs = [(-1, 0), (2, 5)]
    forms = [pairs, tuple(pairs), (low, high), np.array(pairs), Bounds(low, high)]
    starts = [pso.Swarm(bounds=form, seed=5, population=9).ask() for form in forms]
    for start in starts:
        assert np.array_equal(start, starts[0])
        assert (start >= low).all() and (start <= high).all()
    wide = pso.Swarm(bounds=(-2.0, 3.0), dim=4, seed=5, population=200).ask()
    assert wide.min() < -1.5 and wide.max() > 2.5 and wide.shape == (200, 4)
    three = pso.Swarm(bounds=(np.arange(3.0), np.arange(1.0, 4.0)), seed=5).ask()
    assert (np.floor(three) == [0.0, 1.0, 2.0]).all()


# --- tickets ---


@pytest.mark.parametrize("recipe", RECIPES)
@settings(max_examples=20)
@given(order=st.lists(st.permutations(range(5)), min_size=6, max_size=6))
def test_tickets_told_in_any_order_make_the_same_run(recipe, order):
    whole = pso.Swarm(bounds=[(-5, 5)] * 2, population=5, recipe=recipe, seed=2)
    single = pso.Swarm(bounds=[(-5, 5)] * 2, population=5, recipe=recipe, seed=2)
    for permutation in order:
        drive(whole, bowls, 1)
        tickets = single.ask(5)
        for i in permutation:
            single.tell(tickets[i], float(bowls(tickets[i].x)))
    assert np.array_equal(whole.ask(), single.ask()) and whole.best.value == single.best.value


def test_a_ticket_is_good_for_one_value_of_its_round():
    swarm = pso.Swarm(bounds=[(-5, 5)], population=2, seed=0)
    first, second = swarm.ask(2)
    swarm.tell(first, 1.0)
    with pytest.raises(ValueError, match="already told"):
        swarm.tell(first, 1.0)
    with pytest.raises(ValueError, match="by ticket"):
        swarm.tell(swarm.ask(), [1.0, 2.0])
    assert [t.particle for t in swarm.pending] == [1] and not swarm.ask(9)
    swarm.tell(second, 2.0)
    swarm.ask()
    with pytest.raises(ValueError, match="belongs to another round"):
        swarm.tell(second, 2.0)


# --- what is not of this swarm ---


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_positions_come_back_in_any_container_but_as_they_were(dtype):
    for kind in ("clone", "numpy", "tolist", "contiguous"):
        swarm = pso.Swarm(bounds=[(-5, 5)] * 2, population=3, seed=0, dtype=dtype)
        x = swarm.ask() if kind in ("clone", "contiguous") else swarm.ask().double()
        swarm.tell(getattr(x, kind)(), [1.0, 2.0, 3.0])
        x = swarm.ask()
        for wrong in (x.flip(0), x + 1, torch.zeros_like(x)):
            with pytest.raises(ValueError, match="positions that ask"):
                swarm.tell(wrong, [1.0, 2.0, 3.0])
        assert torch.equal(swarm.ask(), x) and swarm.evaluations == 3


@pytest.mark.parametrize("dtype", [np.float32, torch.float32])
@pytest.mark.parametrize("name", pso.recipes.RECIPES)
def test_every_swarm_can_be_pickled_and_goes_on(name, dtype):
    options = {"bounds": (-5, 5), "dim": 2, "population": 5, "dtype": dtype}
    swarm = drive(pso.Swarm(recipe=name, seed=1, **options), bowls, 3)
    x = swarm.ask()
    again = pickle.loads(pickle.dumps(swarm))
    again.tell(x, bowls(x))
    swarm.tell(x, bowls(x))
    assert np.array_equal(swarm.ask(), again.ask()) and type(again.ask()) is type(x)


@pytest.mark.parametrize("name", sorted(pso.recipes.RECIPES.keys() - {"covariant"}))  # eigenvectors
@pytest.mark.parametrize("dtype", ["float16", torch.float16, torch.bfloat16])
def test_every_recipe_moves_numbers_of_16_bits(name, dtype):
    swarm = pso.Swarm(bounds=[(-5, 5)] * 3, population=12, recipe=name, seed=5, dtype=dtype)
    x = drive(swarm, bowls, 60).ask()
    assert x.dtype == dtype and ((x - x) == 0).all() and swarm.best.value < 0.5


@pytest.mark.parametrize("dtype", ["float16", torch.float16])
def test_a_bound_beyond_the_largest_number_is_refused(dtype):
    with pytest.raises(ValueError, match=r"too wide for .*float16"):
        pso.Swarm(bounds=[(60000.0, 70000.0)] * 2, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_tensors_keep_their_dtype(dtype):
    start = torch.randn((4, 3), generator=torch.Generator().manual_seed(0)).to(dtype)
    for positions in (start, list(start), start.clone().requires_grad_()):
        before = start.clone()
        swarm = drive(pso.Swarm(positions=positions, population=6, seed=0), bowls, 3)
        assert torch.equal(start, before)
        assert swarm.ask().dtype == swarm.best.x.dtype == dtype
    assert pso.Swarm(positions=start.long(), seed=0).ask().dtype == torch.float64
    for positions in (start.float().numpy(), start.tolist()):
        assert pso.Swarm(positions=positions, seed=0).ask().dtype == np.float64


def test_dropped_particles_keep_their_memory_and_are_not_counted():
    swarm = pso.Swarm(positions=[[0.0], [1.0], [2.0]], seed=0, recipe="model_swarms", maximize=True)
    swarm.tell(swarm.ask(), [1.0, 2.0, 3.0])
    swarm.tell(swarm.ask(), [9.0, -9.0, 3.5], dropped=[True, True, False])
    assert (swarm.best.value, swarm.worst.value, swarm.evaluations) == (3.5, 1.0, 4)
    assert swarm.personal_best_values.tolist() == [1.0, 2.0, 3.5]
    assert swarm.personal_bests[:2].tolist() == [[0.0], [1.0]]
    assert swarm.values.tolist() == [1.0, 2.0, 3.5]


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_editing_what_was_asked_or_given_does_not_reach_the_swarm(recipe, kind):
    start = np.random.default_rng(1).normal(size=(6, 2))
    mine, other = kind(start), pso.Swarm(positions=kind(start), recipe=recipe, seed=3)
    swarm = pso.Swarm(positions=mine, recipe=recipe, seed=3)
    mine[:] = 0.0
    for _ in range(12):
        x = swarm.ask()
        kept = copy.deepcopy(x)
        x[:] = 99.0
        swarm.tell(kept, bowls(kept))
        kept[:] = -99.0
        swarm.best.x[:] = 7.0
        drive(other, bowls, 1)
        assert np.array_equal(swarm.positions, other.positions)
        assert np.array_equal(swarm.best.x, other.best.x)


@pytest.mark.parametrize("name", pso.recipes.RECIPES)
def test_arrays_and_tensors_move_alike(name):
    options = {"bounds": [(-5, 4)] * 3, "population": 8, "recipe": name, "seed": 1}
    here, there = (pso.Swarm(dtype=kind.float64, **options) for kind in (np, torch))
    drive(here, bowls, 6), drive(there, bowls, 6)
    assert isinstance(there.ask(), torch.Tensor) and isinstance(here.ask(), np.ndarray)
    np.testing.assert_allclose(there.ask(), here.ask(), rtol=1e-8, atol=1e-8)
