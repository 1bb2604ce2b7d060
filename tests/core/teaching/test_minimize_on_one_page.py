"""The page that tells the default of `minimize` calls the objective where `minimize` does."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt.teaching import minimize as page

BOX = (-4.0, 5.0)


def valley(x) -> float:
    """Rosenbrock's function: smooth, curved."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def egg_box(x) -> float:
    """Rastrigin's function with a term that couples its coordinates: local minima everywhere."""
    return float((x**2 - 10 * np.cos(2 * np.pi * x) + 10).sum() + 0.1 * x.sum() ** 2)


def teeth(x) -> float:
    """A slope with teeth, whose first differences are no slopes."""
    z = x / 10
    return float((-z + 0.004 * np.mod(z / 0.0008, 1.0)).sum() + z[0] * z[1])


def called(search, fun, dim: int, calls: int, seed: int):
    """The points at which `fun` was called, (n, D), and what the search returned."""
    seen: list[np.ndarray] = []

    def watched(x) -> float:
        seen.append(np.array(x))
        return fun(x)

    found = search(watched, [BOX] * dim, max_evals=calls, seed=seed)
    return np.array(seen), found


@pytest.mark.parametrize(
    ("fun", "dim", "calls", "least"),
    [(valley, 2, 140, 140), (egg_box, 2, 120, 120), (teeth, 2, 60, 50)],
)
def test_the_page_and_the_search_call_the_same_points(fun, dim: int, calls: int, least: int):
    told, (x, value, count) = called(page.minimize, fun, dim, calls, seed=1)
    real, result = called(pso.minimize, fun, dim, calls, seed=1)
    assert len(told) == count >= least
    assert np.array_equal(told[:-1], real[: count - 1])
    assert value == fun(x) == fun(told[-1])
    if count == calls:
        assert np.array_equal(x, result.x) and value == result.fun


@pytest.mark.parametrize(("fun", "dim", "least"), [(valley, 4, 700), (egg_box, 3, 350)])
def test_the_page_and_the_search_go_on_alike(fun, dim: int, least: int):
    told, (_, _, count) = called(page.minimize, fun, dim, 700, seed=2)
    real, _ = called(pso.minimize, fun, dim, 700, seed=2)
    assert count >= least and np.array_equal(told[:-1], real[: count - 1])


def test_the_page_ends_where_it_says_that_it_ends():
    separable = called(page.minimize, lambda x: float((x**2 + 1).sum()), 2, 300, seed=0)
    assert separable[1][2] < 300
    narrow = called(page.minimize, egg_box, 2, 5000, seed=0)
    assert 300 < narrow[1][2] < 5000


def test_it_is_a_page():
    assert len(inspect.getsource(page).splitlines()) <= 400
