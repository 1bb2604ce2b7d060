"""Bounds in their forms: those that tell the dimension, and those that need it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import Bounds

from pyswarmopt.parts.bounds import read_bounds


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [
        ((0.0, np.array([1.0, 2.0])), [0, 0], [1, 2]),
        ((np.array([-1.0, -2.0]), 3.0), [-1, -2], [3, 3]),
        (Bounds(0.0, [1.0, 2.0]), [0, 0], [1, 2]),
        (Bounds([-1.0, -2.0], 3.0), [-1, -2], [3, 3]),
        ([(0, 1), (2, 3), (4, 5)], [0, 2, 4], [1, 3, 5]),
    ],
)
def test_one_side_for_all_coordinates_is_enough(bounds, low, high):
    found = read_bounds(bounds)
    assert [side.tolist() for side in found] == [low, high]
