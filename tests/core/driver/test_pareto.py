"""Several objectives: domination, crowding and hypervolume against brute force, fronts against
known ones.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import pyswarmopt as pso
from pyswarmopt.driver.multi.multiobjective import minimize_multi
from pyswarmopt.driver.multi.pareto import crowding_distance, hypervolume, non_dominated

small = st.integers(1, 3).flatmap(
    lambda m: arrays(np.int64, st.tuples(st.integers(1, 7), st.just(m)), elements=st.integers(0, 5))
)


@given(small)
def test_non_dominated_is_the_definition(values):
    expected = [
        not any(
            all(b <= a for a, b in zip(x, y, strict=True)) and tuple(x) != tuple(y) for y in values
        )
        for x in values
    ]
    assert non_dominated(values).tolist() == expected


@settings(max_examples=200)
@given(small)
def test_hypervolume_is_the_number_of_unit_cubes(values):
    corner = 4
    m = values.shape[1]
    cubes = np.stack(np.meshgrid(*[np.arange(corner)] * m, indexing="ij"), axis=-1).reshape(-1, m)
    expected = sum(any((v <= cube).all() for v in values) for cube in cubes)
    assert hypervolume(values, [corner] * m) == expected


def test_crowding_by_hand():
    # ranges 10 and 10: for the second (4 - 0) / 10 + (9 - 3) / 10, for the third (10 - 1) / 10 + (6
    # - 0) / 10
    found = crowding_distance([[0.0, 9.0 + 1], [1.0, 6.0], [4.0, 4.0], [10.0, 0.0]])
    assert found.tolist() == pytest.approx([math.inf, 0.4 + 0.6, 0.9 + 0.6, math.inf])
    assert crowding_distance(np.ones((3, 2))).tolist()[1] == 0


def zdt1(x):
    g = 1 + 9 * np.mean(x[1:])
    return x[0], g * (1 - math.sqrt(x[0] / g))


def zdt2(x):
    g = 1 + 9 * np.mean(x[1:])
    return x[0], g * (1 - (x[0] / g) ** 2)


# The area between the front and (1.1, 1.1): 0.11 right of it and, above it, the integral of 1.1 -
# f2 over [0, 1].
@pytest.mark.parametrize(
    ("problem", "area"), [(zdt1, 0.11 + 0.1 + 2 / 3), (zdt2, 0.11 + 0.1 + 1 / 3)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_front_of_zdt(problem, area, seed):
    calls = []

    def fun(x):
        calls.append(x.copy())
        return problem(x)

    r = minimize_multi(fun, [(0, 1)] * 6, 2, population=50, archive=60, max_evals=5000, seed=seed)
    assert r.nfev == len(calls) <= 5000 and len(r.x) <= 60 and r.success
    assert 0.98 * area < r.hypervolume([1.1, 1.1]) < area
    assert np.array_equal(r.fun, [problem(x) for x in r.x]) and non_dominated(r.fun).all()
    assert (np.diff(r.fun[:, 0]) > 0).all()
    # evenly spread: no gap in f1 much wider than the mean one
    assert np.diff(r.fun[:, 0]).max() < 0.15


def test_the_forms_and_workers_make_the_same_search():
    def rows(x):
        return np.stack([x[:, 0] ** 2, (x[:, 0] - 2) ** 2 + x[:, 1] ** 2], axis=1)

    def point(x):
        return [x[0] ** 2, (x[0] - 2) ** 2 + x[1] ** 2]

    first, *others = (
        minimize_multi(fun, [(-4, 4)] * 2, 2, population=20, max_evals=400, seed=3, **how)
        for fun, how in ((point, {}), (point, {"workers": 3}), (rows, {"vectorized": True}))
    )
    assert np.array_equal(first.x, others[0].x)
    assert others[1].nfev <= 400 and np.allclose(others[1].x[0], first.x[0], atol=0.2)


def test_constraints_integers_and_failures():
    def fun(x):
        return (math.nan, math.nan) if x[0] == 3 else (x[0], (x[0] - 6) ** 2)

    seen = []
    r = minimize_multi(
        lambda x: seen.append(x[0]) or fun(x),
        [(0, 9)],
        2,
        population=20,
        max_evals=600,
        seed=0,
        integrality=True,
        constraints=lambda x: 1.5 - x[0],
    )
    assert min(seen) == 2 and r.x[:, 0].tolist() == [2.0, 4.0, 5.0, 6.0] and r.maxcv == 0
    nothing = minimize_multi(
        fun, [(0, 9)], 2, population=20, max_evals=300, seed=0, constraints=lambda x: x[0] + 1
    )
    assert not nothing.success and "no feasible" in nothing.message and nothing.nfev == 0
    assert nothing.x[0, 0] < 0.1 and nothing.maxcv == nothing.x[0, 0] + 1
    broken = minimize_multi(
        lambda x: (math.nan, 0.0), [(0, 9)], 2, population=20, max_evals=100, seed=0
    )
    assert not broken.success and "no finite value" in broken.message and len(broken.x) == 0


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [3, 40, 173])
@pytest.mark.parametrize(
    "how", [{}, {"constraints": lambda x: x[0] - 1, "integrality": [True, False]}]
)
def test_a_killed_search_goes_on_to_the_bit(tmp_path, at, how):
    calls = []

    def fun(x):
        calls.append(1)
        if len(calls) == at:
            raise Killed
        return x[0] ** 2 + x[1], (x[0] - 2) ** 2 + x[1] ** 2

    def search(fun, max_evals=200, **more):
        return minimize_multi(
            fun,
            [(-4, 4)] * 2,
            2,
            population=20,
            archive=15,
            max_evals=max_evals,
            seed=3,
            **how,
            **more,
        )

    path = tmp_path / "c.npz"
    with pytest.raises(Killed):
        search(fun, checkpoint=path)
    resumed = search(fun, checkpoint=path)
    whole = search(lambda x: (x[0] ** 2 + x[1], (x[0] - 2) ** 2 + x[1] ** 2))
    assert np.array_equal(resumed.x, whole.x) and np.array_equal(resumed.fun, whole.fun)
    assert (resumed.nfev, resumed.nit, resumed.message) == (whole.nfev, whole.nit, whole.message)
    assert search(fun, checkpoint=path).nfev == whole.nfev  # finished: no further call counts
    assert search(fun, max_evals=240, checkpoint=path).nit > whole.nit
    with pytest.raises(ValueError, match="other population"):
        minimize_multi(
            fun, [(-4, 4)] * 2, 2, population=21, archive=15, seed=3, **how, checkpoint=path
        )


def test_parameters_by_name_are_the_coordinates_search_with_names():
    space = {"rate": pso.log(1e-3, 1.0), "layers": pso.integer(1, 5), "kind": ["a", "b"]}

    def costs(rate, layers, kind):
        return [rate, abs(layers - 3) + 1 - rate + (kind == "a")]

    def plain(x):
        return costs(min(max(math.exp(x[0]), 1e-3), 1.0), x[1], "ab"[int(x[2])])

    options = {"max_evals": 400, "seed": 3, "constraints": None}
    named = minimize_multi(costs, space=space, **options)
    box = [(math.log(1e-3), 0.0), (1, 5), (0, 1)]
    other = minimize_multi(plain, box, 2, integrality=[0, 1, 0], categorical=[0, 0, 1], **options)
    assert (
        np.array_equal(named.x, other.x)
        and np.array_equal(named.fun, other.fun)
        and other.params is None
    )
    assert [costs(**params) for params in named.params] == named.fun.tolist()
    with pytest.raises(ValueError, match="the space says it all"):
        minimize_multi(costs, box, space=space)
