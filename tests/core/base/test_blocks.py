"""Large arrays are worked on block by block: the same numbers as at once."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyswarmopt.base import arrays, checkpoint


@given(n=st.integers(1, 30), dim=st.integers(1, 200), size=st.integers(1, 400))
def test_blocks_cover_an_array_in_the_order_of_its_memory(n, dim, size):
    before, arrays.BLOCK = arrays.BLOCK, size
    try:
        array = np.arange(n * dim).reshape(n, dim)
        parts = [array[block].ravel() for block in arrays.blocks(n, dim)]
    finally:
        arrays.BLOCK = before
    assert np.concatenate(parts).tolist() == list(range(n * dim)) and max(map(len, parts)) <= size


def test_a_checkpoint_is_one_that_numpy_reads(tmp_path):
    checkpoint.write(
        tmp_path / "s.npz",
        {"x": torch.arange(6.0).reshape(2, 3), "empty": torch.ones((0, 2)), "n": 1},
    )
    with np.load(tmp_path / "s.npz", allow_pickle=False) as file:
        assert file["x"].tolist() == [[0, 1, 2], [3, 4, 5]] and file["empty"].shape == (0, 2)
