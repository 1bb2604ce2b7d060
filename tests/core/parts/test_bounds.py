"""Bounds in their forms: those that tell the dimension, and those that need it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
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


LOW, HIGH = np.array([-5.0, -4.0]), np.array([5.0, 6.0])


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_two_vectors_in_a_list_are_sides_or_refused(kind):
    """In two dimensions a list of two vectors may be pairs as well; in others it cannot be."""
    low, high = read_bounds((kind(LOW), kind(HIGH)))
    assert (low.tolist(), high.tolist()) == ([-5, -4], [5, 6])
    low, high = read_bounds([kind([-5.0, -4.0, 0.0]), kind([5.0, 6.0, 1.0])])
    assert (low.tolist(), high.tolist()) == ([-5, -4, 0], [5, 6, 1])
    with pytest.raises(ValueError, match="ambiguous"):
        read_bounds([kind(LOW), kind(HIGH)])
    with pytest.raises(ValueError, match="ambiguous"):
        read_bounds([kind(LOW), (5.0, 6.0)])


@pytest.mark.parametrize("bounds", [[(0, 1), (0, 1, 2)], [("a", "b")], (LOW, [[1, 2], [3, 4]])])
def test_what_has_no_form_is_refused_in_one_line(bounds):
    with pytest.raises(ValueError, match=r"^bounds[^\n]*coordinate"):
        read_bounds(bounds)
