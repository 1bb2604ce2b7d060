"""The default search on values that are printed, in single precision, or have a ripple."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt.default.descent import PROBED
from pyswarmopt.default.resolution import Resolution

DIM = 6
RANDOM = np.random.default_rng(4)
TURN = np.linalg.qr(RANDOM.normal(size=(DIM, DIM)))[0]
CENTRE = RANDOM.uniform(-2, 2, DIM)
BOX = [(-5.0, 5.0)] * DIM
DRAWN = np.random.default_rng(0).uniform(-1000, 1000, 40)


def ellipsoid(x) -> float:
    """Of condition 1e6, turned and moved; 10 at its least."""
    axes = 10 ** (3 * np.arange(DIM) / 5) * (TURN @ (np.asarray(x) - CENTRE))
    return 10 + float((axes**2).sum()) / 10


def printed(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def resolution_of(values) -> Resolution:
    found = Resolution()
    found.take_in(np.asarray(values, dtype=float))
    return found


@pytest.mark.parametrize("digits", [3, 6, 10])
def test_significant_digits_are_counted(digits):
    found = resolution_of([printed(value, digits) for value in DRAWN])
    # half a unit of the last place
    assert found.error(123.4) == pytest.approx(0.5 * 10.0 ** (3 - digits))


def test_numbers_in_double_precision_have_all_their_digits():
    found = resolution_of([1.0, 2.5, 0.25, 3.0, 4.0, *DRAWN])
    assert found.error(123.4) == 0


@pytest.mark.parametrize(("digits", "excess"), [(4, 0.05), (6, 1e-3)])
def test_printed_values_are_no_hindrance(digits, excess):
    run = pso.minimize(lambda x: printed(ellipsoid(x), digits), BOX, max_evals=300, seed=0)
    assert ellipsoid(run.x) - 10 < excess


def rippled(x) -> float:
    """A bent valley with a relative error of its own at every point."""
    z = np.asarray(x) + 1
    value = 10 + float((100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum())
    return value * (1 + 1e-6 * math.sin(1e9 * float((z * np.sqrt([2, 3, 5])).sum())))


def test_a_ripple_is_met_and_the_search_goes_on():
    run = pso.minimize(rippled, [(-5, 5)] * 3, max_evals=600, seed=0)
    assert run.fun - 10 < 1e-2


def test_the_error_is_that_of_the_best_value_after_whatever_was_told():
    """In rounds, by tickets, of points that were not asked for, and in a restored search."""

    def value(x) -> float:
        return printed(rippled(x), 13)

    search = pso.DefaultSearch([(-5, 5)] * 3, seed=0)
    errors = []
    while search.resolution.ripple == 0 or search.turn == "probe":
        x = search.ask()
        search.tell(x, [value(row) for row in x])
        errors.append((search.error, search.resolution.error(search.best.value)))
    beside = search.best.x * 0.99
    search.take_in([beside], [value(beside)])
    errors.append((search.error, search.resolution.error(search.best.value)))
    for ticket in search.ask(1):
        search.tell(ticket, 1e-3 * value(ticket.x))
    errors.append((search.error, search.resolution.error(search.best.value)))
    restored = pso.DefaultSearch([(-5, 5)] * 3)
    restored.load_state_dict(search.state_dict())
    errors.append((restored.error, search.resolution.error(search.best.value)))
    kept, judged = zip(*errors, strict=True)
    assert kept == judged and len(set(kept)) > 3


def test_a_ripple_is_looked_for_until_it_is_met():
    """At a minimum of 0 a relative error vanishes, so that differences are slopes again."""

    def fun(x) -> float:
        return pso.functions.rosenbrock(x[None])[0] * (1 + 1e-7 * math.sin(1e9 * float(x.sum())))

    search = pso.DefaultSearch([(-5, 5)] * 4, seed=2, max_evals=700)
    while search.evaluations < 700:
        x = search.ask()
        search.tell(x, [fun(point) for point in x])
    assert search.best.value < 1e-6 and search.phases["probe"].spent == 2 * PROBED


def limit(x) -> float:
    return printed(1.5 - float(x[0] + x[1] * 2), 6)


def test_constraints_of_printed_values_are_met_at_the_optimum():
    """The nearest point of the line x + 2 y = 1.5 to the origin is (0.3, 0.6)."""

    def distance(x) -> float:
        return printed(7 + float(x[0] ** 2 + x[1] ** 2), 6)

    box = [(-3, 3)] * 2
    run = pso.minimize(distance, box, constraints=[limit], max_evals=120, seed=0)
    assert run.feasible and abs(run.x - [0.3, 0.6]).max() < 0.02
