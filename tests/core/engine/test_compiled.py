"""The loops that Numba compiles: the same numbers as without them, to the bit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.algorithms.clpso import Exemplars
from pyswarmopt.engine import choose, chunked
from pyswarmopt.engine.numba import loader as compiled
from pyswarmopt.parts import boundary


def drive(swarm: pso.Swarm, rounds: int) -> pso.Swarm:
    for _ in range(rounds):
        x = swarm.ask()
        swarm.tell(x, ((x - 1.0) ** 2).sum(-1))
    return swarm


FUSED = {
    "factors per particle, normalised": pso.recipes.model_swarms(),
    "factors per coordinate, ring": pso.recipes.constriction(),
    "both, walls that draw": pso.compose(
        (pso.inertia(0.7), pso.cognitive(1.4), pso.social(1.9, "element")), boundary=boundary.resample, schedule=0.8
    ),
    "no inertia, exemplars": pso.compose((pso.social(1.6, "element"), pso.repel(0.1)), Exemplars(gap=2)),
    "inertia that draws": pso.compose(
        (pso.inertia(1.1, "element"), pso.social(2.5, "element")), boundary=boundary.confine, normalise=True
    ),
    "walls that stop": pso.compose((pso.inertia(0.9), pso.cognitive(2.0), pso.repel(0.4)), boundary=boundary.clip),
    "no walls": pso.compose((pso.cognitive(2.0), pso.social(1.0)), boundary=boundary.none),
    "another order": pso.compose((pso.social(1.0), pso.inertia(0.7))),
    "a term of its own": pso.compose(
        (pso.inertia(0.7), pso.Term("home", 0.2, lambda s: -s.x, looks_at="element"), pso.social(1.0))
    ),
    "a term of its own first": pso.compose(
        (pso.Term("home", 0.2, lambda s: -s.x, looks_at="element"), pso.inertia(0.7), pso.social(1.0))
    ),
    "all terms, a schedule": pso.compose(
        (pso.inertia(0.7), pso.cognitive(1.0, "element"), pso.social(1.0), pso.repel(lambda move: 0.3 / (1 + move))),
        pso.topology.Ring(),
    ),
}


@pytest.fixture(params=["as they stand", "compiled"])
def loops(request):
    """The loops, uncompiled as well: so that a coverage tool and a reader with a debugger see into them."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        return compiled.Compiler().load()
    return compiled.AS_THEY_STAND


@pytest.mark.parametrize("size", [10**6, 1, 4, 17])
@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("small", [0, 2**12])
def test_the_loops_give_what_the_passes_of_numpy_give_to_the_bit(monkeypatch, loops, size, name, dtype, small):
    monkeypatch.setattr(chunked, "BLOCK", size)
    monkeypatch.setattr(chunked, "blocks_of", chunked.blocks_of.__wrapped__)  # else those of another size
    monkeypatch.setattr(choose, "SMALL", small)

    def run(known: compiled.Loops | None) -> pso.Swarm:
        monkeypatch.setattr(choose.COMPILER, "loops", known)
        bounds = [(-2, 2), (0, 3), (-1, 9), (-5, 0), (3, 3)]
        swarm = pso.Swarm(bounds=bounds, population=7, recipe=FUSED[name], seed=3, dtype=dtype)
        with np.errstate(over="ignore"):  # random numbers count modulo 2^64
            return drive(swarm, 12)

    fast, plain = run(loops), run(None)
    assert torch.equal(fast.positions, plain.positions) and torch.equal(fast.velocities, plain.velocities)
    assert torch.equal(fast.personal_bests, plain.personal_bests)
    assert fast.best.value == plain.best.value and torch.equal(fast.worst.x, plain.worst.x)
    assert torch.equal(fast.ask(), plain.ask())  # the random numbers have come as far


@settings(deadline=None, max_examples=60)
@given(
    rounds=st.lists(
        st.lists(st.sampled_from([0.0, -1.0, 1.0, 2.0, np.nan, np.inf, -np.inf]), min_size=4, max_size=4), max_size=6
    ),
    maximize=st.booleans(),
)
def test_bests_are_remembered_alike_whatever_the_values(rounds, maximize):
    def run(known: compiled.Loops | None) -> pso.Swarm:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(choose.COMPILER, "loops", known)
            swarm = pso.Swarm(2, 4, (-1, 1), recipe="model_swarms", seed=1, maximize=maximize)
            for values in rounds:
                swarm.tell(swarm.ask(), values)
            return swarm

    fast, plain = run(compiled.AS_THEY_STAND), run(None)
    for name, value in plain.state_dict().items():
        other = fast.state_dict()[name]
        if isinstance(value, torch.Tensor):
            value, other = value.nan_to_num(7).tolist(), other.nan_to_num(7).tolist()
        assert value == other, name


def test_small_swarms_load_the_loops_when_these_have_paid(monkeypatch):
    compiler = compiled.Compiler()
    monkeypatch.setattr(compiled, "_compiled", lambda: compiled.AS_THEY_STAND)
    asked = [compiler.for_small() for _ in range(compiled.PAYS_AFTER)]
    assert asked[:-1] == [None] * (compiled.PAYS_AFTER - 1) and asked[-1] is compiled.AS_THEY_STAND


def test_without_numba_there_are_no_loops(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    compiled._compiled.cache_clear()
    try:
        assert compiled.Compiler().load() is None
    finally:
        compiled._compiled.cache_clear()
