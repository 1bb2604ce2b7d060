"""`minimize(asynchronous=True)` without a recipe: the default search, and what is evaluated beside
it.
"""

from __future__ import annotations

import numpy as np
import pytest
from executors import Bare
from swarm_runs import events
from watched import Watched

import pyswarmopt as pso

BOX = [(-3.0, 4.0)] * 3


def valley(x):
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def steps(x):
    return float(np.floor(3 * np.abs(x)).sum())


def searched(fun, bounds=BOX, **options):
    """The points that were evaluated, in their order, and the result."""
    watched = Watched(fun)
    return watched.points, pso.minimize(watched, bounds, seed=1, **options)


@pytest.mark.parametrize("fun", [valley, steps])
@pytest.mark.parametrize(
    "options",
    [{}, {"x0": [[1.0, 0.0, 2.0], [0.5, 0.5, 0.5]]}, {"integrality": [True, False, False]}],
)
def test_with_one_worker_it_is_the_search_in_rounds(fun, options):
    seen, in_rounds = searched(fun, max_evals=70, **options)
    singly, one_by_one = searched(fun, max_evals=70, asynchronous=True, **options)
    assert np.array_equal(seen, singly) and one_by_one.fun == in_rounds.fun


class InTurn(Bare):
    """Three workers whose calls end in the order in which they began."""

    _max_workers = 3


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("at", [4, 19, 33, 71])
def test_a_killed_search_of_several_workers_goes_on_to_the_bit(tmp_path, at, whole):
    """Also with the points that were under way beside a round."""
    settings = {"asynchronous": True, "workers": InTurn(), "history": "particles", "max_evals": 90}
    settings["integrality"] = [whole, False, False]
    fatal, path = Watched(valley, at + 1, InterruptedError), tmp_path / "c.npz"
    with pytest.raises(InterruptedError):
        pso.minimize(fatal, BOX, seed=1, checkpoint=path, **settings)
    points, resumed = searched(valley, checkpoint=path, **settings)
    every, never_killed = searched(valley, **settings)
    assert resumed.nfev == never_killed.nfev == 90 and resumed.fun == never_killed.fun
    assert events(resumed) == events(never_killed)
    # the best once more, then what was open, then the others
    assert np.array_equal(points[1:], every[len(every) - len(points) + 1 :])


def test_where_all_other_points_are_known_it_waits_for_those_under_way():
    """It proposed known points and the pending one for ever, and heard no answer."""
    box = [(0, 1)] * 2
    points, r = searched(steps, bounds=box, integrality=[1, 1], asynchronous=True, workers=InTurn())
    assert {tuple(x) for x in points} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert r.fun == 0 and "exhausted" in r.stop


@pytest.mark.parametrize("dim", [3, 21])  # beside a model's proposals; mutations of the best point
def test_others_have_something_to_do_while_a_round_is_waited_for(dim):
    """Nine of ten workers never answer: nobody gets the same point, and the tenth gets on."""
    search = pso.DefaultSearch([(-3, 4)] * dim, seed=0)
    never = search.ask(9)
    points = [ticket.x for ticket in never]
    for _ in range(60):
        [ticket] = search.ask(1)
        points.append(ticket.x)
        search.tell(ticket, valley(ticket.x))
    assert len(np.unique(points, axis=0)) == len(points)
    assert search.best.value < valley(points[0]) and len(search.pending) == 9
