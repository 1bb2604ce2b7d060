"""pycma as an Optimizer: its own draws, the protocol, saving."""

from __future__ import annotations

import numpy as np
import pytest
from swarm_runs import drive

cma = pytest.importorskip("cma")

from pyswarmopt.interop.pycma import PycmaOptimizer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # pycma's own
START = np.array([[0.0, 0.0], [2.0, 1.0], [1.0, -1.0]])


def bowl(x):
    return ((x - 0.7) ** 2).sum(-1)


def test_after_the_starting_positions_it_draws_what_pycma_draws():
    ours = PycmaOptimizer(START, population=6, seed=3)
    assert ours.ask().tolist() == START.tolist()
    drive(ours, bowl, 1)
    random = np.random.default_rng(4)
    options = {"seed": np.nan, "verbose": -9, "popsize": 6}
    options["randn"] = lambda *shape: random.standard_normal(shape)
    theirs = cma.CMAEvolutionStrategy(START.mean(0), float(START.std(0).mean()), options)
    for _ in range(12):
        x, y = ours.ask(), np.array(theirs.ask())
        assert np.array_equal(x, y)
        ours.tell(x, bowl(x))
        theirs.tell(list(y), bowl(y).tolist())
    assert ours.best.value < 1e-2 and float(bowl(ours.best.x)) == ours.best.value


def test_maximize_failures_and_the_budget():
    single = PycmaOptimizer(START, population=1, seed=0)
    drive(single, bowl, 2)
    assert len(single.ask()) == 2  # CMA-ES ranks them
    low = PycmaOptimizer(START, budget=50, seed=0)
    high = PycmaOptimizer(START, budget=50, seed=0, maximize=True)
    while not low.stop():
        x = low.ask()
        values = np.where(x[:, 0] < 0, np.nan, bowl(x))
        assert np.array_equal(x, high.ask())
        low.tell(x, values)
        high.tell(x, -values)
    assert low.stop()["max_evals"] == 50 and low.best.value == -high.best.value < 1


def test_a_saved_one_goes_on_to_the_bit():
    whole, half = (drive(PycmaOptimizer(START, seed=1), bowl, rounds) for rounds in (7, 4))
    half.ask()
    back = PycmaOptimizer(START, seed=9)
    back.load_state_dict(half.state_dict())
    assert np.array_equal(drive(back, bowl, 3).ask(), whole.ask())
    assert back.best.value == whole.best.value
    with pytest.raises(ValueError, match="a different budget"):
        PycmaOptimizer(START, budget=9).load_state_dict(half.state_dict())
    with pytest.raises(ValueError, match="positions or its library changed"):
        PycmaOptimizer(START + 1).load_state_dict(half.state_dict())
