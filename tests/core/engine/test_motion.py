"""One move by blocks: the same as the whole swarm at once in torch, without temporaries of its
size.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from scipy import stats
from swarm_runs import bowls

import pyswarmopt as pso
from pyswarmopt.base.random import normal, sixteen_bits

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
    # of 3 such arrays; the copy that is handed out, blocks, and the best and worst are what is left
    assert peak < 2 * n * dim * 4


@KINDS
def test_positions_that_were_asked_for_stay_as_they_are_and_others_are_refused(kind):
    swarm = pso.Swarm(bounds=[(-5, 5)] * 3, population=4, seed=0, dtype=kind.float64)
    x = swarm.ask()
    held = np.asarray(x).copy()
    swarm.tell(x, bowls(x))
    swarm.ask()
    assert np.array_equal(x, held)
    x = swarm.ask()
    x[1, 2] = 0.25
    with pytest.raises(ValueError, match="positions that ask"):
        swarm.tell(x, [1.0, 0.0, 2.0, 3.0])


# --- random numbers ---


def test_sixteen_bits_are_those_of_the_generator_four_by_four():
    words = np.random.default_rng(7).bit_generator.random_raw(3).tolist()
    expected = [word >> shift & 0xFFFF for word in words for shift in (0, 16, 32, 48)]
    assert sixteen_bits(np.random.default_rng(7), (2, 5)).ravel().tolist() == expected[:10]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, torch.float64, torch.float32])
def test_normal_numbers_are_normal(dtype):
    """An odd number of them, as a swarm of 5 particles in one dimension draws."""
    generator = np.random.default_rng(1)
    x = np.zeros((5, 1), dtype) if isinstance(dtype, type) else torch.zeros((5, 1), dtype=dtype)
    rows = [normal(generator, x) for _ in range(4000)]
    assert rows[0].dtype == dtype
    drawn = np.array([np.asarray(row).ravel() for row in rows])
    assert abs(np.corrcoef(drawn.T) - np.eye(5)).max() < 0.06
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 0.01
