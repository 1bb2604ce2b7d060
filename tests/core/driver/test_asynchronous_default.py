"""`minimize(asynchronous=True)` without a recipe: the default search, and what is evaluated beside
it.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt.base import checkpoint
from pyswarmopt.hybrid.memetic import MemeticSearch
from pyswarmopt.hybrid.mixed import MixedSearch
from pyswarmopt.hybrid.kinds import Kinds

BOX = [(-3.0, 4.0)] * 3


def valley(x):
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def steps(x):
    return float(np.floor(3 * np.abs(x)).sum())


def searched(fun, **options):
    """The points that were evaluated, in their order, and the result."""
    seen = []

    def watched(x):
        seen.append(x.copy())
        return fun(x)

    return seen, pso.minimize(watched, BOX, seed=1, **options)


@pytest.mark.parametrize("fun", [valley, steps])
@pytest.mark.parametrize(
    "options",
    [{}, {"x0": [[1.0, 0.0, 2.0], [0.5, 0.5, 0.5]]}, {"integrality": [True, False, False]}],
)
def test_with_one_worker_it_is_the_search_in_rounds(fun, options):
    seen, in_rounds = searched(fun, max_evals=70, **options)
    singly, one_by_one = searched(fun, max_evals=70, asynchronous=True, **options)
    assert np.array_equal(seen, singly) and one_by_one.fun == in_rounds.fun


def test_no_call_begins_after_the_target_was_reached():
    seen, r = searched(valley, asynchronous=True, target=3.0)
    assert r.success and r.nfev == len(seen) and all(valley(x) > 3.0 for x in seen[:-2])
    assert np.array_equal(seen[-1], r.x)  # looks for noise


def test_a_slow_call_holds_up_nobody():
    """The second call does not end before 60 others have."""
    enough, begun, ended = threading.Event(), [], []

    def fun(x):
        begun.append(x)
        if len(begun) == 2:
            assert enough.wait(timeout=60)
        ended.append(x)
        if len(ended) == 60:
            enough.set()
        return valley(x)

    r = pso.minimize(fun, BOX, seed=0, asynchronous=True, workers=3, max_evals=70)
    assert r.nfev == len(ended) == 70 and r.fun == min(map(valley, ended)) == valley(r.x)


def mixed(seed=0):
    kinds = Kinds(np.array([0, 5, 0, 0]), np.array([0, 1, 2, 2]))
    return MixedSearch([(0, 1)] * 4, kinds=kinds, seed=seed)


def told_in_turns(search, tickets, count, random):
    """Tell `count` values, of any of the tickets each, and ask for as many; the points asked for."""
    points = []
    for _ in range(count):
        ticket = tickets.pop(random.integers(len(tickets)))
        search.tell(ticket, valley(ticket.x))
        tickets.append(search.ask_one())
        points.append(tickets[-1].x)
    return np.array(points)


@pytest.mark.parametrize("make", [lambda: MemeticSearch(BOX, seed=0), mixed])
@pytest.mark.parametrize("before", [3, 40])
def test_saved_with_points_under_way_it_goes_on_bit_for_bit(tmp_path, make, before):
    search = make()
    tickets = [search.ask_one() for _ in range(5)]
    told_in_turns(search, tickets, before, np.random.default_rng(1))
    checkpoint.write(tmp_path / "c", search.state_dict())
    resumed = make()
    resumed.load_state_dict(checkpoint.read(tmp_path / "c"))
    again = {ticket.number: ticket for ticket in resumed.tickets()}
    same = [again[ticket.number] for ticket in tickets]
    assert all(np.array_equal(a.x, b.x) for a, b in zip(same, tickets, strict=True))
    on = told_in_turns(search, tickets, 30, np.random.default_rng(2))
    assert np.array_equal(on, told_in_turns(resumed, same, 30, np.random.default_rng(2)))
    assert search.best.value == resumed.best.value
    assert search.evaluations == resumed.evaluations


@pytest.mark.parametrize("dim", [3, 21])  # beside a model's proposals; mutations of the best point
def test_others_have_something_to_do_while_a_round_is_waited_for(dim):
    """Nine of ten workers never answer: nobody gets the same point, and the tenth gets on."""
    search = MemeticSearch([(-3, 4)] * dim, seed=0)
    never = [search.ask_one() for _ in range(9)]
    points = [ticket.x for ticket in never]
    for _ in range(60):
        ticket = search.ask_one()
        points.append(ticket.x)
        search.tell(ticket, valley(ticket.x))
    assert len(np.unique(points, axis=0)) == len(points)
    assert search.best.value < valley(points[0]) and len(search.tickets()) == 9


def test_tickets_are_told_once():
    search = MemeticSearch(BOX, positions=[[0.0, 0.0, 0.0]], seed=0)
    ticket = search.ask_one()
    assert np.array_equal(ticket.x, np.zeros(3)) and search.ask_one() is None
    search.tell(ticket, 1.0)
    with pytest.raises(ValueError, match=r"told already"):
        search.tell(ticket, 1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("numbers", np.array([[0, 7], [1, -1]])),
        ("points", np.zeros((2, 4))),
        ("values", np.zeros(3)),
        ("sent", -1),
    ],
)
def test_tickets_that_cannot_be_are_refused(name, value):
    search = MemeticSearch(BOX, seed=0)
    for _ in range(2):
        search.ask_one()
    saved = search.state_dict()
    MemeticSearch(BOX, seed=0).load_state_dict(saved)
    with pytest.raises(ValueError, match="cannot be continued"):
        MemeticSearch(BOX, seed=0).load_state_dict({**saved, f"tickets.{name}": value})
