"""Constraints: Deb's order, and problems whose constrained optimum is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, NonlinearConstraint
from scipy.sparse import csr_array

import pyswarmopt as pso
from pyswarmopt.driver.problem.constraints import Constraints, ranked

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


def test_the_kinds_agree():
    points = np.random.default_rng(0).uniform(-3, 3, (50, 2))
    matrix = np.array([[1.0, 2.0], [3.0, -1.0]])
    linear = Constraints(LinearConstraint(matrix, [-1, -np.inf], [2, 0.5]), 2)
    sparse = Constraints(LinearConstraint(csr_array(matrix), [-1, -np.inf], [2, 0.5]), 2)
    nonlinear = Constraints(NonlinearConstraint(lambda x: matrix @ x, [-1, -np.inf], [2, 0.5]), 2)
    by_hand = [max(-1 - (a + 2 * b), a + 2 * b - 2, 0) + max(3 * a - b - 0.5, 0) for a, b in points]
    called = Constraints(
        [lambda x: [-1 - x[0] - 2 * x[1], x[0] + 2 * x[1] - 2], lambda x: 3 * x[0] - x[1] - 0.5], 2
    )
    for constraints in (linear, sparse, nonlinear, called):
        assert np.allclose([constraints.violation(x) for x in points], by_hand)


@pytest.mark.parametrize("recipe", [None, "covariant"])
def test_the_result_says_by_how_much_an_equality_is_missed(recipe):
    budget = {"type": "eq", "fun": lambda x: x.sum() - 1}
    r = pso.minimize(lambda x: x.sum(), BOX, recipe, constraints=budget, max_evals=3000, seed=0)
    # it pays to miss it by the tolerance
    assert r.maxcv == abs(r.x.sum() - 1) and 0 < r.maxcv <= 1e-4
    assert r.feasible and r.success and "feasible" not in r.message


@pytest.mark.parametrize("n", [40, 100])
def test_declared_linear_constraints_on_integers_are_met_by_the_first_call(n):
    """At most k of n items, and at least two of the first ten: none of the calls breaks them."""
    worth = np.random.default_rng(n).random(n)
    matrix = np.stack([np.ones(n), np.arange(n) < 10])
    rule = LinearConstraint(matrix, [0, 2], [5, np.inf])
    called = []

    def loss(x):
        called.append(x.copy())
        return -float(worth @ x)

    r = pso.minimize(loss, [(0, 1)] * n, integrality=True, constraints=rule, max_evals=60, seed=0)
    sums = np.array(called) @ matrix.T
    assert (sums[:, 0] <= 5).all() and (sums[:, 1] >= 2).all() and r.feasible
    assert len(np.unique(called, axis=0)) > 40


def test_an_equality_is_not_kept_and_so_it_can_be_found():
    """As SciPy says of keep_feasible; it left one call of sixty."""
    line = {"type": "eq", "fun": lambda x: x[0] + x[1] - 1, "keep_feasible": True}
    linear = LinearConstraint([[1, 1]], 1, 1, keep_feasible=True)
    for constraint in line, linear:
        r = pso.minimize(
            lambda x: float(x @ x), [(-5, 5)] * 2, constraints=constraint, max_evals=60, seed=0
        )
        assert r.nfev == 60 and r.feasible and r.fun == pytest.approx(0.5, abs=1e-3)
