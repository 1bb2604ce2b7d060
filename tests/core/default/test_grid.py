"""Points of a grid that the model proposes, against the whole grid."""

import itertools

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt.default.box import Kinds
from pyswarmopt.default.grid import GridProposals, is_grid, one_changed
from pyswarmopt.driver.problem.encoding import make_coding

# An integer of four values, one of three, a category of three labels.
CODING = make_coding((np.array([0.0, 0.0, 0.0]), np.array([3.0, 2.0, 2.0])), [1, 1, 0], [0, 0, 1])
KINDS = CODING.kinds
GRID = np.array(
    [
        [(i + 0.5) / 4, (j + 0.5) / 3, *np.eye(3)[k]]
        for i, j, k in itertools.product(range(4), range(3), range(3))
    ]
)


def some_points(n, seed):
    return GRID[np.random.default_rng(seed).permutation(len(GRID))[:n]]


@pytest.mark.parametrize("point", GRID[::5])
def test_one_parameter_changes_to_any_other_value(point):
    changes = {tuple(x) for x in one_changed(KINDS, point)}
    parts = slice(0, 1), slice(1, 2), slice(2, 5)
    expected = {
        tuple(other)
        for other in GRID
        if sum((other[part] != point[part]).any() for part in parts) == 1
    }
    assert changes == expected
    assert len(changes) == 3 + 2 + 2


@pytest.mark.parametrize("seed", range(5))
def test_the_proposal_has_the_greatest_merit_of_the_unseen_points(seed):
    """On a grid that is small enough to be drawn as a whole."""
    points = some_points(12, seed)
    weights = np.random.default_rng(seed).standard_normal(5)

    def merit(x):
        return np.sin(5 * x @ weights)

    run = GridProposals(KINDS)
    found = run._chosen(merit, points, np.arange(12.0), np.random.default_rng(seed))
    seen = {tuple(x) for x in points}
    unseen = np.array([x for x in GRID if tuple(x) not in seen])
    assert merit(found[None])[0] == pytest.approx(merit(unseen).max())
    assert tuple(found) not in seen


def test_a_climb_ends_at_the_top():
    """From anywhere, if every change towards it is an improvement."""
    kinds = Kinds(np.array([9, 9, 9]), np.arange(3), np.zeros(3, bool))
    top = kinds.snap(np.array([[0.9, 0.1, 0.6]]))[0]
    run = GridProposals(kinds)
    start = kinds.snap(np.array([[0.0, 1.0, 0.0]]))[0]
    found, height = run._climbed(lambda x: -abs(x - top).sum(axis=1), start, -9.0, set())
    assert found.tolist() == top.tolist()
    assert height == 0.0


def test_no_point_is_called_twice_and_the_whole_grid_is_seen():
    calls = []

    def fun(x):
        calls.append(tuple(x))
        return float((x[0] - 2) ** 2 + x[1])

    pso.minimize(fun, [(0, 3), (0, 2), (0, 2)], integrality=[1, 1, 1], max_evals=36, seed=0)
    assert len(set(calls)) == len(calls) == 36


@pytest.mark.parametrize(
    ("high", "whole", "labels", "grid"),
    [
        ([9, 1], [1, 1], [0, 0], True),
        ([9, 2], [1, 0], [0, 1], True),
        ([9, 1], [1, 0], [0, 0], False),  # a real number
        ([9999, 2], [1, 0], [0, 1], False),  # many values
    ],
)
def test_only_parameters_with_a_few_values_are_a_grid(high, whole, labels, grid):
    kinds = make_coding((np.zeros(2), np.array(high, float)), whole, labels).kinds
    assert is_grid(kinds) == grid


def test_a_saved_search_of_a_grid_goes_on(tmp_path):
    """Bit for bit."""

    def fun(x):
        return float(((x - [7, 2, 5]) ** 2).sum())

    options = {"integrality": [1, 1, 1], "seed": 1}
    box = [(0, 9)] * 3
    whole = pso.minimize(fun, box, max_evals=40, **options)
    path = tmp_path / "search"
    pso.minimize(fun, box, max_evals=25, checkpoint=path, **options)
    resumed = pso.minimize(fun, box, max_evals=40, checkpoint=path, **options)
    assert resumed.history.to_pandas().equals(whole.history.to_pandas())
