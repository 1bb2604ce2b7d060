"""The default with constraints: quadratic programs against SciPy and brute force, results against
known optima.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from constrained_problems import PROBLEMS
from scipy.optimize import LinearConstraint, linprog

import pyswarmopt as pso
from pyswarmopt.default.box import Kinds
from pyswarmopt.default.constrained import ConstrainedSearch
from pyswarmopt.default.constrained_descent import quadratic_program
from pyswarmopt.driver.problem.constraints import ranked


@pytest.mark.parametrize("room", [1.0, -1.0], ids=["some room", "none"])
@pytest.mark.parametrize("seed", range(3))
def test_a_quadratic_program_of_many_rows_meets_the_conditions_of_its_optimum(seed, room):
    """It is convex, so these suffice: no slope, no multiplier inside a row's limit, and the whole
    weight beyond it, also where limits contradict each other.
    """
    random = np.random.default_rng(seed)
    root, gradient = random.normal(size=(4, 4)), random.normal(size=4)
    hessian = root @ root.T + np.eye(4)
    rows, weights = random.normal(size=(400, 4)), 1 + random.random(400)
    limits = room * random.random(400)
    d, multipliers = quadratic_program(hessian, gradient, rows, limits, weights)
    beyond = rows @ d - limits
    assert np.abs(gradient + hessian @ d + rows.T @ multipliers).max() < 1e-6
    assert multipliers[beyond < -1e-6] == pytest.approx(0, abs=1e-5)
    assert multipliers[beyond > 1e-6] == pytest.approx(weights[beyond > 1e-6], abs=1e-5)
    assert (beyond > 1e-6).any() == (room < 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("dim", "count"), [(5, 10), (10, 20), (24, 48)])
def test_a_linear_program_is_solved_in_five_calls_a_coordinate(dim, count, seed):
    """With twice as many constraints as coordinates it was missed with 25 of them."""
    random = np.random.default_rng(200 + seed)
    a, b, c = random.normal(size=(count, dim)), 1 + random.random(count), random.normal(size=dim)
    best = linprog(c, A_ub=a, b_ub=b, bounds=[(-4, 4)] * dim).fun
    r = pso.minimize(
        lambda x: float(c @ x), [(-4, 4)] * dim, constraints=lambda x: a @ x - b,
        max_evals=5 * dim, seed=seed,
    )  # fmt: skip
    assert (a @ r.x <= b).all()
    assert r.fun == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("folded", [True, False])
def test_limits_folded_by_max_change_the_method_and_the_message_says_so(folded):
    """The share of the linear program's optimum was -.005 to .011."""
    random = np.random.default_rng(1)
    a, b, c = random.normal(size=(20, 10)), 1 + random.random(20), random.normal(size=10)
    best = linprog(c, A_ub=a, b_ub=b, bounds=[(-4, 4)] * 10).fun

    def limits(x):
        return float((a @ x - b).max()) if folded else a @ x - b

    r = pso.minimize(
        lambda x: float(c @ x), [(-4, 4)] * 10, constraints=limits, max_evals=250, seed=0
    )
    assert ("has kinks" in r.message) == folded
    assert r.feasible and r.fun < (0.1 if folded else 0.999) * best


@pytest.mark.parametrize("low", [-10, 0])
def test_slopes_that_vanish_without_a_jump_are_no_kinks(low):
    """Where they are next to nothing, they turn round within a short step."""
    r = pso.minimize(
        lambda x: float(x @ x), [(low, 10 if low else 3)] * 2,
        constraints=lambda x: float(x @ x) - 2, max_evals=150, seed=0,
    )  # fmt: skip
    assert "kinks" not in r.message


def test_a_descent_slightly_outside_the_limits_goes_on():
    """A store with losses; it ended at -19.17."""
    r = pso.minimize(
        lambda x: (2 + np.sin(1.9 * np.arange(24))) @ x + 0.1 * np.abs(np.diff(x)).sum(), [(-2, 2)] * 24,
        max_evals=600, seed=5,
        constraints=lambda x: -3 - np.cumsum(np.minimum(0.9 * x, x / 0.9)),
    )  # fmt: skip
    assert r.fun < -19.3


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_with_known_optima_are_solved(name):
    problem = PROBLEMS[name]
    r = pso.minimize(
        problem.fun, problem.bounds, seed=1, max_evals=6000,
        target=problem.best + 1e-6 * abs(problem.best),
        constraints=[problem.below,
                     {"type": "eq",
                      "fun": problem.zero}] if problem.zero(np.ones(4)) else problem.below,
                      integrality=[i in problem.integers for i in range(len(problem.bounds))],
    )  # fmt: skip
    assert r.success and (problem.rules(r.x) <= 0).all()
    assert r.fun >= problem.best - 1e-6 * abs(problem.best)


def wavy(x):
    """g08 of CEC 2006, at best -0.095825 (Liang et al. 2006)."""
    return (
        -(math.sin(2 * math.pi * x[0]) ** 3) * math.sin(2 * math.pi * x[1]) / (x[0] ** 3 * x.sum())
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_another_basin_is_found_where_the_first_descent_gains_next_to_nothing(seed):
    """It had all of 200 calls, and ended at -4e-10."""
    r = pso.minimize(
        wavy, [(0.01, 10)] * 2, seed=seed, max_evals=200, target=-0.09,
        constraints=lambda x: [x[0] ** 2 - x[1] + 1, 1 - x[0] + (x[1] - 4) ** 2],
    )  # fmt: skip
    assert r.fun <= -0.09


def beam(x):
    """Width and height are whole: of all that carry the load b h is least at 10 x 274."""
    return 7.8e-3 * x[0] * x[1] + 0.01 * x[2]


def too_much_stress(x):
    return 6e5 * x[2] / (x[0] * x[1] ** 2) - 80


@pytest.mark.parametrize("seed", range(2))
def test_whole_numbers_that_must_change_together_are_found(seed):
    b, h = np.mgrid[10:201, 10:301].reshape(2, -1)
    x = np.array([b, h, np.full(b.shape, 100.0)])
    best = beam(x)[too_much_stress(x) <= 0].min()
    r = pso.minimize(
        beam, [(10, 200), (10, 300), (100, 500)], constraints=too_much_stress,
        integrality=[True, True, False], max_evals=1500, seed=seed, target=best * (1 + 1e-10),
    )  # fmt: skip
    assert r.fun == pytest.approx(best, rel=1e-9) and too_much_stress(r.x) <= 0


@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("seed", range(2))
def test_where_calls_fail_at_random_the_best_feasible_point_is_found(share, seed):
    """The excess was 2 to 4."""
    random = np.random.default_rng(seed)

    def fun(x):
        return math.nan if random.random() < share else pso.functions.rosenbrock(x)

    limits = {"constraints": lambda x: x.sum() - 1, "max_evals": 300, "seed": seed}
    found = pso.minimize(fun, [(-5, 5)] * 5, **limits)
    whole = pso.minimize(pso.functions.rosenbrock, [(-5, 5)] * 5, **limits)
    assert found.fun == pytest.approx(whole.fun, abs=1e-3)


def test_keep_feasible_keeps_from_errors_where_a_constraint_is_broken():
    def fun(x):
        return math.sqrt(x[0] - 1)

    with pytest.raises(ValueError, match=r"math domain|expected a nonnegative"):
        pso.minimize(fun, [(0, 3)], constraints=lambda x: 1.9 - x[0], max_evals=500, seed=0)
    strict = {"type": "ineq", "fun": lambda x: x[0] - 1.9, "keep_feasible": True}
    r = pso.minimize(fun, [(0, 3)], constraints=strict, max_evals=500, seed=1)
    assert r.fun == pytest.approx(math.sqrt(0.9))


@pytest.mark.parametrize("size", [1.0, 1e-300, 1e301, 1.7e308])
def test_a_swarm_prefers_what_breaks_nothing_whatever_the_size_of_costs(size):
    """Costs fall where the constraint is broken: the swarm must come back, and go on to the best
    feasible point.
    """
    search = ConstrainedSearch([(-5, 5)] * 2, seed=0, kinds=Kinds.real(2, smooth=False))
    while search.evaluations < 1500:
        x = search.ask()
        costs = size * (x[:, 0] / 10 + 0.02 * np.abs(x[:, 1] - 1))
        rows = np.column_stack([costs, -x[:, 0]])
        search.tell(x, ranked(costs, np.maximum(-x[:, 0], 0)), rows=rows)
    assert search.best.x == pytest.approx([0.0, 1.0], abs=1e-2)


def test_where_nothing_is_feasible_the_last_tenth_begins_anew_at_the_best_point():
    search = ConstrainedSearch([(-5, 5)] * 2, seed=2, max_evals=200)
    while search.evaluations < 180:
        x = search.ask()
        violations = 1 + 0.1 * np.abs(np.sin(2 * x)).sum(axis=1) + 0.01 * (x**2).sum(axis=1)
        rows = np.column_stack([x.sum(axis=1), violations])
        search.tell(x, ranked(x.sum(axis=1), violations), rows=rows)
    assert (search.ask() == search.best.x).all(axis=1).any()


# --- whole numbers alone, every combination tried ---

TARGETS, SPREADS = np.array([50.0, 120.0, 70.0]), np.array([1.0, 4.0, 9.0])


def three_that_sum_to_300():
    def fun(x):
        return float(((x - TARGETS) ** 2 / SPREADS).sum())

    whole = ((a, b, 300 - a - b) for a in range(301) for b in range(301 - a))
    best = min(fun(np.array(x)) for x in whole)
    return fun, [(0, 300)] * 3, LinearConstraint([[1, 1, 1]], 300, 300), best


def twelve_to_take_or_leave():
    random = np.random.default_rng(3)
    worth, weight = random.integers(5, 40, 12), random.integers(5, 30, 12)
    whole = np.array(list(itertools.product([0, 1], repeat=12)))
    most = 0.45 * weight.sum()
    best = -(whole @ worth)[whole @ weight <= most].max()
    return lambda x: -float(x @ worth), [(0, 1)] * 12, lambda x: x @ weight - most, best


@pytest.mark.parametrize(
    ("problem", "calls"),
    [(three_that_sum_to_300, 300), (twelve_to_take_or_leave, 1000)],
)
def test_the_best_of_all_whole_numbers_is_found(problem, calls):
    fun, bounds, constraint, best = problem()
    target = best + 1e-12 * abs(best)  # no call after the best
    for seed in range(2):
        options = {"integrality": True, "constraints": constraint, "max_evals": calls}
        options["target"] = target
        r = pso.minimize(fun, bounds, seed=seed, **options)
        assert r.fun == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("n", [40, 100])
@pytest.mark.parametrize("turned", [False, True])
def test_at_most_k_of_n_is_met_within_n_calls(n, turned):
    """No feasible point was found in 300 calls, though one corner is."""

    def limit(x):
        return (n - x.sum() if turned else x.sum()) - 5

    r = pso.minimize(
        lambda x: -float(x @ np.arange(n)), [(0, 1)] * n, integrality=True, constraints=limit,
        max_evals=n, seed=0,
    )  # fmt: skip
    assert limit(r.x) <= 0


# --- constraints that have no value at some points ---


@pytest.mark.parametrize(
    ("outside", "best"), [(lambda x: x[0] < 1, 1.0), (lambda x: x @ x < 4, 4.0)]
)
def test_where_a_constraint_is_nan_the_search_comes_as_near_as_where_it_is_a_number(outside, best):
    for nothing in (math.nan, 1e3):
        r = pso.minimize(
            lambda x: float(x @ x), [(-5, 5)] * 3, max_evals=1000, seed=5,
            constraints=lambda x, nothing=nothing: nothing if outside(x) else -1.0,
        )  # fmt: skip
        assert r.success and best <= r.fun < 1.02 * best


@pytest.mark.parametrize(("nothing", "seed"), [(math.nan, 7), (1e3, 0)])
def test_descents_that_creep_along_such_a_border_leave_their_turn_to_a_swarm(nothing, seed):
    """At an edge without slopes each descent gained next to nothing, and had half of the calls:
    1.16 and 1.53 times the best.
    """

    def outside(x):
        return x[0] + x[1] < 2 or x[2] < 1.6

    r = pso.minimize(
        lambda x: float(x @ x), [(-5, 5)] * 3, max_evals=1000, seed=seed,
        constraints=lambda x: nothing if outside(x) else -1.0,
    )  # fmt: skip
    assert r.success and 4.56 <= r.fun < 1.02 * 4.56
