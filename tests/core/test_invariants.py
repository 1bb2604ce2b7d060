"""What every recipe, and every optimiser with ask and tell, promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from swarm_runs import events
from watched import Watched, valley

import pyswarmopt as pso

BOUNDS = [(-4.0, 3.0)] * 3
LOW, HIGH = np.array(BOUNDS).T
BAD = [math.nan, math.inf, -math.inf]


@pytest.fixture(params=[None, *pso.recipes.RECIPES], ids=str)
def search(request):
    def run(fun=valley, bounds=BOUNDS, find=pso.minimize, **options):
        options = {"max_evals": 90, "seed": 0, "history": "particles", **options}
        return find(fun, bounds, request.param, **options)

    return run


@pytest.mark.parametrize("budget", [1, 7, 90])
def test_the_result_is_the_best_of_at_most_so_many_calls_within_the_bounds(search, budget):
    fun = Watched(valley)
    r = search(fun, max_evals=budget)
    points = np.array(fun.points)
    assert r.nfev == len(points) <= budget
    assert r.fun == min(fun.values) == valley(r.x)
    assert ((points >= LOW) & (points <= HIGH)).all()
    points, values = r.evaluated()
    first = {tuple(x): value for x, value in zip(points[::-1], values[::-1], strict=True)}
    assert all(first[tuple(x)] == v for x, v in zip(fun.points, fun.values, strict=True))


def test_sides_of_very_different_lengths_and_a_fixed_coordinate_are_kept(search):
    fun = Watched(lambda x: float(x[0] * 1e6 - x[1] * 1e-9))
    bounds = [(1e-6, 2e-6), (-1e9, -1e8), (0.5, 0.5)]
    search(fun, bounds)
    points = np.array(fun.points)
    low, high = np.array(bounds).T
    assert ((points >= low) & (points <= high)).all()


def test_a_start_is_evaluated(search):
    fun = Watched(valley)
    start = (LOW + 3 * HIGH) / 4
    r = search(fun, x0=start)
    assert any(np.array_equal(x, start) for x in fun.points) and r.fun <= valley(start)


def same(a, b):
    return a.fun == b.fun and np.array_equal(a.x, b.x) and events(a) == events(b)


def test_the_seed_alone_decides(search):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    r = search()
    assert same(r, search()) and np.array_equal(before, np.random.get_state()[1])
    assert events(r) != events(search(seed=1))


def test_workers_and_an_objective_that_spoils_its_argument_change_nothing(search):
    def vandal(x):
        value = float(valley(x))
        x[:] = math.nan
        return value

    r = search(population=6)
    assert same(r, search(population=6, workers=2))
    assert same(r, search(vandal, population=6))


def test_maximising_is_minimising_the_negative(search):
    down = search()
    up = search(lambda x: -valley(x), find=pso.maximize)
    assert np.array_equal(up.x, down.x) and up.fun == -down.fun


def test_a_stopped_search_goes_on_as_if_it_had_not_been(search, tmp_path):
    path = tmp_path / "c.npz"
    search(max_iter=9, checkpoint=path, callback=lambda so_far: so_far.nit >= 3)
    assert same(search(max_iter=9, checkpoint=path), search(max_iter=9))


def test_what_was_found_outlives_an_error_and_ctrl_c(search):
    fun = Watched(valley, 60)
    with pytest.raises(RuntimeError) as caught:
        search(fun)
    assert caught.value.result.fun == min(fun.values) and not caught.value.result.success
    r = search(Watched(valley, 60, KeyboardInterrupt))
    assert r.fun == valley(r.x) and not r.success


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_number_is_never_the_best(search, bad):
    fun = Watched(lambda x: bad if x[0] < 0.5 else valley(x))
    assert search(fun).fun == min(v for v in fun.values if math.isfinite(v))
    assert not search(lambda x: bad, max_evals=20).success


def test_whole_numbers_labels_and_constraints_hold(search):
    fun = Watched(valley)
    forbidden = {"type": "ineq", "fun": lambda x: 2.0 - x[2], "keep_feasible": True}
    r = search(
        fun, [(0, 3), (0, 5), (0.0, 3.0)], categorical=[1, 0, 0], integrality=[0, 1, 0],
        constraints=forbidden,
    )  # fmt: skip
    points = np.array(fun.points)
    assert (points[:, :2] == points[:, :2].round()).all() and (points[:, 2] <= 2.0).all()
    assert r.feasible and r.fun == valley(r.x)


def test_targets_and_callbacks_end_it(search):
    target = float(np.median([event.value for event in search().history]))
    r = search(target=target)
    assert r.success and r.fun <= target and "target" in r.stop
    best = []
    search(callback=lambda so_far: best.append(so_far.fun) or len(best) == 3)
    assert len(best) == 3 and best == sorted(best, reverse=True)


# ---- ask and tell ----


def nevergrads(name, population):
    def make(**options):
        pytest.importorskip("nevergrad")
        return pso.interop.nevergrad.NevergradOptimizer(
            name, BOUNDS, population=population, **options
        )

    return make


def swarm(recipe):
    return lambda **options: pso.Swarm(bounds=BOUNDS, population=5, recipe=recipe, **options)


OPTIMIZERS = {
    "default": lambda **options: pso.DefaultSearch(BOUNDS, **options),
    **{name: swarm(name) for name in pso.recipes.RECIPES},
    **{f"nevergrad {name}": nevergrads(name, 7) for name in ("CMA", "DE")},
    "nevergrad OnePlusOne": nevergrads("OnePlusOne", 1),
}


@pytest.fixture(params=OPTIMIZERS)
def make(request):
    return lambda seed=0, **options: OPTIMIZERS[request.param](seed=seed, **options)


def play(optimizer, rounds=8):
    """Ask and tell; all points, (n, D)."""
    points = [np.empty((0, len(BOUNDS)))]
    for _ in range(rounds):
        x = optimizer.ask()
        points.append(np.array(x))
        optimizer.tell(x, valley(x))
    return np.concatenate(points)


@pytest.mark.parametrize("maximize", [False, True])
def test_the_best_is_the_best_told_within_the_box(make, maximize):
    optimizer = make(maximize=maximize)
    for bad in BAD:
        x = optimizer.ask()
        optimizer.tell(x, np.full(len(x), bad))
    points = play(optimizer)
    values = valley(points)
    assert ((points >= LOW) & (points <= HIGH)).all()
    assert optimizer.best.value == (values.max() if maximize else values.min())
    optimizer.best.x[:] = 9.0
    assert valley(optimizer.best.x) == optimizer.best.value


def test_a_refused_call_loses_nothing(make):
    optimizer = make()
    x = optimizer.ask()
    assert np.array_equal(x, optimizer.ask())
    for points, values in [(x + 0.5, np.zeros(len(x))), (x, np.zeros(len(x) + 1))]:
        with pytest.raises(ValueError):
            optimizer.tell(points, values)
    assert np.array_equal(play(optimizer), play(make()))
    with pytest.raises(ValueError):
        optimizer.tell(x, valley(x))


@pytest.mark.parametrize("rounds", [0, 1, 8])
@pytest.mark.parametrize(
    "make", [make for name, make in OPTIMIZERS.items() if not name.startswith("nevergrad")]
)
def test_a_saved_state_goes_on_to_the_bit_and_is_a_copy(make, rounds):
    first, second = make(), make(seed=1)
    with pytest.raises(ValueError):
        second.load_state_dict({})
    play(first, rounds)
    saved = first.state_dict()
    points = play(first)
    second.load_state_dict(saved)
    assert np.array_equal(points, play(second))
