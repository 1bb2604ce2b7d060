"""`highest` against a maximum known by construction, and against a grid."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pyswarmopt_llm.searching.shared_kernel import Kernel, box_around, highest, posterior


@pytest.mark.parametrize("dim", [1, 4, 20])
def test_the_top_of_a_hill_or_of_a_wall(dim: int) -> None:
    """A concave gain: its maximum in the box is its summit, each coordinate moved into the box."""
    random = np.random.default_rng(dim)
    summit = random.uniform(-0.5, 1.5, dim)
    starts = random.random((5, dim))
    found = highest(lambda x: -1e-9 * ((x - summit) ** 2).sum(1), starts, [(0.0, 1.0)] * dim, 0)
    np.testing.assert_allclose(found.numpy(), np.clip(summit, 0, 1), atol=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_no_point_of_a_grid_is_higher(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.random((12, 2))
    model = posterior(Kernel(0.3, 1e-6), x, random.standard_normal((12, 1)))
    bounds = box_around(x, 0.5)
    grid = np.array(list(itertools.product(*(np.linspace(*pair, 201) for pair in bounds))))

    def gain(points: np.ndarray) -> np.ndarray:
        mean, error = model.predict(points)
        return (mean + error)[:, 0]

    found = highest(gain, x, bounds, seed)[None].numpy()
    assert gain(found)[0] >= gain(grid).max() - 1e-9
    assert (found >= np.array(bounds)[:, 0]).all() and (found <= np.array(bounds)[:, 1]).all()
