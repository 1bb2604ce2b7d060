"""What every search promises, on problems drawn at random: `make fuzz` draws 2,000 new ones."""

from __future__ import annotations

import math
import tempfile
import tracemalloc
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drawn_problems import Drawn, Log, problems
from hypothesis import given, settings
from swarm_runs import same_result

import pyswarmopt as pso

COUNT = 2000 if settings.get_current_profile_name() == "fuzz" else 25


def searched(problem: Drawn, log: Log, **more) -> pso.Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return problem.search(log, **more)


def check_calls(problem: Drawn, log: Log) -> None:
    assert len(log.points) <= problem.max_evals
    for x in log.points:
        assert (problem.low <= x).all() and (x <= problem.high).all()
        assert (x[problem.whole] == np.rint(x[problem.whole])).all()


def check_best(problem: Drawn, log: Log, r: pso.Result) -> None:
    """The best value of a feasible point, or a feasible point where none has a value."""
    sign = -1.0 if problem.maximize else 1.0
    feasible = log.feasible()
    values = [value for value in feasible if math.isfinite(value)]
    if feasible:
        assert problem.violation(r.x) == 0 and r.maxcv == 0
    if values:
        assert r.fun == sign * min(sign * value for value in values)
    if math.isfinite(r.fun):
        assert r.fun == problem.value(r.x)
    else:
        assert r.fun == sign * math.inf and not r.success
    assert r.success <= (problem.violation(r.x) == 0)


def interrupted(problem: Drawn) -> pso.Result:
    """The result of a run that stopped after some iterations and went on from its checkpoint."""
    iterations = 0

    def enough(result: pso.Result) -> bool:
        nonlocal iterations
        iterations += 1
        return iterations > problem.interrupted

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.npz"
        searched(problem, Log(problem), checkpoint=path, callback=enough)
        return searched(problem, Log(problem), checkpoint=path)


@settings(max_examples=COUNT)
@given(problem=problems)
def test_a_search_keeps_what_it_promises(problem):
    log = Log(problem)
    r = searched(problem, log)
    check_calls(problem, log)
    assert r.nfev == len(log.points)
    check_best(problem, log, r)
    if problem.repeatable:
        assert same_result(r, searched(problem, Log(problem)))
        assert same_result(r, interrupted(problem))


# --- what this found, one by one ---


@pytest.mark.parametrize("path", ["\0", "c" * 300, "c" * 253, "no such folder/c.npz"])
@pytest.mark.parametrize("multi", [False, True])
def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_first_call(
    tmp_path, here, path, multi
):
    called = []
    with pytest.raises(ValueError, match=r"checkpoint=.*cannot be written") as refused:
        if multi:
            pso.minimize_multi(called.append, [(0, 1)], 2, checkpoint=path)
        else:
            pso.minimize(called.append, [(0, 1)], checkpoint=path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300
    assert not called and not list(tmp_path.iterdir())


def peak(search) -> int:
    """The most bytes that a search held."""
    tracemalloc.start()
    search()
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held


def test_many_labels_make_no_matrices_of_labels():
    """Of 1,000 labels one has 8 MB, of 500 two."""
    space = {f"c{i}": list("abcdefghij") for i in range(100)}

    def loss(params):
        return sum(value != "b" for value in params.values())

    for how in {"noisy": True}, {"asynchronous": True}:
        search = partial(pso.minimize, loss, space=space, max_evals=40, seed=0, **how)
        assert peak(search) < 8 * 1000**2
    few = {f"c{i}": list("abcdefghij") for i in range(50)} | {"x": (0.0, 1.0)}
    more = {"max_evals": 150, "seed": 0, "constraints": lambda params: params["x"] - 0.5}
    assert peak(partial(pso.minimize, lambda params: 0.0, space=few, **more)) < 8 * 500**2
