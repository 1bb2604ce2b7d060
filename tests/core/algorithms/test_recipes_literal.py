"""Each recipe against the literal transcription of its paper's equations in
`literal_recipes.py`.
"""

from __future__ import annotations

import math
import random
from typing import Any

import literal_recipes as literal
import numpy as np
import pytest
import torch

import pyswarmopt as pso

N, DIM = 9, 3
KIND: dict[str, Any] = {"dtype": np.float64}  # of the swarms


def valley(row: list[float]) -> float:
    """A curved valley with ripples: improvements come and fail to come in no simple order."""
    curve = sum(
        (row[k + 1] - row[k] ** 2 / 4) ** 2 + 0.1 * (1 - row[k]) ** 2 for k in range(len(row) - 1)
    )
    return curve + sum(0.3 * math.sin(4.0 * u) for u in row)


def start(seed: int) -> tuple[list[list[float]], list[list[float]]]:
    rng = random.Random(seed)
    return tuple(
        [[scale * rng.uniform(-1, 1) for _ in range(DIM)] for _ in range(N)] for scale in (4.0, 0.5)
    )


@pytest.fixture(params=["arrays", "tensors"], autouse=True)
def kind(request):
    """Every recipe follows its transcription on either."""
    KIND["dtype"] = np.float64 if request.param == "arrays" else torch.float64


def swarm_run(recipe: pso.Recipe, x, v, seed: int, rounds: int, bounds=None) -> pso.Swarm:
    swarm = pso.Swarm(positions=x, velocities=v, recipe=recipe, seed=seed, bounds=bounds, **KIND)
    for _ in range(rounds + 1):
        asked = swarm.ask()
        swarm.tell(asked, [valley(row) for row in asked.tolist()])
    return swarm


def assert_same(swarm: pso.Swarm, run: literal.Run) -> None:
    for ours, theirs in (
        (swarm.positions, run.x),
        (swarm.personal_bests, run.p),
        (swarm.velocities, run.v),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(swarm.personal_best_values, run.fp, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("topology", ["ring", "global"])
def test_constriction_is_that_of_clerc_and_kennedy(topology):
    x, v = start(3)
    run = literal.constriction(x, v, valley, seed=3, rounds=30, ring=topology == "ring")
    assert_same(swarm_run(pso.recipes.constriction(topology=topology), x, v, 3, 30), run)


@pytest.mark.parametrize("seed", range(3))
def test_inertia_weight_is_that_of_shi_and_eberhart(seed):
    x, v = start(seed)
    recipe = pso.recipes.inertia_weight(horizon=12, max_velocity=1.5)
    run = literal.inertia_weight(x, v, valley, seed, rounds=20, horizon=12, v_max=1.5)
    assert_same(swarm_run(recipe, x, v, seed, 20), run)
    assert run.seen["clamped"] > 10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("topology", ["von_neumann", "ring"])
def test_fips_is_that_of_mendes_kennedy_and_neves(topology, seed):
    def around(i: int) -> list[int]:
        if topology == "ring":
            return [(i - 1) % N, (i + 1) % N]
        return [(i - 1) % N, (i + 1) % N, (i - 3) % N, (i + 3) % N]

    x, v = start(seed)
    swarm = swarm_run(pso.recipes.fips(topology=topology), x, v, seed, 20)
    assert_same(swarm, literal.fips(x, v, valley, seed, 20, around))


@pytest.mark.parametrize("seed", range(3))
def test_clpso_is_that_of_liang_and_others(seed):
    x, v = start(seed)
    run = literal.clpso(x, v, valley, seed, rounds=25, horizon=30, gap=2)
    assert_same(swarm_run(pso.recipes.clpso(horizon=30, gap=2), x, v, seed, 25), run)
    assert run.seen["renewed"] > 10 and run.seen["forced"] > 3 and run.seen["tournament"] > 3


@pytest.mark.parametrize("seed", range(3))
def test_spso2011_is_that_of_clerc(seed):
    x, v = start(seed)
    low, high = [-4.0, -4.0, -4.0], [0.5, 4.0, 4.0]
    x = [[min(max(u, lo), hi) for u, lo, hi in zip(row, low, high, strict=True)] for row in x]
    run = literal.spso2011(x, v, valley, seed, 25, low, high)
    bounds = list(zip(low, high, strict=True))
    assert_same(swarm_run(pso.recipes.spso2011(), x, v, seed, 25, bounds), run)
    assert (
        1 < run.seen["links drawn"] < 25 and run.seen["own best"] > 20 and run.seen["confined"] > 3
    )


@pytest.mark.parametrize("seed", range(3))
def test_bare_bones_is_that_of_kennedy(seed):
    x, _ = start(seed)
    run = literal.bare_bones(x, valley, seed, 20)
    swarm = swarm_run(pso.recipes.bare_bones(), x, np.zeros((N, DIM)), seed, 20)
    np.testing.assert_allclose(swarm.positions, run.x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(swarm.personal_bests, run.p, rtol=1e-9, atol=1e-9)
    assert 0 < run.seen["waits"] < 20 * N
