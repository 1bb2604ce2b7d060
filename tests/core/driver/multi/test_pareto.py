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
from swarm_runs import Fails

from pyswarmopt.driver.multi.front import minimize_multi
from pyswarmopt.driver.multi.pareto import crowding_distance, hypervolume, non_dominated
from pyswarmopt.driver.multi.smpso import FrontSwarm

small = st.integers(1, 3).flatmap(
    lambda m: arrays(np.int64, st.tuples(st.integers(1, 7), st.just(m)), elements=st.integers(0, 5))
)


@settings(max_examples=100)
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


def test_polynomial_mutation_has_its_rate_and_its_distribution():
    """Deb & Agrawal 1995: of a step d in [-1, 1], in widths of the box, the distribution function is
    (1 + d)^(eta + 1) / 2 up to 0 and 1 - (1 - d)^(eta + 1) / 2 from there on.
    """
    n, dim = 60_000, 4
    search = FrontSwarm([(0, 8)] * dim, 1, 2, population=n)
    swarm = search.phases["swarm"].begin()
    swarm.x = np.full((n, dim), 0.5)
    swarm._mutate(np.random.default_rng(5))
    steps = swarm.x - 0.5
    moved = steps[steps != 0]
    # a particle mutates with 0.15, and each of its coordinates with 1 / D
    assert len(moved) / steps.size == pytest.approx(0.15 / dim, rel=0.05)
    assert (steps != 0).any(1).mean() == pytest.approx(0.15 * (1 - 0.75**dim), rel=0.05)
    below = (-0.12, -0.05, -0.01)
    for d, expected in [
        *((d, (1 + d) ** 21 / 2) for d in below),
        (0.0, 0.5),
        *((-d, 1 - (1 + d) ** 21 / 2) for d in below),
    ]:
        assert (moved <= d).mean() == pytest.approx(expected, abs=0.02)


def test_a_move_is_that_of_the_equations():
    """Nebro et al. 2009, equations 1 to 6, particle by particle and coordinate by coordinate, from
    the same draws; no mutation.
    """
    rng = np.random.default_rng(3)
    search = FrontSwarm([(0, 4), (-2, 2), (1, 2)], 1, 2, population=5)
    swarm = search.phases["swarm"].begin()
    x, v, p = rng.random((3, 5, 3))
    v -= 0.5
    swarm.x, swarm.v, swarm.p, swarm.p_values = x, v, p, np.zeros((5, 2))
    search.archive.points, search.progress.rounds = rng.random((3, 3)), 1
    # in the middle of the front is the most crowded one
    search.archive.values = np.array([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]])
    crowd = [math.inf, 2.0, math.inf]
    swarm._mutate = lambda random: None
    draws = np.random.default_rng(11)
    c = draws.uniform(1.5, 2.5, (2, 5, 1))
    r = draws.random((2, 5, 1))
    pairs = draws.integers(0, 3, (5, 2))
    found = swarm.propose(np.random.default_rng(11))
    for i in range(5):
        one, other = pairs[i]
        leader = search.archive.points[one if crowd[one] >= crowd[other] else other]
        c1, c2, r1, r2 = c[0, i, 0], c[1, i, 0], r[0, i, 0], r[1, i, 0]
        phi = c1 + c2
        chi = 2 / abs(2 - phi - math.sqrt(phi**2 - 4 * phi)) if phi > 4 else 1.0
        for j in range(3):
            speed = 0.1 * v[i, j] + c1 * r1 * (p[i, j] - x[i, j]) + c2 * r2 * (leader[j] - x[i, j])
            speed = min(max(chi * speed, -0.5), 0.5)
            to = x[i, j] + speed
            inside = min(max(to, 0.0), 1.0)
            assert found[i, j] == pytest.approx(inside, abs=1e-12)
            assert swarm.v[i, j] == pytest.approx(speed if inside == to else -speed, abs=1e-12)


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

    r = minimize_multi(fun, [(0, 1)] * 6, 2, population=50, max_evals=5000, seed=seed)
    assert r.nfev == len(calls) <= 5000 and len(r.x) > 100 and r.success
    assert 0.98 * area < hypervolume(r.fun, [1.1, 1.1]) < area
    assert np.array_equal(r.fun, [problem(x) for x in r.x]) and non_dominated(r.fun).all()
    assert (np.diff(r.fun[:, 0]) > 0).all()
    # evenly spread: no gap in f1 much wider than the mean one
    assert np.diff(r.fun[:, 0]).max() < 0.15


def test_constraints_integers_and_failures():
    def fun(x):
        return (math.nan, math.nan) if x[0] == 3 else (x[0], (x[0] - 6) ** 2)

    seen = []
    r = minimize_multi(
        lambda x: seen.append(x[0]) or fun(x), [(0, 9)], 2, population=20, max_evals=600, seed=0,
        integrality=True, constraints=lambda x: 1.5 - x[0],
    )  # fmt: skip
    assert min(seen) == 2 and r.x[:, 0].tolist() == [2.0, 4.0, 5.0, 6.0] and r.maxcv == 0
    assert "violation" in r.history.to_pandas()
    nothing = minimize_multi(
        fun, [(0, 9)], 2, population=20, max_evals=300, seed=0, constraints=lambda x: x[0] + 1
    )
    assert not nothing.success and "no feasible" in nothing.message and nothing.nfev == 0
    assert nothing.x[0, 0] < 0.1 and nothing.maxcv == nothing.x[0, 0] + 1
    broken = minimize_multi(
        lambda x: (math.nan, 0.0), [(0, 9)], 2, population=20, max_evals=100, seed=0
    )
    assert not broken.success and "no finite value" in broken.message and len(broken.x) == 0


@pytest.mark.parametrize("at", [3, 20, 45])
@pytest.mark.parametrize(
    "how",
    [
        {"bounds": [(-4, 4)] * 2},
        {"bounds": [(-4, 4)] * 2, "constraints": lambda x: x[0] - 1, "integrality": [True, False]},
        {"bounds": [(-4, 4)] * 21},  # without models
    ],
)
def test_a_killed_search_goes_on_to_the_bit(tmp_path, at, how):
    def costs(x):
        return x[0] ** 2 + x[1], (x[0] - 2) ** 2 + x[1] ** 2

    def search(fun, max_evals=70, population=15, **more):
        options = {"population": population, "max_evals": max_evals, "seed": 3}
        return minimize_multi(fun, **options, **how, **more)

    path = tmp_path / "c.npz"
    with pytest.raises(InterruptedError):
        search(Fails(costs, at - 1, InterruptedError), checkpoint=path)
    resumed, whole = search(costs, checkpoint=path), search(costs)
    assert np.array_equal(resumed.x, whole.x) and np.array_equal(resumed.fun, whole.fun)
    assert (resumed.nfev, resumed.nit, resumed.message) == (whole.nfev, whole.nit, whole.message)
    assert search(costs, checkpoint=path).nfev == whole.nfev  # finished: no further call counts
    assert search(costs, max_evals=90, checkpoint=path).nit > whole.nit
    with pytest.raises(ValueError, match="population="):
        search(costs, population=21, checkpoint=path)


@given(
    st.integers(1, 4).flatmap(
        lambda m: arrays(
            np.float64, st.tuples(st.integers(0, 9), st.just(m)),
            elements=st.sampled_from([0.0, -0.0, 1.0, 2.0, math.inf, -math.inf, math.nan]),
        )
    )
)  # fmt: skip
def test_infinities_count_and_points_with_nan_do_not(values):
    known = [x for x in values if not np.isnan(x).any()]
    expected = [
        not np.isnan(x).any() and not any((y <= x).all() and (y < x).any() for y in known)
        for x in values
    ]
    assert non_dominated(values).tolist() == expected
