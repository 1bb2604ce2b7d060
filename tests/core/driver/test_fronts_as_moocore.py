"""Fronts and their volumes: as moocore has them (LGPL-2.1, used as a program beside ours)."""

from __future__ import annotations

import numpy as np
import pytest

import pyswarmopt as pso

moocore = pytest.importorskip("moocore", reason="pip install moocore: an oracle")


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_the_volume_of_drawn_points(objectives: int) -> None:
    points = np.random.default_rng(objectives).random((40, objectives)).round(1)  # with ties
    corner = [0.9] * objectives  # some points lie outside
    expected = moocore.hypervolume(points, ref=corner)
    assert pso.pareto.hypervolume(points, corner) == pytest.approx(expected, rel=1e-12)
