"""The default search and its phases: against linear algebra, SciPy, pycma, a transcription, and as
an Optimizer.
"""

from __future__ import annotations

import math
import sys
import tracemalloc
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from swarm_runs import bowl

import pyswarmopt as pso
from pyswarmopt.algorithms.covariant import EigenFactors
from pyswarmopt.default.axes import AxisSearch, SeparabilityTest
from pyswarmopt.default.cma_es import CovarianceSwarm, Rates, SeparableSwarm
from pyswarmopt.default.continuous import DefaultSearch
from pyswarmopt.default.descent import LimitedMemory, QuasiNewton
from pyswarmopt.default.phases import BATCH, Run
from pyswarmopt.default.regression import RegressionDescent
from pyswarmopt.default.ring import RingRun
from pyswarmopt.parts.velocity import Snapshot

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks" / "bbob"))


def run(phase: Run, fun, most: int = 10**5) -> Run:
    """Until it is done, or has spent so many evaluations; `spent` says how many."""
    random, spent = np.random.default_rng(0), 0
    while not phase.done and spent < most:
        x = phase.batch = phase.propose(random)
        phase.learn(np.array([fun(row) for row in x]))
        spent += len(x)
    phase.spent = spent
    return phase


def spd(dim: int, condition: float, seed: int) -> np.ndarray:
    axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]
    return (axes * np.geomspace(1, condition, dim)) @ axes.T


# --- many coordinates ---


def pendulum(w):
    """Minus the mean height of a pendulum that a network of 151 weights is to swing up."""
    into = w[:90].reshape(30, 3)
    angle = speed = height = 0.0
    for _ in range(60):
        seen = np.array([np.sin(angle), np.cos(angle), speed / 4])
        torque = 6 * math.tanh(np.tanh(into @ seen + w[90:120]) @ w[120:150] + w[150])
        speed = min(max(speed + 0.05 * (torque - 15 * math.sin(angle)), -8.0), 8.0)
        angle += 0.05 * speed
        height -= math.cos(angle)
    return -height / 60


def test_a_policy_is_found_by_particles_and_a_plane_by_gradients():
    """With all weights small a policy does nothing, so slopes there say nothing."""
    box = [(-2, 2)] * 151
    assert pso.minimize(pendulum, box, max_evals=453, seed=0).fun < 0.3  # gradients first: 0.65
    assert pso.minimize(lambda x: float(x.sum()), box, max_evals=453, seed=0).fun == -302.0


def hovering(weights):
    """Mean squared distance of flights in a plane from a point; each network has 119 weights. With
    all of them 0 it hovers where it starts, with others it mostly falls.
    """
    into, bias, out, rest = np.split(weights, [78, 91, 117], axis=1)
    into, out = into.reshape(-1, 6, 13), out.reshape(-1, 13, 2)
    starts = [[2, 1, 0, 0, 0, 0], [-1, -2, 0.1, 0, 0, 0], [1, -1, -0.1, 0.2, 0, 0]]
    x, z, angle, vx, vz, turn = np.tile(np.transpose(starts)[:, None], (1, len(weights), 1))
    flying, cost = np.ones(x.shape, bool), np.zeros(len(weights))
    for _ in range(50):
        seen = np.stack([x, z, angle, vx, vz, turn], axis=-1)
        lift, torque = np.moveaxis(
            np.tanh(np.tanh(seen @ into + bias[:, None]) @ out + rest[:, None]), -1, 0
        )
        vx = vx - 0.08 * (9.8 + 8 * lift) * np.sin(angle)
        vz = vz + 0.08 * ((9.8 + 8 * lift) * np.cos(angle) - 9.8)
        turn = turn + torque
        x, z, angle = x + 0.08 * vx, z + 0.08 * vz, angle + 0.08 * turn
        flying &= (np.abs(angle) < 1.5) & (np.hypot(x, z) < 6)
        cost += np.where(flying, x * x + z * z, 36.0).mean(axis=1)
    return cost / 50


def test_where_doing_nothing_is_best_nearby_the_swarm_comes_before_gradients():
    box = [(-2, 2)] * 119
    r = pso.minimize(hovering, box, max_evals=5 * 119, seed=0, vectorized=True)
    assert hovering(np.zeros((1, 119)))[0] > 4
    assert r.fun < 2  # gradients first: 4.0


@pytest.mark.parametrize(
    ("fun", "flattens"),
    [
        (lambda x: x @ x, False),
        (lambda x: np.abs(x).sum(), False),  # convex, but its slopes do not grow
        (lambda x: np.log(np.cosh(3 * x)).sum(), False),
        (lambda x: 1 - np.exp(-x @ x), True),
        (lambda x: min(x @ x, 1.0), True),
    ],
)
def test_costs_that_flatten_outwards_are_told_from_convex_ones(fun, flattens):
    ring = run(RingRun(np.full(120, 0.5)), lambda x: fun(x - 0.5))
    assert (ring.flattens, ring.spent) == (flattens, 17)


# --- the descent ---


@pytest.mark.parametrize("dim", [1, 2, 10])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_descent_solves_an_ill_conditioned_quadratic(dim, offset):
    a, best = spd(dim, 1e6, seed=dim), np.random.default_rng(dim).uniform(0.2, 0.8, dim)
    phase = run(QuasiNewton(np.full(dim, 0.5)), lambda x: offset + (x - best) @ a @ (x - best))
    assert phase.cost - offset < 1e-9
    # x is known as well as the rounding of the cost lets it be
    np.testing.assert_allclose(phase.x, best, atol=1e-7 if offset == 0 else 1e-5)
    assert phase.spent < 60 * dim


@pytest.mark.parametrize(
    ("descent", "batch"), [(QuasiNewton, 1), (LimitedMemory, 10**6), (LimitedMemory, 7)]
)
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), dim=st.integers(1, 6))
def test_at_the_walls_the_descent_ends_where_scipy_ends(monkeypatch, descent, batch, seed, dim):
    monkeypatch.setattr("pyswarmopt.default.phases.BATCH", batch)
    a, best = spd(dim, 10.0, seed), np.random.default_rng(seed).uniform(-1, 2, dim)  # often outside

    def fun(x):
        return (x - best) @ a @ (x - best)

    ours, start = run(descent(np.full(dim, 0.5)), fun), np.full(dim, 0.5)
    theirs = optimize.minimize(fun, start, bounds=[(0, 1)] * dim, method="L-BFGS-B", tol=1e-14)
    assert ours.cost <= theirs.fun + 1e-6 * max(1.0, theirs.fun)


# --- noise ---


@pytest.mark.parametrize("dim", [2, 40])
def test_noise_that_nobody_declared_is_borne_and_told(dim):
    noise = np.random.default_rng(3)
    r = pso.minimize(
        lambda x: bowl(x) + noise.normal(), [(-5, 5)] * dim, max_evals=12 * dim + 40, seed=0
    )
    assert bowl(r.x) < dim and r.message.endswith("pass noisy=True")


# --- calls that fail at random, as of a crashing solver ---


def failing(fun, share: float, seed: int):
    random = np.random.default_rng(seed)
    return lambda x: math.nan if random.random() < share else fun(x)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(2))
def test_where_calls_fail_at_random_the_others_suffice(share, seed):
    """Differences of five coordinates had nearly always one that failed: the excess was 20 to
    30,000.
    """
    a = spd(5, 1e4, seed)

    def fun(x):
        return float((x - 1) @ a @ (x - 1))

    found = pso.minimize(failing(fun, share, seed), [(-5, 5)] * 5, max_evals=300, seed=seed)
    assert found.fun < 1e-6


def test_a_search_whose_points_fail_goes_on_from_its_state():
    fun = failing(bowl, 0.3, seed=1)
    search = DefaultSearch([(-5, 5)] * 3, seed=1)
    regressed = False
    while search.evaluations < 200:
        again = DefaultSearch([(-5, 5)] * 3)
        again.load_state_dict(search.state_dict())
        x = search.ask()
        assert np.array_equal(again.ask(), x)
        search.tell(x, [fun(row) for row in x])
        regressed |= isinstance(search.phases["descent"].run, RegressionDescent)
    assert regressed


# --- separability and axes ---


def rastrigin(z):
    return float((10 + z * z - 10 * np.cos(2 * math.pi * z)).sum())


def rotated(fun, dim: int):
    axes = np.linalg.qr(np.random.default_rng(5).standard_normal((dim, dim)))[0]
    return lambda x: fun(axes @ x)


@pytest.mark.parametrize("dim", [2, 10])
@pytest.mark.parametrize(
    ("name", "separable"),
    [("sphere", True), ("rastrigin", True), ("rotated", False), ("rosenbrock", False)],
)
def test_separable_functions_are_told_from_others(dim, name, separable):
    fun = {
        "sphere": lambda x: 1e3 + float(x @ x),
        "rastrigin": lambda x: rastrigin(5 * x),
        "rotated": rotated(lambda x: rastrigin(5 * x), dim),
        "rosenbrock": lambda x: float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()),
    }[name]
    x = np.random.default_rng(dim).random(dim)
    assert run(SeparabilityTest(x, fun(x)), fun).separable is separable


def lorries(x):
    """Smooth, and whole lorries: it jumps."""
    return float(100 + (9 / x).sum() + x @ x / 50 + 20 * np.ceil(x.sum() / 12) / x.mean())


def test_an_error_next_to_the_differences_lets_nothing_pass_as_separable():
    x = np.full(4, 0.5)
    product = rotated(lambda z: float(z @ z * 9 + z[0] * z[1]), 4)
    assert not run(SeparabilityTest(x, product(x), error=100.0), product).separable
    plain = run(SeparabilityTest(x, x @ x, error=1e-5), lambda z: float(z @ z))
    assert plain.separable


def test_stairs_whose_costs_add_up_exactly_are_separable_although_they_jump():
    def stairs(x):
        return float(np.floor(40 * np.abs(x - 0.2)).sum())

    x = np.full(6, 0.7)
    assert run(SeparabilityTest(x, stairs(x), error=10.0), stairs).separable


def test_a_jump_does_not_lock_the_search_into_the_axes():
    """It had 72% of 800 calls there and ended at 115.665; `covariant` finds 115.547.

    Machines differ after some 300 calls; seeds 0 to 4 end between 115.564 and 115.618.
    """
    search = DefaultSearch([(1, 10)] * 4, seed=2, max_evals=500)
    while search.evaluations < 500:
        x = search.ask()
        search.tell(x, [lorries(each) for each in x])
    assert search.axes.spent < 100
    assert search.best.value < 115.64


def test_axes_whose_gains_do_not_add_up_are_noticed():
    def valley(x):
        return float(100 * (x[0] - x[1]) ** 2 + (x[0] - 0.9) ** 2)

    x = np.array([0.2, 0.6])
    assert run(AxisSearch(x.copy(), valley(x)), valley, most=60).missed
    assert not run(AxisSearch(x.copy(), bowl(x)), bowl, most=60).missed


def test_axes_without_gains_share_their_turn_with_the_swarm():
    """They had all of the next 400 points on each axis."""
    search = DefaultSearch([(-1, 1)] * 3, seed=0, max_evals=900)
    while search.evaluations < 900:
        x = search.ask()
        search.tell(x, ((x - 0.3) ** 2).sum(axis=1))
    assert search.test.separable
    assert search.swarm.spent > 200


def test_a_pause_between_two_gains_does_not_take_half_of_the_axes_calls():
    """On Rastrigin's function they find the next trough after some tens of points: 290 to 330 calls
    to the minimum, which were 471 to 581 when the swarm shared after ten points an axis.
    """

    def to_the_minimum(seed):
        lowest = np.random.default_rng(seed).uniform(-2, 2, 5)
        search = DefaultSearch([(-5, 5)] * 5, seed=seed, max_evals=2000)
        while search.best.value > 1e-6 and search.evaluations < 700:
            x = search.ask()
            search.tell(x, pso.functions.rastrigin(x - lowest))
        return search.evaluations

    assert np.median([to_the_minimum(seed) for seed in (2, 3, 5, 6)]) < 400


# --- the covariance ---


@pytest.mark.parametrize(("dim", "population"), [(2, 6), (10, 10), (20, 100)])
def test_weights_are_those_of_pycma(dim, population):
    weights = pytest.importorskip("cma.recombination_weights")
    r = Rates(dim, population)
    theirs = weights.RecombinationWeights(population)
    theirs.finalize_negative_weights(dim, r.c_1, r.c_mu)
    np.testing.assert_allclose(r.weights[: r.mu], np.asarray(theirs)[: r.mu], rtol=1e-12)
    np.testing.assert_allclose(r.weights.sum(), np.asarray(theirs).sum(), rtol=1e-9)
    assert math.isclose(r.mu_eff, theirs.mueff) and r.mu == theirs.mu


def literal_generations(mean, sigma, points, values, r):
    """Hansen 2016, figure 6, one number at a time where that says more."""
    n, c = len(mean), np.eye(len(mean))
    p_s, p_c = np.zeros(n), np.zeros(n)
    for g, (batch, costs) in enumerate(zip(points, values, strict=True), start=1):
        y = [
            (x - mean) / sigma
            for _, x in sorted(zip(costs, batch, strict=True), key=lambda pair: pair[0])
        ]
        y_w = sum(w * y_i for w, y_i in zip(r.weights[: r.mu], y, strict=False))
        mean = mean + sigma * y_w
        values_c, b = np.linalg.eigh(c)
        inverse_root = b @ np.diag(1 / np.sqrt(values_c)) @ b.T
        p_s = (1 - r.c_sigma) * p_s + np.sqrt(
            r.c_sigma * (2 - r.c_sigma) * r.mu_eff
        ) * inverse_root @ y_w
        norm = np.sqrt(np.sum(p_s**2))
        limit = (1.4 + 2 / (n + 1)) * r.expected_norm
        h = float(norm / np.sqrt(1 - (1 - r.c_sigma) ** (2 * g)) < limit)
        p_c = (1 - r.c_c) * p_c + h * np.sqrt(r.c_c * (2 - r.c_c) * r.mu_eff) * y_w
        rank_mu = np.zeros((n, n))
        for w, y_i in zip(r.weights, y, strict=True):
            if w < 0:
                w = w * n / np.sum((inverse_root @ y_i) ** 2)
            rank_mu += w * np.outer(y_i, y_i)
        delta = (1 - h) * r.c_c * (2 - r.c_c)
        keep = 1 + r.c_1 * delta - r.c_1 - r.c_mu * sum(r.weights)
        c = keep * c + r.c_1 * np.outer(p_c, p_c) + r.c_mu * rank_mu
        sigma = sigma * np.exp(r.c_sigma / r.d_sigma * (norm / r.expected_norm - 1))
    return mean, sigma, c


def test_generations_are_those_of_the_tutorial():
    dim, random = 3, np.random.default_rng(2)
    swarm = CovarianceSwarm(np.full(dim, 0.5), 0.02, population=8)
    points, values = [], []
    for _ in range(6):
        swarm.batch = swarm.propose(random)
        points.append(swarm.batch)
        values.append((swarm.batch - 0.45) ** 2 @ [1, 9, 90])
        swarm.decomposed = -99  # so C is decomposed at every generation, as there
        swarm.learn(values[-1])
    mean, sigma, c = literal_generations(np.full(dim, 0.5), 0.02, points, values, Rates(dim, 8))
    np.testing.assert_allclose(swarm.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(swarm.covariance, c, rtol=1e-7, atol=1e-9)
    assert math.isclose(swarm.sigma, sigma, rel_tol=1e-9)


# --- the shares of the phases ---


@pytest.mark.parametrize(("leader", "share"), [("swarm", 1 / 8), ("descent", 1 / 2)])
def test_later_descents_have_a_share_of_what_the_swarm_has_had_since_it_began(leader, share):
    search, fun = DefaultSearch([(-5, 5)] * 3, seed=0), rotated(rastrigin, 3)
    spent, begun = {"swarm": 0, "descent": 0}, False
    while search.evaluations < 2500:
        x, turn = search.ask(), search.turn
        begun |= turn == "swarm"
        spent[turn] = spent.get(turn, 0) + len(x) * begun
        ahead = 1e4 * (turn == leader)
        search.tell(x, [fun(row) - ahead for row in x])
    assert spent["descent"] / spent["swarm"] == pytest.approx(share, rel=0.1)


def test_a_long_search_mutates_its_best_point_for_an_eighth_of_the_swarm_s_evaluations():
    search, fun = DefaultSearch([(-5, 5)] * 2, seed=0), rotated(rastrigin, 2)
    spent, first = {"swarm": 0, "mutations": 0}, 0
    while search.evaluations < 6000:
        x, turn = search.ask(), search.turn
        if turn == "mutations":
            first = first or search.evaluations
        spent[turn] = spent.get(turn, 0) + len(x)
        search.tell(x, [fun(row) for row in x])
    assert 4000 < first < 4100  # 2,000 per coordinate
    assert spent["mutations"] / spent["swarm"] == pytest.approx(1 / 8, rel=0.05)

    again = DefaultSearch([(-5, 5)] * 2)
    again.load_state_dict(search.state_dict())
    for _ in range(20):
        x, same = search.ask(), again.ask()
        assert np.array_equal(x, same)
        for one in (search, again):
            one.tell(x, [fun(row) for row in x])


# --- what minimize makes of it ---


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "default"),
        ({"x0": [0.0, 0.0]}, "default"),
        ({"population": 12}, "default"),
        ({"noisy": True}, "default"),
        ({"asynchronous": True}, "default"),
        ({"population": 12, "noisy": True}, "default"),
        ({"integrality": [True, False]}, "default"),
        ({"integrality": [True, False], "population": 12}, "default"),
        ({"categorical": [True, False]}, "default"),
        ({"integrality": [True, False], "noisy": True}, "default"),
        ({"integrality": [True, False], "asynchronous": True}, "default"),
        ({"constraints": lambda x: 1 - x.sum(), "asynchronous": True}, "default"),
        ({"constraints": lambda x: 1 - x.sum()}, "default"),
        ({"recipe": "clpso"}, "clpso"),
    ],
)
def test_the_default_suits_the_problem_and_the_result_names_it(options, name):
    r = pso.minimize(bowl, [(-5, 5)] * 2, max_evals=150, seed=0, **options)
    assert r.algorithm == name and r.nfev <= 150 and r.fun < 0.6


def test_many_coordinates_need_no_matrices():
    """Everything that a search of 3000 coordinates holds: some batches and vectors. A matrix has 72
    MB.
    """
    search = pso.DefaultSearch([(-5, 5)] * 3000, seed=0, max_evals=10**6)
    tracemalloc.start()
    for _ in range(60):
        x = search.ask()
        search.tell(x, (x**2).sum(-1) + x[:, 0] * x[:, 1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6 and x.size <= BATCH + 3000


@pytest.mark.parametrize("batch", [10**6, 70])
def test_axes_of_many_coordinates_know_the_cost_of_their_point(batch, monkeypatch):
    """By gains alone the tally of 100 axes was off by its own size after ten rounds."""
    monkeypatch.setattr("pyswarmopt.default.phases.BATCH", batch * 100)
    best = np.random.default_rng(2).uniform(0.1, 0.9, 100)

    def fun(x):
        return rastrigin(10 * (x - best)) + 7

    x = np.random.default_rng(1).random(100)
    phase = run(AxisSearch(x, fun(x)), fun, most=6500)
    assert abs(phase.cost - 7) < 1e-6 and abs(phase.cost - fun(phase.x)) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_axes_whose_ends_fail_are_searched_between_them(seed):
    """The end of an axis was asked for again and again, and the search ended after 40 calls."""

    def fun(x):
        return math.nan if np.abs(x).max() > 4.9 else pso.functions.rastrigin(x)

    found = pso.minimize(fun, [(-5.12, 5.12)] * 2, max_evals=400, seed=seed)
    assert found.fun < 1e-6 and found.nfev == 400


def test_variances_are_learnt_as_the_paper_of_sep_cma_says():
    """Ros & Hansen 2008: the diagonal of figure 6's covariance, rates times (D + 2) / 3, positive
    weights only.
    """
    dim, random = 3, np.random.default_rng(2)
    swarm, r = SeparableSwarm(np.full(dim, 0.5), 0.02, population=8), Rates(dim, 8)
    x = swarm.batch = swarm.propose(random)
    values = np.array([1, 9, 90]) @ (x.T - 0.45) ** 2
    y = ((x - 0.5) / 0.02)[np.argsort(values)][: r.mu]
    swarm.learn(values)
    c_1, c_mu = (min(1, rate * (dim + 2) / 3) for rate in (r.c_1, r.c_mu))
    path = math.sqrt(r.c_c * (2 - r.c_c) * r.mu_eff) * (r.weights[: r.mu] @ y)
    kept, spread = 1 - c_1 - c_mu, [r.weights[: r.mu] @ column**2 for column in y.T]
    expected = [kept + c_1 * p**2 + c_mu * part for p, part in zip(path, spread, strict=True)]
    np.testing.assert_allclose(swarm.covariance, expected, rtol=1e-9)


# --- the pure swarm ---


def test_eigen_factors_are_what_they_say():
    random = np.random.default_rng(3)
    x, v, p = random.standard_normal((3, 5, 3))
    same = deepcopy(random)
    g, factors = p[:1], same.random((2, 5, 3))
    axes = np.linalg.eigh(np.cov(p.T)).eigenvectors
    expected = (0.7 - 0.3 / 3) * v
    for i in range(5):
        for k in range(3):
            u = axes[:, k]
            expected[i] += 1.4 * factors[0, i, k] * ((p[i] - x[i]) @ u) * u
            expected[i] += 1.6 * factors[1, i, k] * ((g[0] - x[i]) @ u) * u
    s = Snapshot(x, v, p, g, p[:1])
    rule = EigenFactors(0.7, 1.4, 1.6, damping=0.3)
    np.testing.assert_allclose(rule(s, 0, random), expected, rtol=1e-9, atol=1e-12)
    assert random.random() == same.random()  # two numbers for each coordinate, and no more


# --- the regression gate ---

AREAS = {None: 0.288, "covariant": 0.125}  # as measured when they were chosen


@pytest.mark.parametrize("recipe", AREAS)
def test_a_short_run_is_as_good_as_it_was(recipe):
    """5-D, 200 x D evaluations on the rotated functions of benchmarks/bbob/bbob.py."""
    from bbob import run as measure
    from bbob_problems import control
    from bbob_report import area
    from bbob_solvers import ours

    def solver(fun, dim, budget, seed):
        ours(fun, dim, budget, seed, recipe)

    found = area([measure(solver, problem, 1000) for problem in control(5, [1])])
    assert found > 0.93 * AREAS[recipe]  # another BLAS rounds otherwise, and runs part from there


# --- the basin beside the best point ---


def ackley_beside_its_centre(x):
    """On a box without its centre: at each point with coordinates near -3, -4, ... is a minimum, at
    -2.98 in all of them the least.
    """
    waves = math.exp(np.mean(np.cos(2 * np.pi * x)))
    return float(-20 * math.exp(-0.2 * math.sqrt(np.mean(x**2))) - waves + 20 + math.e)


def test_a_basin_one_step_along_an_axis_away_is_found():
    """By symmetry the optimum is on the diagonal, where SciPy finds it; SciPy's differential evolution
    finds it as often.
    """
    on_diagonal = optimize.minimize_scalar(
        lambda t: ackley_beside_its_centre(np.full(5, t)), bounds=(-3.2, -2.8), method="bounded"
    )
    found = 0  # by which seeds, depends on the machine
    for seed in range(10):
        r = pso.minimize(ackley_beside_its_centre, [(-10, -2.5)] * 5, max_evals=2000, seed=seed)
        assert r.fun > on_diagonal.fun - 1e-9
        found += r.fun < 1.01 * on_diagonal.fun
    assert found >= 4
