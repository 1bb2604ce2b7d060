"""pyswarms' names: the moves by literal formulas, and its README's scripts."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import pyswarmopt.interop.pyswarms as ps
from pyswarmopt.base.random_bits import FULL_SCALE, RandomBits
from pyswarmopt.driver.workers.pool import Workers

OPTIONS = {"c1": 0.5, "c2": 0.3, "w": 0.9}
NEAR = {**OPTIONS, "k": 3, "p": 1}
BOX = np.array([-1.0, 0.0]), np.array([2.0, 1.5])


def bowl(x):
    return ((x - 0.7) ** 2).sum(-1)


def best_of_all(x, costs):
    return np.full(len(x), costs.argmin())


def best_of_the_nearest(x, costs):
    distances = abs(x[:, None] - x[None]).sum(-1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : NEAR["k"]]
    return np.array([row[costs[row].argmin()] for row in nearest])


def literal(start, v, draws, leader, clamp=None, box=None):
    """The update as pyswarms documents it; the last position is that of the next iteration."""
    x, p, best = start.copy(), start.copy(), np.full(len(start), np.inf)
    path = [x]
    for r1, r2 in draws:
        costs = bowl(x)
        p = np.where((costs < best)[:, None], x, p)
        best = np.minimum(costs, best)
        v = 0.9 * v + 0.5 * r1 * (p - x) + 0.3 * r2 * (p[leader(x, best)] - x)
        v = v if clamp is None else np.clip(v, *clamp)
        x = x + v
        if box is not None:
            low, high = box
            x = np.where((x < low) | (x > high), low + (x - low) % (high - low), x)
        path.append(x)
    return np.array(path), best.min()


@pytest.mark.parametrize(
    "kind, options, leader, more",
    [
        (ps.single.GlobalBestPSO, OPTIONS, best_of_all, {}),
        (ps.single.GlobalBestPSO, OPTIONS, best_of_all, {"velocity_clamp": (-0.1, 0.3)}),
        (ps.single.GlobalBestPSO, OPTIONS, best_of_all, {"bounds": BOX}),
        (ps.single.LocalBestPSO, NEAR, best_of_the_nearest, {}),
    ],
)
def test_with_equal_random_numbers_the_moves_are_those_of_the_formulas(
    kind, options, leader, more, monkeypatch
):
    draws = []
    take_each = RandomBits.take_each

    def noted(self, count, shape):
        numbers = take_each(self, count, shape)
        draws.extend(numbers / FULL_SCALE)
        return numbers

    monkeypatch.setattr(RandomBits, "take_each", noted)
    optimizer = kind(8, 2, options, seed=1, **more)
    start, v = optimizer.swarm.position.copy(), optimizer.swarm.velocity.copy()
    cost, position = optimizer.optimize(bowl, 30, verbose=False)
    walls = more.get("velocity_clamp"), more.get("bounds")
    path, best = literal(start, v, draws[:30], leader, *walls)
    assert np.allclose(optimizer.pos_history, path[:-1])
    assert np.allclose(optimizer.swarm.position, path[-1])
    assert cost == pytest.approx(best) and bowl(position) == pytest.approx(best)
    assert optimizer.cost_history == np.minimum.accumulate(optimizer.cost_history).tolist()
    assert optimizer.cost_history[-1] == cost


@pytest.mark.parametrize(
    "bh_strategy, place",
    [("periodic", 0.7), ("nearest", 1.0), ("reflective", 0.3), ("random", None)],
)
@pytest.mark.parametrize("vh_strategy, after", [("unmodified", 1.2), ("invert", -0.6), ("zero", 0)])
def test_walls(bh_strategy, place, vh_strategy, after):
    optimizer = ps.single.GlobalBestPSO(
        3, 2, OPTIONS, ([0.0, 0.0], [1.0, 9.0]), init_pos=np.full((3, 2), 0.5), seed=0,
        velocity_clamp=(1.2, 1.2),  # every move is this long
        bh_strategy=bh_strategy, vh_strategy=vh_strategy,
    )  # fmt: skip
    optimizer.optimize(bowl, 1, verbose=False)
    x, v = optimizer.swarm.position, optimizer.swarm.velocity
    assert np.allclose(x[:, 1], 1.7) and np.allclose(v[:, 1], 1.2)
    assert np.allclose(v[:, 0], after)
    if place is None:
        assert ((x[:, 0] >= 0) & (x[:, 0] <= 1)).all() and len(set(x[:, 0])) == 3
    else:
        assert np.allclose(x[:, 0], place)


@pytest.mark.parametrize("v, share", [(60.0, 1), (-60.0, 0), (math.log(3), 0.75)])
def test_bits_are_one_with_the_logistic_probability(v, share):
    optimizer = ps.discrete.BinaryPSO(40, 50, {**NEAR, "p": 2}, velocity_clamp=(v, v), seed=0)
    cost, position = optimizer.optimize(lambda x: -x.sum(1), 6, verbose=False)
    moved = np.array(optimizer.pos_history[1:])
    assert moved.dtype == position.dtype == np.int64 and set(np.unique(moved)) <= {0, 1}
    assert moved.mean() == pytest.approx(share, abs=0.02)
    assert cost == -position.sum() == optimizer.swarm.best_cost


def test_a_search_continues_and_begins_again():
    optimizer = ps.single.GlobalBestPSO(6, 2, OPTIONS, seed=3)
    optimizer.optimize(bowl, 4, verbose=False)
    following = optimizer.swarm.position
    optimizer.optimize(bowl, 3, verbose=False)
    first = np.array(optimizer.pos_history)
    assert len(first) == 7 and np.array_equal(first[4], following)
    optimizer.reset()
    assert optimizer.cost_history == []
    optimizer.optimize(bowl, 4, verbose=False)
    assert np.array_equal(optimizer.pos_history, first[:4])


def test_walls_belong_to_the_box():
    corners = np.array([BOX[0], BOX[1], BOX[0]])
    optimizer = ps.single.GlobalBestPSO(3, 2, OPTIONS, bounds=BOX, init_pos=corners)
    optimizer.optimize(bowl, 1, verbose=False)
    assert np.array_equal(optimizer.pos_history[0], corners)


def test_ftol_counts_iterations_without_change():
    optimizer = ps.single.GlobalBestPSO(5, 2, OPTIONS, ftol=1e-3, ftol_iter=3)
    optimizer.optimize(lambda x: np.full(len(x), 7.0), 50, verbose=False)
    assert optimizer.cost_history == [7.0] * 4  # the first, and three without change


def local(**change):
    return ps.single.LocalBestPSO(**{"n_particles": 8, "dimensions": 2, "options": NEAR, **change})


def bits(**change):
    return ps.discrete.BinaryPSO(8, 2, NEAR, **change)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: local(options={"c1": 1, "w": 1}), "c2 missing"),
        (lambda: local(options={**NEAR, "k": 9}), "k must be 1 to n_particles=8"),
        (lambda: local(options=OPTIONS), "k must be"),
        (lambda: local(options={**OPTIONS, "k": 2}), "p must be"),
        (lambda: local(bh_strategy="shrink"), "periodic, nearest.*pso.boundary"),
        (lambda: local(vh_strategy="adjust"), "unmodified, invert.*pso.boundary"),
        (lambda: local(init_pos=np.zeros((3, 2))), "shape \\(8, 2\\)"),
        (lambda: local(init_pos=np.full((8, 2), 1.8), bounds=BOX), "outside the bounds"),
        (lambda: local().optimize(bowl, iters=0), "iters=0: it must be at least 1"),
        (lambda: bits(bounds=BOX), "no bounds"),
        (lambda: bits(init_pos=np.full((8, 2), 2)), "bits"),
    ],
)
def test_what_does_not_make_sense_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_what_is_not_here_names_the_page():
    with pytest.raises(AttributeError, match="coming-from"):
        ps.utils.functions.single_obj.booth  # noqa: B018
    with pytest.raises(AttributeError, match="coming-from"):
        ps.single.GeneralOptimizerPSO  # noqa: B018


# Scripts as in pyswarms' README.
BASIC = """
import pyswarms as ps
from pyswarms.utils.functions import single_obj as fx
options = {"c1": 0.5, "c2": 0.3, "w": 0.9}
optimizer = ps.single.GlobalBestPSO(n_particles=10, dimensions=2, options=options)
best_cost, best_pos = optimizer.optimize(fx.sphere, iters=100)
again, most = fx.sphere(best_pos), 1e-2
"""
BITS = """
import pyswarms as ps
from pyswarms.utils.decorators import cost

@cost
def share(mask, alpha):
    return alpha * abs(mask[:5].sum() - 5) + (1 - alpha) * mask[5:].sum()

options = {"c1": 0.5, "c2": 0.5, "w": 0.9, "k": 30, "p": 2}
optimizer = ps.discrete.BinaryPSO(n_particles=30, dimensions=15, options=options)
best_cost, pos = optimizer.optimize(share, iters=30, alpha=0.88, verbose=False)
again, most = share(pos[None], alpha=0.88)[0], 1
"""


@pytest.mark.parametrize("script", [BASIC, BITS])
def test_scripts_run_with_their_imports_changed(script):
    changed = script.replace("import pyswarms as", "import pyswarmopt.interop.pyswarms as")
    found: dict = {}
    exec(changed.replace("from pyswarms.", "from pyswarmopt.interop.pyswarms."), found)
    assert found["best_cost"] == found["again"] < found["most"]


def test_a_particle_is_the_nearest_of_its_own_also_among_duplicates():
    positions = np.array([[0.0, 1.0]] * 4 + [[1.0, 1.0]] * 3)
    state = SimpleNamespace(positions=positions, best_costs=np.arange(7.0)[::-1].copy())
    for p in (1, 2):
        assert ps.Nearest(1, p).informants(state, np.random.default_rng(0)).tolist() == list(
            range(7)
        )


def test_processes_share_the_particles(monkeypatch):
    class Threads(Workers):
        def __init__(self, spec, function):
            super().__init__("threads:2" if spec == "processes:2" else spec, function)

    sizes = []

    def noted(x, shift):
        sizes.append(len(x))
        return bowl(x) + shift

    monkeypatch.setattr(ps, "Workers", Threads)
    many, alone = (ps.single.GlobalBestPSO(7, 2, OPTIONS, seed=1) for _ in range(2))
    cost, _ = many.optimize(noted, 5, n_processes=2, verbose=False, shift=1.0)
    assert sorted(sizes) == [3] * 5 + [4] * 5
    assert cost == alone.optimize(bowl, 5, verbose=False)[0] + 1.0
