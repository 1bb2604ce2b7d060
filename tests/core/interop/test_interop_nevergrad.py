"""nevergrad both ways: our recipes under its rules, its optimisers under ours."""

from __future__ import annotations

import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import pyswarmopt as pso
from pyswarmopt import interop

ng = pytest.importorskip("nevergrad")
nevergrad = interop.nevergrad
NAMES = nevergrad.register()


pytestmark = pytest.mark.filterwarnings("ignore")  # nevergrad's and pycma's own


@pytest.fixture
def global_state():
    """Whatever the test does, NumPy's global generator is where it was."""
    np.random.seed(123)
    before = np.random.get_state()
    yield
    after = np.random.get_state()
    assert np.array_equal(after[1], before[1]) and after[2:] == before[2:]


def seeded(parametrization, seed=1):
    parametrization.random_state = np.random.RandomState(seed)
    return parametrization


def bowl(x):
    return float(((x - 0.7) ** 2).sum())


def test_nothing_is_loaded_before_use_and_numpys_global_generator_stays():
    code = (
        "import sys, pyswarmopt.interop, numpy as np; assert 'nevergrad' not in sys.modules\n"
        "np.random.seed(5); a = np.random.get_state()[1:3]; pyswarmopt.interop.nevergrad\n"
        "b = np.random.get_state()[1:3]; assert (a[0] == b[0]).all() and a[1] == b[1]"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="there is nevergrad"):
        interop.other  # noqa: B018


# --- our recipes in nevergrad ---


@pytest.mark.parametrize("name", NAMES.values())
@pytest.mark.parametrize("bounded", [False, True])
def test_a_recipe_minimises(name, bounded):
    space = ng.p.Array(shape=(3,))
    if bounded:
        space.set_bounds(-2, 5)
    seen = []
    optimizer = ng.optimizers.registry[name](seeded(space), budget=400)
    best = optimizer.minimize(lambda x: seen.append(x.copy()) or bowl(x)).value
    values = [bowl(x) for x in seen]
    # Compared with the middle of the first round: its best may be good by luck, which made this
    # depend on the seed.
    assert len(seen) == 400 and bowl(best) == min(values) < 0.1 * np.median(values[:40])
    assert nevergrad.register() == NAMES
    assert not bounded or ((np.array(seen) >= -2) & (np.array(seen) <= 5)).all()
    again = ng.optimizers.registry[name](seeded(space.copy()), budget=400).minimize(bowl).value
    assert np.array_equal(best, again)


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
        assert np.allclose(x.numpy(), seen[5 * t : 5 * t + 5], atol=1e-9)
        swarm.tell(x, [bowl(row) for row in seen[5 * t : 5 * t + 5]])


def test_mixed_parametrisations_and_workers():
    a, b, c = (
        ng.p.Scalar(lower=-1, upper=4),
        ng.p.Choice([1.0, 2.0, 3.0]),
        ng.p.Log(lower=1, upper=99),
    )
    space = ng.p.Instrumentation(a, b, c=c)
    optimizer = ng.optimizers.registry["PySwarmOptConstriction"](
        seeded(space), budget=600, num_workers=4
    )
    with ThreadPoolExecutor(4) as pool:
        best = optimizer.minimize(
            lambda a, b, c: (a - 0.7) ** 2 + (b - 2) ** 2 + np.log(c / 9) ** 2, executor=pool
        )
    assert (
        best.args[1] == 2
        and abs(best.args[0] - 0.7) < 0.1
        and abs(np.log(best.kwargs["c"] / 9)) < 0.1
    )


@pytest.mark.parametrize("in_flight", [3, 25, 60])
def test_out_of_order_with_some_always_in_flight(in_flight):
    random = np.random.default_rng(0)
    optimizer = ng.optimizers.registry["PySwarmOptConstriction"](
        seeded(ng.p.Array(shape=(2,))), 2000, in_flight
    )
    flying, told = [], []
    for _ in range(2000):
        flying.append(optimizer.ask())
        if len(flying) >= in_flight:
            candidate = flying.pop(int(random.integers(len(flying))))
            optimizer.tell(candidate, bowl(candidate.value))
            told.append(bowl(candidate.value))
    assert bowl(optimizer.recommend().value) == min(told) < 0.01


def test_suggestions_and_points_never_asked_for_are_used():
    optimizer = nevergrad.SwarmOptimizer("constriction", population=10)(
        seeded(ng.p.Array(shape=(2,))), budget=500
    )
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
    optimizer = nevergrad.SwarmOptimizer("constriction", population=4)(
        seeded(ng.p.Array(shape=(2,))), 100, workers
    )
    lost, *others = (optimizer.ask() for _ in range(4))
    again = optimizer.ask()
    assert np.array_equal(again.value, lost.value)
    for candidate in [*others, again]:
        optimizer.tell(candidate, bowl(candidate.value))
    optimizer.tell(lost, -1.0)
    assert optimizer._swarm.best.value == min(bowl(c.value) for c in [*others, again])


def test_candidates_that_break_a_constraint_do_not_stop_the_swarm():
    space = seeded(ng.p.Array(shape=(2,), lower=-2, upper=5))
    space.register_cheap_constraint(lambda x: x[0] > 0)
    optimizer = nevergrad.SwarmOptimizer("constriction", population=6)(space, budget=300)
    assert bowl(optimizer.minimize(bowl).value) < 0.01


def test_dump_and_load(tmp_path):
    def fresh():
        return nevergrad.SwarmOptimizer("spso2011", population=6)(
            seeded(ng.p.Array(shape=(2,))), budget=100
        )

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


def test_a_benchmark_experiment_can_name_a_recipe(monkeypatch):
    # nevergrad.benchmark itself wants OpenCV, gym and more; the module of its experiments does not
    bare = types.ModuleType("nevergrad.benchmark")
    bare.__path__ = [str(Path(ng.__file__).parent / "benchmark")]
    monkeypatch.setitem(sys.modules, "nevergrad.benchmark", bare)
    from nevergrad.benchmark.xpbase import Experiment
    from nevergrad.functions import ArtificialFunction

    np.random.seed(12)
    function = ArtificialFunction("sphere", block_dimension=2)
    result = Experiment(function, "PySwarmOptModelSwarms", budget=100, num_workers=2).run()
    assert result["optimizer_name"] == "PySwarmOptModelSwarms" and 0 <= result["loss"] < 1


# --- nevergrad's optimisers as ours ---


def drive(optimizer, rounds=None):
    count = 0
    while not optimizer.stop() and (rounds is None or count < rounds):
        x = optimizer.ask()
        optimizer.tell(x, ((x - 0.7) ** 2).sum(-1))
        count += 1
    return optimizer


# NGOpt, slower than these, has a test of its own below.
OPTIMIZERS = ["CMA", "DE", "OnePlusOne", "PySwarmOptConstriction"]


# Without `global_state`: one of its optimisers keeps a thread, which draws from NumPy's generator
# when it will.
def test_ngopt_and_its_metamodels_work_with_this_numpy_and_can_be_let_go():
    optimizer = drive(nevergrad.NevergradOptimizer("NGOpt", [(-2, 3)] * 3, budget=400, seed=0))
    assert optimizer.stop() == {"max_evals": 400} and optimizer.best.value < 1e-3
    optimizer.close()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("population", [1, 7])
def test_an_optimiser_of_theirs_keeps_the_protocol(name, population, global_state):
    def fresh(seed=3):
        return nevergrad.NevergradOptimizer(
            name, [(-2, 3)] * 2, None, population, budget=150, seed=seed
        )

    optimizer: pso.Optimizer = fresh()
    x = optimizer.ask()
    assert (
        x.shape == (population, 2) and x.dtype == torch.float64 and torch.equal(x, optimizer.ask())
    )
    asked = []
    while not optimizer.stop():
        x = optimizer.ask()
        asked.append(x)
        optimizer.tell(x, ((x - 0.7) ** 2).sum(-1))
    everything = torch.cat(asked)
    values = ((everything - 0.7) ** 2).sum(-1)
    assert len(everything) == 150 and optimizer.stop() == {"max_evals": 150}
    assert optimizer.best.value == values.min() and torch.equal(
        optimizer.best.x, everything[values.argmin()]
    )
    # Some of these hardly begin to search in 150 evaluations, so their best is compared with what
    # they saw.
    assert (
        (everything >= -2) & (everything <= 3)
    ).all() and optimizer.best.value < 0.1 * values.median()
    again = drive(fresh())
    assert torch.equal(again.best.x, optimizer.best.x)
    half = drive(fresh(), rounds=100 // population)
    half.ask()
    loaded = fresh(seed=99)
    loaded.load_state_dict(half.state_dict())
    assert torch.equal(loaded.ask(), half.ask())
    assert torch.equal(drive(loaded).best.x, optimizer.best.x)


def test_starting_positions_come_first_and_are_used():
    start = [[0.7, 0.7], [5.0, 5.0], [4.0, -4.0]]
    for name in ("CMA", "DE", "OnePlusOne"):
        optimizer = nevergrad.NevergradOptimizer(
            name, positions=start, population=2, budget=40, seed=0
        )
        first, second = optimizer.ask(), None
        optimizer.tell(first, [0.0, 36.98])
        second = optimizer.ask()
        assert first.tolist() == start[:2] and second[0].tolist() == start[2]
        assert optimizer.best.value == 0.0


def test_without_bounds_the_first_step_is_the_spread_of_the_positions():
    near, far = (
        nevergrad.NevergradOptimizer(
            "CMA", positions=scale * np.array([[1.0, 1.0], [-1.0, -1.0]]), seed=0
        )
        for scale in (1e-3, 1e3)
    )
    steps = []
    for optimizer in (near, far):
        for _ in range(3):
            x = optimizer.ask()
            optimizer.tell(x, np.arange(len(x), dtype=float))
        steps.append(float(optimizer.ask().abs().max()))
    assert steps[0] < 0.05 and steps[1] > 50


def test_maximize_and_failures():
    low = nevergrad.NevergradOptimizer("DE", [(-2, 3)] * 2, population=5, budget=100, seed=0)
    high = nevergrad.NevergradOptimizer(
        "DE", [(-2, 3)] * 2, population=5, budget=100, seed=0, maximize=True
    )
    assert low.best.value == np.inf and high.best.value == -np.inf
    while not low.stop():
        x = low.ask()
        values = torch.where(x[:, 0] < 0, torch.nan, ((x - 0.7) ** 2).sum(-1))
        values[x[:, 1] < -1] = -torch.inf
        assert torch.equal(x, high.ask())
        low.tell(x, values)
        high.tell(x, -values)
    assert low.best.value == -high.best.value < 0.5 and low.best.x[0] >= 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "CMAA"}, "did you mean CMA"),
        ({"name": "SPSA", "population": 2}, "one point at a time"),
        ({"population": 0}, "population=0"),
        ({"budget": 0}, "budget=0"),
        ({"bounds": None}, "give bounds or positions"),
        ({"bounds": [(0, 1), (1, 1)]}, "low < high"),
        ({"positions": [[0.0, np.nan]]}, "not finite"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        nevergrad.NevergradOptimizer(**{"name": "CMA", "bounds": [(0, 1)] * 2, **arguments})


def test_bad_tells_and_states_are_refused():
    optimizer = nevergrad.NevergradOptimizer("DE", [(-2, 3)] * 2, population=5, seed=0)
    with pytest.raises(ValueError, match="without ask"):
        optimizer.tell(torch.zeros(5, 2), np.zeros(5))
    x = optimizer.ask()
    with pytest.raises(ValueError, match="that ask"):
        optimizer.tell(x + 1, np.zeros(5))
    with pytest.raises(ValueError, match="shape"):
        optimizer.tell(x, np.zeros(4))
    saved = drive(optimizer, rounds=3).state_dict()
    with pytest.raises(ValueError, match="name"):
        nevergrad.NevergradOptimizer("CMA", [(-2, 3)] * 2, population=5).load_state_dict(saved)
    with pytest.raises(ValueError, match="other positions"):
        nevergrad.NevergradOptimizer("DE", [(-2, 9)] * 2, population=5).load_state_dict(saved)
