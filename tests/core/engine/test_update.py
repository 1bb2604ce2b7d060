"""The update of a swarm: cut into blocks, on tensors, and particle by particle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from swarm_runs import same

import pyswarmopt as pso
from pyswarmopt.algorithms.clpso import Exemplars
from pyswarmopt.engine import update
from pyswarmopt.parts import boundary
from pyswarmopt.parts.restart import RestartAtBest

BOUNDS = [(-2, 2), (0, 3), (-1, 9), (-5, 0), (3, 3)]
TOPOLOGIES = [*pso.topology.TOPOLOGIES.values(), Exemplars(gap=2)]
WALLS = [boundary.none, boundary.clip, boundary.confine, boundary.reflect, boundary.periodic]


def drive(recipe, dtype=np.float64, rounds=9) -> list[dict]:
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
        for name, value in theirs.items():
            assert same(np.asarray(ours[name]), np.asarray(value)), (k, name)


@pytest.fixture(params=[10**6, 14, 3], ids=["one block", "two columns", "one"])
def cut(request, monkeypatch):
    """How a swarm of 7 x 5 is moved; calling it makes it large."""
    monkeypatch.setattr(update, "BLOCK", request.param)
    return lambda: monkeypatch.setattr(update, "LARGE", 0)


@pytest.mark.parametrize("wall", WALLS)
@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda t: type(t).__name__)
def test_blocks_move_as_the_whole_swarm_does(cut, topology, wall):
    terms = [
        pso.inertia(0.9),
        pso.cognitive(1.4, "scalar"),
        pso.repel(0.2),
        pso.social(1.8, "scalar"),
    ]
    recipe = pso.compose(terms, topology, wall, schedule=0.9, normalise=True,
                         restart=RestartAtBest(3))  # fmt: skip
    expected = drive(recipe)
    cut()
    assert_same(drive(recipe), expected)


def test_columns_of_a_large_swarm_move_as_the_whole_does(cut):
    neighbour = pso.Term("next", 0.3, lambda s: np.roll(s.p, -1, axis=0) - s.x, looks_at="column")
    recipe = pso.compose([pso.inertia(0.6), neighbour], boundary=boundary.clip)
    expected = drive(recipe)
    cut()
    assert_same(drive(recipe), expected)


@pytest.mark.parametrize("name", sorted(pso.recipes.RECIPES))
def test_tensors_move_as_arrays_do(name):
    for ours, theirs in ((np.float64, torch.float64), (np.float32, torch.float32)):
        found = drive(name, theirs)
        for ours_, theirs_ in zip(drive(name, ours), found, strict=True):
            close = np.testing.assert_allclose
            close(ours_["positions"], theirs_["positions"], rtol=1e-4, atol=1e-5)
            assert theirs_["positions"].dtype == theirs
