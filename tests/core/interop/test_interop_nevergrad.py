"""nevergrad both ways: our recipes under its rules, its optimisers under ours."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import pyswarmopt as pso
from pyswarmopt import interop

ng = pytest.importorskip("nevergrad")
nevergrad = interop.nevergrad
nevergrad.SwarmOptimizer("constriction").set_name("PySwarmOptConstriction", register=True)


pytestmark = pytest.mark.filterwarnings("ignore")  # nevergrad's and pycma's own


def seeded(parametrization, seed=1):
    parametrization.random_state = np.random.RandomState(seed)
    return parametrization


def plane():
    return seeded(ng.p.Array(shape=(2,)))


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


# --- our recipes in nevergrad ---


def test_sequential_asks_are_the_swarm():
    """One by one, in order, in the unit box: the positions are those of `Swarm` itself."""
    space = ng.p.Array(shape=(2,), lower=0, upper=1)
    optimizer = nevergrad.SwarmOptimizer("constriction", population=5)(seeded(space), budget=50)
    seen = []
    optimizer.minimize(lambda x: seen.append(x.copy()) or bowl(x))
    seed = int(np.random.RandomState(1).randint(2**31))
    swarm = pso.Swarm(bounds=[(0, 1)] * 2, population=5, seed=seed)
    for t in range(10):
        x = swarm.ask()
        assert np.allclose(x, seen[5 * t : 5 * t + 5], atol=1e-9)
        swarm.tell(x, [bowl(row) for row in seen[5 * t : 5 * t + 5]])


@pytest.mark.parametrize("in_flight", [3, 25, 60])
def test_out_of_order_with_some_always_in_flight(in_flight):
    random = np.random.default_rng(0)
    optimizer = ng.optimizers.registry["PySwarmOptConstriction"](plane(), 2000, in_flight)
    flying, told = [], []
    for _ in range(2000):
        flying.append(optimizer.ask())
        if len(flying) >= in_flight:
            candidate = flying.pop(int(random.integers(len(flying))))
            optimizer.tell(candidate, bowl(candidate.value))
            told.append(bowl(candidate.value))
    assert bowl(optimizer.recommend().value) == min(told) < 0.01


def test_suggestions_and_points_never_asked_for_are_used():
    optimizer = nevergrad.SwarmOptimizer("constriction", population=10)(plane(), budget=500)
    optimizer.suggest(np.array([0.7, 0.7]))
    candidate = optimizer.ask()
    assert candidate.value.tolist() == [0.7, 0.7]
    optimizer.tell(candidate, 0.0)
    optimizer.tell(optimizer.parametrization.spawn_child(new_value=np.array([0.0, 0.0])), 0.98)
    for _ in range(400):
        candidate = optimizer.ask()
        optimizer.tell(candidate, bowl(candidate.value))
    # the swarm heard of the optimum: it gathers there
    assert np.median([bowl(optimizer.ask().value) for _ in range(5)]) < 0.5
    assert bowl(optimizer.recommend().value) == 0.0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_lost_candidate_is_handed_out_again_and_its_late_value_changes_nothing(workers):
    optimizer = nevergrad.SwarmOptimizer("constriction", population=4)(plane(), 100, workers)
    lost, *others = (optimizer.ask() for _ in range(4))
    again = optimizer.ask()
    assert np.array_equal(again.value, lost.value)
    for candidate in [*others, again]:
        optimizer.tell(candidate, bowl(candidate.value))
    optimizer.tell(lost, -1.0)
    assert optimizer._swarm.best.value == min(bowl(c.value) for c in [*others, again])


def test_dump_and_load(tmp_path):
    def fresh():
        return nevergrad.SwarmOptimizer("spso2011", population=6)(plane(), budget=100)

    def go(optimizer, count):
        for _ in range(count):
            candidate = optimizer.ask()
            optimizer.tell(candidate, bowl(candidate.value))

    whole, half = fresh(), fresh()
    go(whole, 43)
    go(half, 20)
    half.dump(tmp_path / "o.pkl")
    loaded = ng.optimizers.base.Optimizer.load(tmp_path / "o.pkl")
    go(loaded, 23)
    assert np.array_equal(loaded.ask().value, whole.ask().value)


# --- nevergrad's optimisers as ours ---


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
