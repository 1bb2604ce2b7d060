"""Points that are known and not called again, constraints that the objective returns, and an early end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from swarm_runs import bowl

import pyswarmopt as pso

BOX = [(-5.0, 5.0)] * 2
GRID = {"a": [3, 1, 2], "b": pso.integer(-2, 2), "c": ["x", "y"]}


def on_grid(a, b, c):
    return (a - 2) ** 2 + (b - 1) ** 2 + (c == "x")


class Called:
    """Notes what a function is called with."""

    def __init__(self, fun):
        self.fun = fun
        self.points = []

    def __call__(self, x):
        self.points.append(tuple(x.values()) if isinstance(x, dict) else tuple(x.tolist()))
        return self.fun(**x) if isinstance(x, dict) else self.fun(x)


# ---- memory ----


def test_no_point_of_a_grid_is_called_twice_and_the_search_ends_when_all_are_known():
    fun = Called(on_grid)
    r = pso.minimize(fun, space=GRID, max_evals=500, seed=0)
    every = set(itertools.product([3, 1, 2], range(-2, 3), "xy"))
    assert set(fun.points[:-1]) == every
    assert len(fun.points) == len(every) + 1 == r.nfev  # the last is for the best again
    assert (r.fun, r.status) == (0, "exhausted")


def test_points_from_memory_are_marked_and_no_evaluation_of_a_plot():
    fun = Called(on_grid)
    r = pso.minimize(fun, space=GRID, recipe="constriction", max_evals=25, seed=0)
    called = [record for record in r.history if not record.again]
    assert len(called) == len(fun.points) == r.nfev <= 25 < len(r.history)
    assert r.space.decode(np.array([record.x for record in called])) == [
        dict(zip(GRID, point, strict=True)) for point in fun.points
    ]
    assert pso.plot.trace(r).evaluations[-1] == r.nfev


def test_a_search_with_memory_is_resumed_bit_for_bit(tmp_path):
    fun = Called(on_grid)
    options = {"space": GRID, "max_evals": 60, "seed": 0}
    whole = pso.minimize(fun, **options)
    halved = Called(on_grid)
    path = tmp_path / "c.npz"
    pso.minimize(halved, **options, checkpoint=path, callback=lambda r: r.nfev >= 15)
    r = pso.minimize(halved, **options, checkpoint=path)
    assert len(halved.points) == len(fun.points) + 2  # the best is called again at each end
    assert r.nfev == whole.nfev
    assert r.x.tolist() == whole.x.tolist()
    assert [e.again for e in r.history] == [e.again for e in whole.history]


# ---- known points ----


@pytest.mark.parametrize("recipe", [None, "constriction"])
def test_known_points_cost_no_call_and_the_search_begins_from_them(recipe):
    known = np.array([[4.0, 4.0], [0.01, 0.0], [1.0, 1.0]])
    fun = Called(bowl)
    r = pso.minimize(
        fun, BOX, recipe, max_evals=10, seed=0, known=(known, [bowl(x) for x in known]),
        x0=[[3.0, 3.0]] * 40,
    )  # fmt: skip
    assert not set(map(tuple, known.tolist())) & set(fun.points[:-1])
    assert r.nfev == len(fun.points) == 10
    assert r.fun <= bowl(known[1])


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ([[0.0, 0.0]], "must be .points, values."),
        (([[0.0, 0.0]], [1.0, 2.0]), "got 1 and 2"),
        (([[0.0, 0.0, 0.0]], [1.0]), r"must have shape \(n, 2\)"),
        (([[0.0, 0.0]], ["a"]), "must be numbers"),
        (([[0.0, 0.0]], [1.0], [[0.0]]), "constraints='returned'"),
    ],
)
def test_what_is_not_known_is_refused(known, says):
    with pytest.raises(ValueError, match=says):
        pso.minimize(bowl, BOX, max_evals=5, known=known)


def test_starting_and_best_known_points_together_are_one_population():
    x = np.column_stack([np.arange(1.0, 9.0), np.ones(8)])
    start = [[9.0, 9.0], [8.0, -8.0]]
    r = pso.minimize(
        lambda x: float(x @ x), [(-10, 10)] * 2, recipe="constriction", population=4, x0=start,
        known=(x, (x**2).sum(1)), max_iter=1, seed=0, history="particles",
    )  # fmt: skip
    first = [record.x.tolist() for record in r.history if record.iteration == 0]
    assert first == [*start, [1.0, 1.0], [2.0, 1.0]]


@pytest.mark.parametrize("known", ["repeated", "almost equal", "on a line"])
@pytest.mark.parametrize("recipe", ["covariant", "constriction"])
def test_known_points_that_are_alike_do_not_make_a_swarm_that_has_collapsed(recipe, known):
    """The least of the ellipse is at (.7, -.2), which no known point is near."""
    noise = np.random.default_rng(0).standard_normal((60, 2))
    line = np.column_stack([np.linspace(-1, 1, 60), np.zeros(60)])
    far = {"repeated": -0.5 + 0 * noise, "almost equal": -0.5 + 1e-9 * noise, "on a line": line}
    ellipse = lambda x: float((x[0] - 0.7) ** 2 + 10 * (x[1] + 0.2) ** 2)  # noqa: E731
    values = [ellipse(x) for x in far[known]]
    r = pso.minimize(
        ellipse, [(-1, 1)] * 2, recipe=recipe, known=(far[known], values), max_evals=150, seed=0
    )
    assert r.fun < 0.05 < min(values)


def test_known_points_may_be_a_data_frame():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1, 3], "b": [0, 1], "c": ["x", "y"]})
    values = [on_grid(1, 0, "x"), on_grid(3, 1, "y")]
    fun = Called(on_grid)
    pso.minimize(fun, space=GRID, max_evals=20, seed=0, known=(frame, values))
    assert not {(1, 0, "x"), (3, 1, "y")} & {*fun.points[:-1]}
    corner = pd.DataFrame([[0.4, 3.0]])  # of which integers are rounded
    r = pso.minimize(bowl, BOX, integrality=True, max_evals=5, seed=0, known=(corner, [-1.0]))
    assert (r.fun, r.x.tolist()) == (-1.0, [0.0, 3.0])


@pytest.mark.parametrize("named", [False, True])
def test_known_points_outside_the_bounds_are_left_out_with_a_warning(named):
    points = [{"a": a} for a in (0.5, 9.0)] if named else [[0.5], [9.0]]
    where = {"space": {"a": (0.0, 1.0)}} if named else {"bounds": [(0.0, 1.0)]}
    with pytest.warns(UserWarning, match="1 of 2 known points"):
        r = pso.minimize(lambda a: 5.0, max_evals=3, seed=0, known=(points, [1.0, -7.0]), **where)
    assert r.fun == 1.0 and float(r.x[0]) == 0.5


# ---- constraints with the value ----


def sums(x):
    return float(x @ x), [1 - x.sum(), x[0] - 0.2]


@pytest.mark.parametrize("options", [{}, {"asynchronous": True}, {"recipe": "constriction"}])
def test_constraints_that_fun_returns(options):
    """The least of x^2 + y^2 where x + y >= 1 and x <= .2 is .68, at (.2, .8)."""
    called = Called(sums)
    calls = 2000 if options.get("recipe") else 200
    r = pso.minimize(called, BOX, constraints="returned", max_evals=calls, seed=0, **options)
    assert r.nfev == len(called.points) <= calls
    assert r.fun == pytest.approx(0.68, abs=0.05 if options.get("recipe") else 1e-3)
    assert r.feasible
    assert (np.array(sums(r.x)[1]) <= 0).all()


# ---- an early end ----


def test_patience_ends_a_search_that_gains_nothing_any_more():
    r = pso.minimize(bowl, BOX, max_evals=5000, patience=60, seed=0)
    assert r.fun < 1e-9
    assert (r.status, r.nfev < 300) == ("converged", True)
    study = pso.Study(BOX, patience=9)
    for n in range(30):
        study.tell([n / 9, 0.0], -n or None)  # the first failed
        assert not study.stop()
