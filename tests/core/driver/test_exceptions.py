"""An exception in the objective keeps what was evaluated before."""

from __future__ import annotations

import numpy as np
import pytest

import pyswarmopt as pso

BOX = [(-4.0, 4.0)] * 3


class LicenceError(RuntimeError):
    pass


class Fails:
    """An objective whose n-th call raises."""

    def __init__(self, fun, at: int) -> None:
        self.fun, self.at = fun, at
        self.points, self.values = [], []

    def __call__(self, x):
        if len(self.values) == self.at:
            self.at = -1
            raise LicenceError("licence server down")
        self.points.append(np.array(x))
        self.values.append(self.fun(x))
        return self.values[-1]


def bowl(x):
    return float(((x - 0.5) ** 2).sum())


WAYS = [
    {}, {"recipe": "constriction"}, {"recipe": "model_swarms"}, {"workers": 2, "population": 6},
    {"constraints": lambda x: x[0]}, {"recipe": "constriction", "constraints": lambda x: x[0]},
    {"space": {name: (-4.0, 4.0) for name in "abc"}, "bounds": None},
    {"recipe": "constriction", "history": "particles"},
]  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("search", [pso.minimize, pso.maximize])
def test_an_exception_has_the_result_so_far(how, search):
    sign = 1 if search is pso.minimize else -1
    fun = Fails(lambda x: sign * bowl(x), 39)
    named = (lambda a, b, c: fun(np.array([a, b, c]))) if "space" in how else fun
    with pytest.raises(LicenceError, match="licence server down") as caught:
        search(named, **{"bounds": BOX, "max_evals": 100, "seed": 3, **how})
    r = caught.value.result
    allowed = [
        v
        for x, v in zip(fun.points, fun.values, strict=True)
        if "constraints" not in how or x[0] <= 0
    ]
    assert r.fun == sign * min(sign * v for v in allowed) and r.fun == sign * bowl(r.x)
    assert r.nfev == len(fun.values) + 1 and r.feasible and r.maxcv == 0
    assert (r.success, r.status, r.message) == (False, 2, "an exception was raised")
    assert f"{r.nfev} evaluations" in caught.value.__notes__[-1]
    if "space" in how:
        assert list(r.params.values()) == pytest.approx(r.x.tolist())
    if how.get("history") == "particles":
        assert sorted(record.value for record in r.history) == sorted(fun.values)


@pytest.mark.parametrize(
    "how", [{"noisy": True, "population": 5}, {"asynchronous": True, "population": 5}]
)
def test_with_noise_and_asynchronously_it_has_what_the_search_was_told(how):
    fun = Fails(bowl, 39)
    with pytest.raises(LicenceError) as caught:
        pso.minimize(fun, BOX, max_evals=100, seed=3, **how)
    r = caught.value.result
    assert bowl(r.x) in fun.values and r.fun == pytest.approx(bowl(r.x)) and not r.success


def test_the_first_call_may_fail():
    with pytest.raises(LicenceError) as caught:
        pso.minimize(Fails(bowl, 0), BOX, max_evals=100, seed=3)
    r = caught.value.result
    assert not r.success and np.isinf(r.fun) and "no finite value" in r.message


def test_what_is_wrong_before_the_first_call_has_no_result():
    with pytest.raises(ValueError, match="fun returned") as caught:
        pso.minimize(lambda x: "no", BOX, max_evals=10)
    assert not hasattr(caught.value, "result")


def test_the_search_goes_on_from_its_checkpoint_as_if_nothing_had_happened(tmp_path):
    arguments = {
        "bounds": BOX,
        "recipe": "constriction",
        "population": 10,
        "max_evals": 100,
        "seed": 3,
    }
    with pytest.raises(LicenceError) as caught:
        pso.minimize(Fails(bowl, 39), checkpoint=tmp_path / "c.npz", **arguments)
    assert caught.value.result.nfev == 40
    resumed = pso.minimize(bowl, checkpoint=tmp_path / "c.npz", **arguments)
    whole = pso.minimize(bowl, **arguments)
    assert resumed.fun == whole.fun and list(resumed.history) == list(whole.history)


def test_an_exception_has_the_front_so_far():
    def front(x):
        return x[0] ** 2, (x[0] - 2) ** 2

    for at in (9, 55):  # within the first generation, and later
        fun = Fails(front, at)
        with pytest.raises(LicenceError) as caught:
            pso.minimize_multi(fun, BOX, 2, population=20, max_evals=100, seed=1)
        r = caught.value.result
        best = np.array(fun.values)[pso.pareto.non_dominated(fun.values)]
        assert not r.success and r.message == "an exception was raised"
        assert np.array_equal(r.fun, np.unique(best, axis=0))
