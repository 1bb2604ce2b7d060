"""Constraints: Deb's order, and problems whose constrained optimum is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.optimize import minimize as scipy_minimize
from scipy.sparse import csr_array

import pyswarmopt as pso
from pyswarmopt.driver.problem.constraints import INFEASIBLE, Constraints, ranked

BOX = [(-5.0, 5.0)] * 2


def deb_better(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """The three rules of Deb 2000, section 3, word by word; each is (cost, violation)."""
    if a[1] == 0 and b[1] > 0:
        return True
    if a[1] > 0 and b[1] == 0:
        return False
    if a[1] == 0 and b[1] == 0:
        return a[0] < b[0]
    return a[1] < b[1]


costs = st.floats(-1e290, 1e290)
violations = st.one_of(st.just(0.0), st.floats(5e-324, 1.7e308))


@given(costs, violations, costs, violations)
def test_one_number_has_debs_order(cost_a, violation_a, cost_b, violation_b):
    a, b = ranked(np.array([cost_a, cost_b]), np.array([violation_a, violation_b]))
    if (
        violation_a > 0
        and violation_b > 0
        and math.isclose(violation_a, violation_b, rel_tol=1e-10)
    ):
        return  # so close violations may count as equal
    assert bool(a < b) == deb_better((cost_a, violation_a), (cost_b, violation_b))


def test_the_largest_cost_is_below_the_smallest_violation():
    costs = np.array([-1.7e308, 1e296, 1e299, 1.7e308, 0.0])
    order = ranked(costs, np.array([0.0, 0.0, 0.0, 0.0, 5e-324]))
    assert (np.diff(order) > 0).all() and order[:2].tolist() == costs[:2].tolist()
    assert order[3] < INFEASIBLE < order[4]


def test_the_kinds_agree():
    points = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    matrix = np.array([[1.0, 2.0], [3.0, -1.0]])
    linear = Constraints(LinearConstraint(matrix, [-1, -np.inf], [2, 0.5]), 2)
    sparse = Constraints(LinearConstraint(csr_array(matrix), [-1, -np.inf], [2, 0.5]), 2)
    nonlinear = Constraints(NonlinearConstraint(lambda x: matrix @ x, [-1, -np.inf], [2, 0.5]), 2)
    by_hand = np.array(
        [[max(-1 - (a + 2 * b), a + 2 * b - 2, 0), max(3 * a - b - 0.5, 0)] for a, b in points]
    )
    called = Constraints(
        [lambda x: [-1 - x[0] - 2 * x[1], x[0] + 2 * x[1] - 2], lambda x: 3 * x[0] - x[1] - 0.5], 2
    )
    assert np.allclose(linear.excess(points), by_hand)
    assert np.allclose(sparse.excess(points), by_hand) and np.allclose(
        nonlinear.excess(points), by_hand
    )
    assert np.allclose(called.excess(points).sum(1), by_hand.sum(1))


@pytest.mark.parametrize("recipe", [None, "covariant"])
def test_the_result_says_by_how_much_an_equality_is_missed(recipe):
    budget = {"type": "eq", "fun": lambda x: x.sum() - 1}
    r = pso.minimize(lambda x: x.sum(), BOX, recipe, constraints=budget, max_evals=3000, seed=0)
    # it pays to miss it by the tolerance
    assert r.maxcv == abs(r.x.sum() - 1) and 0 < r.maxcv <= 1e-4
    assert r.feasible and r.success and "feasible" not in r.message


def test_an_equality_missed_by_more_is_no_feasible_point():
    apart = [
        {"type": "eq", "fun": lambda x: x[0] - x[1]},
        {"type": "eq", "fun": lambda x: x[0] - x[1] - 0.01},
    ]
    r = pso.minimize(lambda x: x.sum(), BOX, constraints=apart, max_evals=500, seed=0)
    assert r.maxcv == max(abs(r.x[0] - r.x[1]), abs(r.x[0] - r.x[1] - 0.01)) >= 0.005
    assert (r.feasible, r.success) == (False, False) and f"by {r.maxcv:.3g}" in r.message


def test_the_objective_is_called_at_feasible_points_only_where_that_is_wanted():
    seen = []

    def fun(x):
        seen.append(x.copy())
        return float(np.sum((x - 3) ** 2))

    disc = NonlinearConstraint(lambda x: np.hypot(*x), -np.inf, 1, keep_feasible=True)
    r = pso.minimize(fun, BOX, constraints=disc, max_evals=2000, seed=1)
    assert all(np.hypot(*x) <= 1 for x in seen) and r.nfev == len(seen) < 2000
    assert r.fun == fun(r.x) and r.maxcv == 0 and r.success and r.algorithm == "covariant"
    assert np.allclose(r.x, math.sqrt(0.5), atol=0.05)  # the point of the disc nearest to (3, 3)
    assert r.stop == {"max_evals": 2000}
    assert [record.best for record in r.history] == sorted(
        (record.best for record in r.history), reverse=True
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_standard_problem_against_scipy(seed):
    # G06 of Michalewicz & Schoenauer 1996: a thin crescent, optimum -6961.81388 at (14.095,
    # 0.84296)
    def fun(x):
        return (x[0] - 10) ** 3 + (x[1] - 20) ** 3

    def circles(x):
        return [(x[0] - 5) ** 2 + (x[1] - 5) ** 2, (x[0] - 6) ** 2 + (x[1] - 5) ** 2]

    rules = NonlinearConstraint(circles, [100, -np.inf], [np.inf, 82.81])
    r = pso.minimize(fun, [(13, 100), (0, 100)], constraints=rules, max_evals=500, seed=seed)
    reference = scipy_minimize(
        fun, [14.1, 0.9], method="SLSQP", constraints=rules, bounds=[(13, 100), (0, 100)]
    )
    assert reference.fun == pytest.approx(-6961.81388, abs=1e-3)
    assert r.success and r.fun == pytest.approx(reference.fun, rel=1e-7)


@pytest.mark.parametrize("vectorized", [False, True])
def test_nothing_feasible_is_said(vectorized):
    def fun(x):
        return np.sum(x, axis=-1)

    r = pso.minimize(
        fun, BOX, constraints=lambda x: 7 + x[0], max_evals=500, seed=0, vectorized=vectorized
    )
    assert not r.success and "no feasible point" in r.message and r.stop == {"max_evals": 500}
    assert r.x[0] == pytest.approx(-5, abs=0.01) and r.maxcv == 7 + r.x[0]
    assert r.fun == fun(r.x) and r.nfev == 500
    assert all(record.best == math.inf for record in r.history)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda x: x[0] < 1, ValueError, "bool"),
        (lambda x: np.zeros((2, 2)), ValueError, "a number or a vector"),
        (7, TypeError, "neither a callable"),
        (LinearConstraint([[1, 2, 3]], 0, 1), ValueError, "3 columns"),
    ],
)
def test_what_is_no_constraint_is_refused(given, error, message):
    called = []
    with pytest.raises(error, match=message):
        pso.minimize(called.append, BOX, constraints=given, seed=0)
    assert not called


def test_without_a_feasible_point_fun_is_called_once_for_the_result():
    calls = []
    r = pso.minimize(
        lambda x: calls.append(x) or float((x**2).sum()), [(-4, 4)] * 2, "constriction",
        constraints=lambda x: 1 + x[0] ** 2, max_evals=60, seed=0, vectorized=False,
    )  # fmt: skip
    assert len(calls) == r.nfev == 1 and not r.feasible and r.fun == float((r.x**2).sum())
