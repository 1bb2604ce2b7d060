"""An exception in the objective keeps what was evaluated before."""

from __future__ import annotations

import numpy as np
import pytest
from swarm_runs import Fails, bowl

import pyswarmopt as pso

BOX = [(-4.0, 4.0)] * 3


WAYS = [
    {}, {"recipe": "constriction", "population": 5}, {"workers": 2, "population": 6},
    {"constraints": lambda x: x[0]}, {"recipe": "constriction", "constraints": lambda x: x[0]},
    {"noisy": True, "population": 5}, {"asynchronous": True, "population": 5},
]  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("search", [pso.minimize, pso.maximize])
def test_an_exception_has_the_result_so_far(tmp_path, how, search):
    """All that was evaluated, or with noise and asynchronously was told, is in it; the search goes on
    from its checkpoint as if nothing had happened.
    """
    sign = 1 if search is pso.minimize else -1
    fun = Fails(lambda x: sign * bowl(x), 39, ConnectionError)
    arguments = {"bounds": BOX, "max_evals": 100, "seed": 3, **how}
    with pytest.raises(ConnectionError, match="no licence") as caught:
        search(fun, checkpoint=tmp_path / "c.npz", **arguments)
    r = caught.value.result
    assert r.fun == pytest.approx(sign * bowl(r.x)) and any(
        np.array_equal(x, r.x) for x in fun.points
    )
    if not {"noisy", "asynchronous"} & how.keys():
        met = [
            v
            for x, v in zip(fun.points, fun.values, strict=True)
            if "constraints" not in how or x[0] <= 0
        ]
        assert r.fun == sign * min(sign * v for v in met) and r.nfev == len(fun.values) + 1
    assert r.feasible and (r.success, r.message) == (False, "an exception was raised")
    assert f"{r.nfev} evaluations" in caught.value.__notes__[-1]
    if how.get("workers", 1) == 1:
        whole = search(lambda x: sign * bowl(x), **arguments)
        resumed = search(lambda x: sign * bowl(x), checkpoint=tmp_path / "c.npz", **arguments)
        assert resumed.fun == whole.fun and list(resumed.history) == list(whole.history)


@pytest.mark.parametrize("error", [ConnectionError, None])
@pytest.mark.parametrize("how", [how for how in WAYS if "workers" not in how])
def test_no_call_follows_an_exception_or_a_forgotten_return(how, error):
    """A call may take an hour; the others of its round would be in vain."""
    calls = []

    def fails(x):
        calls.append(x)
        if len(calls) < 39:
            return bowl(x)
        if error is not None:
            raise error
        return None

    with pytest.raises(error or ValueError) as caught:
        pso.minimize(fails, BOX, max_evals=100, seed=3, **how)
    assert len(calls) == caught.value.result.nfev == 39


def test_what_is_wrong_before_the_search_has_no_result():
    with pytest.raises(ValueError, match="max_evals") as caught:
        pso.minimize(bowl, BOX, max_evals=0)
    assert not hasattr(caught.value, "result")
