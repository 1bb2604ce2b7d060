"""Large arrays are worked on block by block: the same numbers as at once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

import pyswarmopt as pso
from pyswarmopt.base import blocks, checkpoint


@given(
    given=st.integers(0, 4),
    added=st.integers(0, 5),
    dim=st.integers(1, 9),
    size=st.integers(1, 12),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    launch=st.sampled_from(["TowardsPartner", "towards_anywhere"]),
    between=st.booleans(),
    seed=st.integers(0, 99),
)
def test_starts_are_what_the_formulas_give_at_once(
    given, added, dim, size, dtype, launch, between, seed
):
    """The starts and velocities of `initialise`, written down for whole arrays."""
    n = max(given + added, 1)
    low, high = torch.arange(dim) - 4.0, torch.arange(dim) + 0.5
    start = (
        torch.rand(
            (given, dim), generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64
        )
        + low
    )
    g = torch.Generator().manual_seed(seed)

    def in_the_box(count: int) -> torch.Tensor:
        u = torch.rand((count, dim), generator=g, dtype=torch.float64).to(dtype)
        return low.to(dtype) + u * (high - low).to(dtype)

    x = start.to(dtype)
    if n > given and between and given > 1:
        u = torch.rand((n - given, 3), generator=g, dtype=torch.float64)
        a = (u[:, 0] * given).long()
        b = (a + 1 + (u[:, 1] * (given - 1)).long()) % given
        t = u[:, 2:].to(dtype)
        x = torch.cat([x, t * x[a] + (1 - t) * x[b]])
    elif n > given:
        x = torch.cat([x, in_the_box(n - given)])
    if launch == "towards_anywhere":
        v = in_the_box(n) - x
    elif n > 1:
        u = torch.rand(n, generator=g, dtype=torch.float64)
        v = x[(torch.arange(n) + 1 + (u * (n - 1)).long()) % n] - x
    else:
        v = torch.zeros_like(x)

    kinds = {
        "TowardsPartner": pso.initialise.TowardsPartner(),
        "towards_anywhere": pso.initialise.towards_anywhere,
    }
    populate = pso.initialise.Interpolate() if between else pso.initialise.uniform
    recipe = pso.compose((pso.inertia(0.5),), populate=populate, launch=kinds[launch])
    before, blocks.BLOCK = blocks.BLOCK, size
    try:
        swarm = pso.Swarm(
            bounds=(low, high), positions=start if given else None, population=n, recipe=recipe,
            dtype=dtype, seed=seed,
        )  # fmt: skip
    finally:
        blocks.BLOCK = before
    assert torch.equal(swarm.positions, x) and torch.equal(swarm.velocities, v)


@given(n=st.integers(1, 30), dim=st.integers(1, 200), size=st.integers(1, 400))
def test_blocks_cover_an_array_in_the_order_of_its_memory(n, dim, size):
    before, blocks.BLOCK = blocks.BLOCK, size
    try:
        array = np.arange(n * dim).reshape(n, dim)
        parts = [array[block].ravel() for block in blocks.blocks(n, dim)]
    finally:
        blocks.BLOCK = before
    assert np.concatenate(parts).tolist() == list(range(n * dim)) and max(map(len, parts)) <= size


def test_a_checkpoint_is_one_that_numpy_reads(tmp_path):
    checkpoint.write(
        tmp_path / "s.npz",
        {"x": torch.arange(6.0).reshape(2, 3), "empty": torch.ones((0, 2)), "n": 1},
    )
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        assert file["x"].tolist() == [[0, 1, 2], [3, 4, 5]] and file["empty"].shape == (0, 2)
