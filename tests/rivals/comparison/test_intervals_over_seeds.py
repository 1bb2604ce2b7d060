"""Intervals of scores with several seeds; over seeds that differ, see `test_compare`."""

from __future__ import annotations

import numpy as np
import pytest

from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_rivals.comparison.summary import interval_over_seeds


@pytest.mark.parametrize("right", [0, 7, 30])
@pytest.mark.parametrize("seeds", [1, 3])
def test_where_seeds_agree_the_interval_is_wilsons_and_never_a_point(
    right: int, seeds: int
) -> None:
    scores = np.tile(np.arange(30) < right, (seeds, 1)).astype(float)
    low, high = interval_over_seeds(scores)
    assert (low, high) == interval(scores[0].tolist()) and high - low > 0.1
