"""nevergrad's optimisers under our rules."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pyswarmopt import interop

ng = pytest.importorskip("nevergrad")
nevergrad = interop.nevergrad

pytestmark = pytest.mark.filterwarnings("ignore")  # nevergrad's own


def bowl(x):
    return float(((x - 0.7) ** 2).sum())


def test_nothing_is_loaded_before_use_and_numpys_global_generator_stays():
    code = (
        "import sys, pyswarmopt.interop, numpy as np; assert 'nevergrad' not in sys.modules\n"
        "np.random.seed(5); a = np.random.get_state()[1:3]; pyswarmopt.interop.nevergrad\n"
        "b = np.random.get_state()[1:3]; assert (a[0] == b[0]).all() and a[1] == b[1]"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="use nevergrad"):
        interop.other  # noqa: B018


def drive(optimizer, rounds=None):
    count = 0
    while not optimizer.stop() and (rounds is None or count < rounds):
        x = optimizer.ask()
        optimizer.tell(x, ((x - 0.7) ** 2).sum(-1))
        count += 1
    return optimizer


def test_numpys_global_generator_stays_and_the_best_improves():
    np.random.seed(123)
    before = np.random.get_state()
    optimizer = nevergrad.NevergradOptimizer("DE", [(-4.0, 3.0)] * 3, population=7, seed=0)
    first = bowl(optimizer.ask()[0])
    drive(optimizer, rounds=100)
    after = np.random.get_state()
    assert np.array_equal(after[1], before[1]) and after[2:] == before[2:]
    assert optimizer.best.value < 0.1 * first


def test_ngopt_and_its_metamodels_work_with_this_numpy_and_can_be_let_go():
    optimizer = drive(nevergrad.NevergradOptimizer("NGOpt", [(-2, 3)] * 3, budget=400, seed=0))
    assert optimizer.stop() == {"max_evals": 400} and optimizer.best.value < 1e-3
    optimizer.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "CMAA"}, "did you mean CMA"),
        ({"name": "SPSA", "population": 2}, "one point at a time"),
        ({"budget": 0}, "budget must be .* got 0"),
        ({"bounds": None}, "pass bounds or positions"),
        ({"bounds": [(0, 1), (1, 1)]}, "strictly smaller"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        nevergrad.NevergradOptimizer(**{"name": "CMA", "bounds": [(0, 1)] * 2, **arguments})
