"""Invariants of an objective."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np

from pyswarmopt import _minimize
from pyswarmopt.base.arrays import Floats
from pyswarmopt.testing.watched import Bounds, Fun, points_of


class ObjectiveTests:
    """Invariants of an objective, or of a wrapper around one.

    Attributes:
        bounds: domain of the objective.
        deterministic: whether a point always has the same value.
    """

    bounds: ClassVar[Bounds] = [(-4.0, 3.0)] * 3
    deterministic = True

    def objective(self) -> Fun:
        """A new objective, ``(D,) -> float``."""
        raise NotImplementedError("return the objective that is to be tested")

    def points(self) -> Floats:
        """Points of the box, (n, D), corners included."""
        return points_of(self.bounds, 8)

    def _values(self, points: Floats) -> list[float]:
        fun = self.objective()
        return [float(fun(x.copy())) for x in points]

    def test_a_point_has_one_number(self) -> None:
        fun = self.objective()
        assert all(np.size(fun(x.copy())) == 1 for x in self.points())

    def test_values_are_finite_in_the_whole_box(self) -> None:
        assert np.isfinite(self._values(self.points())).all()

    def test_the_argument_is_left_alone(self) -> None:
        fun = self.objective()
        points = self.points()
        before = points.copy()
        for x in points:
            fun(x)
        assert np.array_equal(points, before)

    def test_a_point_has_one_value(self) -> None:
        fun = self.objective()
        first, second = ([float(fun(x.copy())) for x in self.points()] for _ in range(2))
        assert first == second or not self.deterministic

    def test_the_order_of_calls_does_not_matter(self) -> None:
        points = self.points()
        same = self._values(points) == self._values(points[::-1])[::-1]
        assert same or not self.deterministic

    def test_threads_do_not_matter(self) -> None:
        fun = self.objective()
        points = self.points()
        with ThreadPoolExecutor(4) as pool:
            values = list(pool.map(lambda x: float(fun(x.copy())), points))
        assert values == self._values(points) or not self.deterministic

    def test_processes_can_be_sent_it(self) -> None:
        fun = self.objective()
        x = self.points()[0]
        sent = pickle.loads(pickle.dumps(fun))
        assert float(sent(x.copy())) == float(fun(x.copy())) or not self.deterministic

    def test_a_search_finds_what_it_says(self) -> None:
        r = _minimize.minimize(
            self.objective(), self.bounds, max_evals=40, seed=0, noisy=not self.deterministic
        )
        assert not self.deterministic or r.fun == float(self.objective()(r.x.copy()))
