"""One move by blocks: the same as the whole swarm at once in torch, without temporaries of its
size.
"""

from __future__ import annotations

import copy
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from swarm_runs import bowls

import pyswarmopt as pso
from pyswarmopt.base.random_bits import (
    RandomBits,
    generator_at,
    generator_of,
    normal,
    saved_generator,
    uniform,
    whole,
)
from pyswarmopt.engine import lending
from pyswarmopt.engine.lending import Lender
from pyswarmopt.engine.random_factors import RandomFactors
from pyswarmopt.parts.velocity import SumOfTerms

KINDS = pytest.mark.parametrize("kind", [np, torch], ids=["arrays", "tensors"])


@KINDS
def test_a_large_swarm_moves_without_temporaries_of_its_size(kind):
    n, dim = 4, 400_000
    swarm = pso.Swarm(
        bounds=(-5, 5), dim=dim, population=n, recipe="model_swarms", seed=0, dtype=kind.float32
    )
    values = np.arange(n, dtype=float)
    swarm.tell(swarm.ask(), values)
    swarm.tell(swarm.ask(), values)
    tracemalloc.start()
    swarm.ask()
    swarm.tell(swarm.ask(), values[::-1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # of 3 such arrays; blocks, and copies of the best and worst, are what is left
    assert peak < n * dim * 4


@KINDS
def test_positions_that_were_asked_for_stay_as_they_are_and_are_told_as_edited(kind):
    swarm = pso.Swarm(bounds=[(-5, 5)] * 3, population=4, seed=0, dtype=kind.float64)
    x = swarm.ask()
    held = np.asarray(x).copy()
    swarm.tell(x, bowls(x))
    swarm.ask()
    assert np.array_equal(x, held)
    x = swarm.ask()
    x[1, 2] = 0.25
    with pytest.raises(ValueError, match="repaired=True"):
        swarm.tell(x, [1.0, 0.0, 2.0, 3.0])
    swarm.tell(x, [1.0, -9.0, 2.0, 3.0], repaired=True)
    assert float(swarm.best.x[2]) == 0.25 and np.array_equal(swarm.positions, x)


# --- what a large swarm lends ---


@pytest.fixture
def lends(monkeypatch):
    """Swarms of any size lend their positions."""
    monkeypatch.setattr(lending, "LENT_FROM", 0)


@KINDS
@pytest.mark.parametrize("recipe", ["constriction", "model_swarms", "clpso", "spso2011"])
def test_positions_lent_stay_as_they_are_for_as_long_as_they_are_held(recipe, kind, request):
    def run() -> list[Any]:
        swarm = pso.Swarm(
            bounds=[(-5, 5)] * 3, population=6, recipe=recipe, seed=4, dtype=kind.float64
        )
        held = []
        for _ in range(25):
            x = swarm.ask()
            swarm.tell(x, bowls(x))
            held.append(x[:])  # a view holds it as well
        return held

    copies = run()
    request.getfixturevalue("lends")
    assert np.array_equal(np.stack(run()), np.stack(copies))


@KINDS
def test_in_a_loop_two_arrays_take_turns_and_one_does_when_nothing_is_held(kind, lends):
    lender, x = Lender(), kind.zeros((2, 3))
    addresses = set()
    held = lender.hand_out(x, np.asarray(x))
    for _ in range(6):
        x = lender.next_after(x)
        addresses.add(np.asarray(x).ctypes.data)
        # as in `x = swarm.ask()`: the former one is let go now
        held = lender.hand_out(x, np.asarray(x))
    assert len(addresses) == 2 and np.shares_memory(held, x)
    del held
    assert lender.next_after(x) is x


@KINDS
def test_lent_positions_may_be_edited_and_told(kind, lends):
    swarm = pso.Swarm(positions=[[0.2], [1.7]], seed=0, dtype=kind.float64)
    x = swarm.ask()
    x[:] = x.round()
    swarm.tell(x, [3.0, 4.0], repaired=True)
    assert swarm.best.x.tolist() == [0.0] and swarm.positions.tolist() == [[0.0], [2.0]]
    kept = copy.deepcopy(swarm.ask())
    swarm.ask()
    swarm.tell(kept, [1.0, 1.0])
    assert np.array_equal(swarm.positions, kept)


@KINDS
@pytest.mark.parametrize("asynchronous", [False, True])
def test_nothing_else_writes_to_positions_that_are_held(asynchronous, kind, lends):
    """Neither particles that are sent back nor those that move one by one."""
    back = pso.compose(
        [pso.inertia(0.7), pso.social(1.5)], restart=pso.restart.RestartAtBest(1), name="back"
    )
    swarm = pso.Swarm(bounds=[(-5, 5)] * 3, population=6, recipe=back, seed=4, dtype=kind.float64)
    swarm.tell(swarm.ask(), np.zeros(6))
    x = swarm.ask()
    before = np.asarray(x).copy()
    swarm.tell(x, np.ones(6))
    if asynchronous:
        for _ in range(6):
            swarm.tell(swarm.ask_one(), 2.0)
    assert np.array_equal(x, before) and not np.array_equal(swarm.positions, before)


# --- 16 bits ---


def test_the_stream_is_that_of_published_numbers():
    """The first ones of SplitMix64 from 1234567, as S. Vigna's reference code in C gives them."""
    bits = RandomBits.from_state(np.array([1234567]))
    numbers = np.concatenate([bits.take((2, 4)), bits.take((3, 4))]).view(np.uint64)[:, 0].tolist()
    assert numbers[:3] == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert numbers[3:] == [4593380528125082431, 16408922859458223821]


@pytest.mark.parametrize("seed", [0, 7, 2**40 + 3])
def test_a_seed_gives_the_numbers_of_torchs_generator(seed):
    ours, theirs = generator_of(seed), torch.Generator().manual_seed(seed)
    for shape in ((3,), (40, 9), (700,)):
        drawn = torch.rand(shape, generator=theirs, dtype=torch.float64)
        assert uniform(ours, shape).tolist() == drawn.tolist()
        assert (
            whole(ours, 40, shape).tolist() == torch.randint(40, shape, generator=theirs).tolist()
        )
    saved = theirs.get_state()
    drawn = torch.rand(3, generator=theirs, dtype=torch.float64).tolist()
    for state in (saved, saved_generator(ours)):
        assert uniform(generator_at(state), (3,)).tolist() == drawn


@pytest.mark.parametrize("dtype", [np.float64, np.float32, torch.float64, torch.float32])
def test_normal_numbers_are_normal(dtype):
    """An odd number of them, as a swarm of 5 particles in one dimension draws."""
    generator = generator_of(1)
    x = np.zeros((5, 1), dtype) if isinstance(dtype, type) else torch.zeros((5, 1), dtype=dtype)
    rows = [normal(generator, x) for _ in range(4000)]
    assert rows[0].dtype == dtype
    drawn = np.array([np.asarray(row).ravel() for row in rows])
    assert abs(np.corrcoef(drawn.T) - np.eye(5)).max() < 0.06
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 0.01


# --- factors drawn ahead ---


def test_factors_go_on_from_their_state_between_two_draws():
    rule = SumOfTerms((pso.inertia(0.7, "scalar"), pso.social(2.0, "element")), normalise=True)
    generator = generator_of(1)
    factors = RandomFactors(rule, (3, 5), generator)
    for move in range(70):  # more than are drawn at once
        factors.next(move)
    saved, at = factors.state(), saved_generator(generator)
    expected = [factors.next(move).copy() for move in range(70, 200)]
    resumed = RandomFactors(rule, (3, 5), generator_at(at))
    resumed.load(saved)
    np.testing.assert_array_equal([resumed.next(move) for move in range(70, 200)], expected)
    assert (np.array(expected).sum(axis=1) == pytest.approx(1.0)) and len(
        np.unique(expected)
    ) > 130 * 3
