"""`pyswarmopt.teaching.algorithm1`, which is read beside the paper, against the engine's recipe."""

from __future__ import annotations

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt.teaching.algorithm1 import Setting, algorithm1


def ripples(x: np.ndarray) -> float:
    return float(np.sum(np.cos(5 * (x - 0.3)) - (x - 0.3) ** 2))


def items(x: np.ndarray) -> float:
    """Like an accuracy over 20 items: particles often tie."""
    j = np.arange(20)
    return float(np.mean(np.sin(3 * j * x[0] + j) + np.cos(2 * x[j % len(x)]) > 0.4))


def grades(x: np.ndarray) -> float:
    """Three values: new points are as good as the best and as bad as the worst all the time."""
    return float(np.clip(np.round(x.sum()), -1, 1))


def points_of_the_engine(
    f, experts, s: Setting, seed: int
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """All points in the order of their evaluation, g, f(g), and how many restarts there were."""
    recipe = pso.recipes.model_swarms(
        inertia=s.phi_v, cognitive=s.phi_p, social=s.phi_g, repel=s.phi_w, step=s.lambda_,
        step_decay=s.phi_lambda, restart_patience=s.c_r, patience=s.c, max_iter=s.K,
    )  # fmt: skip
    swarm = pso.Swarm(population=s.N, positions=experts, recipe=recipe, maximize=True, seed=seed)
    points, restarts = [], 0
    while not swarm.stop():
        x = swarm.ask()
        points.append(x)
        swarm.tell(x, [f(point) for point in x])
        restarts += int((swarm.velocities == 0).all(1).sum())
    return np.concatenate(points), swarm.best.x, swarm.best.value, restarts


SETTINGS = (
    Setting(),
    Setting(N=8, phi_w=0.3, c_r=2, c=30, K=40),
    Setting(N=5, phi_v=0.1, phi_p=0.5, phi_g=0.2, lambda_=1.0, phi_lambda=0.8, c_r=3, c=7, K=60),
)


@pytest.mark.parametrize("f", [ripples, items, grades])
@pytest.mark.parametrize("s", SETTINGS, ids=["paper", "repel", "small"])
def test_it_goes_where_the_engine_goes(f, s):
    restarts = 0
    for seed in range(5):
        experts = np.random.default_rng(seed).uniform(-1, 1, (4, 3))
        asked = []

        def utility(x, asked=asked):
            asked.append(x.copy())
            return f(x)

        g, value = algorithm1(utility, experts, s, seed)
        points, best, best_value, count = points_of_the_engine(f, experts, s, seed)
        np.testing.assert_allclose(np.array(asked), points, rtol=0, atol=1e-12)
        np.testing.assert_allclose(g, best, rtol=0, atol=1e-12)
        assert value == pytest.approx(best_value, abs=1e-12)
        restarts += count
    assert restarts > 5


def test_the_defaults_are_the_recipes():
    options = pso.recipes.model_swarms().options
    s = Setting()
    assert options is not None
    assert list(options.values())[:9] == [*s[1:8], s.c, s.K]
    assert pso.recipes.model_swarms().population == s.N


def test_the_same_seed_gives_the_same_point():
    experts = np.eye(3)
    first, second = algorithm1(ripples, experts, seed=4), algorithm1(ripples, experts, seed=4)
    assert first[1] == second[1]
    assert (first[0] == second[0]).all()
