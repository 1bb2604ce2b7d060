"""Invariants of a space of named parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pyswarmopt import _minimize
from pyswarmopt.base.arrays import Floats
from pyswarmopt.driver.problem.space import Fixed, Space
from pyswarmopt.testing.watched import points_of


class SpaceTests:
    """Invariants of a space: its parameters have allowed values at every point."""

    def space(self) -> Mapping[str, Any]:
        """Parameters by name, as for `minimize(space=...)`."""
        raise NotImplementedError("return the space that is to be tested")

    def _points(self) -> tuple[Space, Floats]:
        """The space, and points of its box: corners and others."""
        space = Space(self.space())
        x = points_of(space.bounds, 40)
        whole = np.array(space.integrality) | np.array(space.categorical)
        return space, np.where(whole, np.rint(x), x)

    def test_bounds_are_finite_and_in_order(self) -> None:
        low, high = np.array(Space(self.space()).bounds).T
        assert np.isfinite([low, high]).all() and (low <= high).all()

    def test_every_coordinate_has_a_name_and_one_kind(self) -> None:
        space = Space(self.space())
        count = len(space.bounds)
        assert len(set(space.names)) == len(space.integrality) == len(space.categorical) == count
        assert not any(i and c for i, c in zip(space.integrality, space.categorical, strict=True))

    def test_every_point_has_allowed_parameters(self) -> None:
        space, x = self._points()
        for params in map(space.decode, x):
            wrong = [
                name for name, value in params.items() if not space.parameter(name).allows(value)
            ]
            assert not wrong

    def test_the_same_point_has_the_same_parameters(self) -> None:
        space, x = self._points()
        assert [space.decode(point) for point in x] == [space.decode(point) for point in x]

    def test_parameters_lead_back_to_themselves(self) -> None:
        space, x = self._points()
        for params in map(space.decode, x):
            again = space.decode(space.encode(params))
            assert again.keys() == params.keys()
            for name, value in params.items():
                close = isinstance(value, float) and math.isclose(
                    value, again[name], rel_tol=1e-9, abs_tol=1e-12
                )
                assert close or value == again[name]

    def test_fixed_parameters_are_always_there(self) -> None:
        space, x = self._points()
        given = {name: p.value for name, p in self.space().items() if isinstance(p, Fixed)}
        assert all(given.items() <= space.decode(point).items() for point in x)

    def test_a_search_returns_parameters_of_the_space(self) -> None:
        r = _minimize.minimize(
            lambda params: float(len(params)), space=self.space(), max_evals=20, seed=0
        )
        assert r.params is not None
        assert all(Space(self.space()).parameter(name).allows(v) for name, v in r.params.items())
