"""Every backend of the update gives the numbers of `engine.reference`, to the bit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from swarm_runs import same

import pyswarmopt as pso
from pyswarmopt.algorithms.clpso import Exemplars
from pyswarmopt.base.random_bits import generator_of
from pyswarmopt.engine import choose, chunked, reference
from pyswarmopt.parts import boundary
from pyswarmopt.parts.restart import RestartAtBest

BOUNDS = [(-2, 2), (0, 3), (-1, 9), (-5, 0), (3, 3)]
TOPOLOGIES = [*pso.topology.TOPOLOGIES.values(), Exemplars(gap=2)]
# Not `resample`: by blocks it draws for the coordinates outside only, the reference for all of
# them.
WALLS = [boundary.none, boundary.clip, boundary.confine, boundary.reflect, boundary.periodic]
NEXT = pso.Term(
    "next", 0.3, lambda s: s.p[[*range(1, len(s.p)), 0]] - s.x, "scalar", looks_at="column"
)
OWN = {
    "column": pso.compose(
        (pso.inertia(0.6), pso.social(1.2, "scalar"), NEXT), boundary=boundary.clip
    ),
    "normalised": pso.compose(
        (pso.inertia(0.6, "scalar"), pso.social(1.2, "element")), normalise=True, schedule=0.7
    ),
    "clamped": pso.recipes.inertia_weight(max_velocity=0.4, horizon=8),
    "no randomness": pso.recipes.model_swarms(randomness="none", restart_patience=2),
    "authors' code": pso.recipes.model_swarms(compat="reference", restart_patience=3),
    "restarts": pso.compose(
        (pso.inertia(0.9), pso.cognitive(1.0, "element"), pso.repel(0.4)), restart=RestartAtBest(2)
    ),
}
RECIPES = {name: make() for name, make in pso.recipes.RECIPES.items()} | OWN


class Assembled:
    """The factors of a swarm that moves by blocks, drawn in their order and put together."""

    def __init__(self, update):
        self._update = update

    def next(self, move):
        update = self._update
        rule, shape = update._sum, update.state.positions.shape
        c = update._factors.next(move)
        if not rule.per_coordinate or update._factors._elements:
            return c
        table = np.empty((len(rule.terms), *shape), c.dtype)
        for rows, columns in chunked.blocks_of(*shape, rule.looks_at):
            width = table[0, rows, columns].shape[1]
            for k, found in enumerate(update._factors.per_block(c[:, rows], width)):
                table[k, rows, columns] = found
        return table


def move_by_reference(update):
    factors = Assembled(update) if update._by_blocks else update._factors
    reference.move(update.state, update._recipe, factors, update._generator, update._box)


def remember_by_reference(update, costs, evaluated):
    state = update.state
    x, v, p, g, w = reference.arrays(state)
    at = pso.Snapshot(x, v, p, g[None], w[None])
    reference.remember(state, update._recipe, at, costs, evaluated)


def drive(recipe, dtype, rounds=9) -> list[dict]:
    """The whole state after each round; some evaluations are dropped, some fail."""
    swarm = pso.Swarm(bounds=BOUNDS, population=7, recipe=recipe, seed=3, dtype=dtype)
    seen = []
    for k in range(rounds):
        x = swarm.ask()
        values = ((np.asarray(x).astype(np.float64) - 1.0) ** 2).sum(-1)
        values[values > 60.0] = np.nan
        if k % 2:
            values = np.floor(values / 8)  # equally good and equally bad ones
        swarm.tell(x, values, dropped=np.arange(len(x)) == k if k % 3 == 2 else None)
        seen.append(swarm.state_dict())
    return seen


def assert_same(found, expected):
    for k, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            assert same(ours[name], value), (k, name)


@pytest.fixture(params=["small", "one block", "rows", "parts of a row"])
def cut(request, monkeypatch):
    """How the swarm of 7 x 5 is moved."""
    size, small = {
        "small": (10**6, 2**12),
        "one block": (10**6, 0),
        "rows": (12, 0),
        "parts of a row": (3, 0),
    }[request.param]
    monkeypatch.setattr(choose, "SMALL", small)
    monkeypatch.setattr(chunked, "BLOCK", size)
    if size < 100:  # rows are copied one by one
        monkeypatch.setattr(reference, "FEW_COLUMNS", 0)
    chunked.blocks_of.cache_clear()  # those of another size
    yield
    chunked.blocks_of.cache_clear()


def check(monkeypatch, recipe, dtype):
    found = drive(recipe, dtype)
    with monkeypatch.context() as patch:
        patch.setattr(choose.Update, "move", move_by_reference)
        patch.setattr(choose.Update, "remember", remember_by_reference)
        expected = drive(recipe, dtype)
    assert_same(found, expected)


@pytest.mark.parametrize("dtype", [torch.float64, "float32"])
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_moves_as_in_the_reference(monkeypatch, cut, name, dtype):
    check(monkeypatch, RECIPES[name], dtype)


@pytest.mark.parametrize("wall", WALLS)
@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda t: type(t).__name__)
def test_every_topology_and_boundary_acts_as_in_the_reference(monkeypatch, cut, topology, wall):
    """Each pair of dtype, randomness and normalisation, not all three by three."""
    for dtype, random in itertools.product((torch.float64, "float32"), ("scalar", "element")):
        normalise = (dtype == "float32") == (random == "scalar")
        terms = (
            pso.inertia(0.9),
            pso.cognitive(1.4, random),
            pso.social(1.8, "scalar"),
            pso.repel(0.2, random),
        )
        recipe = pso.compose(terms, topology, wall, schedule=0.9, normalise=normalise)
        check(monkeypatch, recipe, dtype)


def test_one_particle_of_a_rule_of_all_moves_as_it_does_among_all():
    """With the numbers of all, the others make no difference."""
    recipe = replace(pso.recipes.bare_bones(), boundary=boundary.none)
    swarm = pso.Swarm(bounds=BOUNDS, population=7, recipe=recipe, seed=3)
    swarm.tell(swarm.ask(), np.arange(7.0))
    state = swarm._state
    start = state.positions.copy()

    def moved(move, *args):
        state.positions[:] = start
        move(state, recipe, *args, generator_of(5))
        return state.positions.copy()

    everybody = moved(reference.move, None)
    alone = moved(reference.move_one, 2)
    assert np.array_equal(alone[2], everybody[2]) and not np.array_equal(alone[2], start[2])
    others = [i for i in range(7) if i != 2]
    assert np.array_equal(alone[others], start[others])
