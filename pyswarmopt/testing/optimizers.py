"""Invariants of an optimiser with ask and tell."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pyswarmopt.base.arrays import Floats, as_arrays
from pyswarmopt.testing.watched import Bounds, valley

if TYPE_CHECKING:
    from pyswarmopt.base.optimizer import Optimizer


class OptimizerTests:
    """Invariants of an `Optimizer`: ask, evaluate, tell, until `stop` gives a reason.

    Attributes:
        bounds: box.
        rounds: number of rounds of ask and tell in a test.
    """

    bounds: ClassVar[Bounds] = [(-4.0, 3.0)] * 3
    rounds = 8

    def optimizer(self, seed: int = 0, maximize: bool = False) -> Optimizer:
        """A new optimizer in `bounds`."""
        raise NotImplementedError("return the optimizer that is to be tested")

    def play(self, optimizer: Optimizer, rounds: int | None = None) -> tuple[Floats, Floats]:
        """Ask and tell; return all points, (n, D), and values, (n,)."""
        points = [np.empty((0, len(self.bounds)))]
        values = [np.empty(0)]
        for _ in range(self.rounds if rounds is None else rounds):
            x = optimizer.ask()
            points.append(_copy(x))
            values.append(valley(points[-1]))
            optimizer.tell(x, values[-1])
        return np.concatenate(points), np.concatenate(values)

    def _refuses(self, call: Callable[[], object]) -> None:
        try:
            call()
        except ValueError:
            return
        raise AssertionError("a wrong call was not refused with ValueError")

    def test_ask_gives_points_of_the_box(self) -> None:
        low, high = np.array(self.bounds).T
        x = self.play(self.optimizer())[0]
        assert x.shape[1] == len(self.bounds) and ((x >= low) & (x <= high)).all()

    def test_ask_gives_the_same_until_tell(self) -> None:
        optimizer = self.optimizer()
        first = _copy(optimizer.ask())
        second = _copy(optimizer.ask())
        assert np.array_equal(first, second)

    def test_the_best_is_the_best_told(self) -> None:
        for maximize in (False, True):
            optimizer = self.optimizer(maximize=maximize)
            values = self.play(optimizer)[1]
            i = int(values.argmax() if maximize else values.argmin())
            assert optimizer.best.value == values[i] == valley(_copy(optimizer.best.x))

    def test_the_best_is_a_copy(self) -> None:
        optimizer = self.optimizer()
        self.play(optimizer)
        best = _copy(optimizer.best.x)
        optimizer.best.x[:] = 0.0
        assert np.array_equal(best, _copy(optimizer.best.x))

    def test_what_is_no_number_is_never_the_best(self) -> None:
        for maximize in (False, True):
            optimizer = self.optimizer(maximize=maximize)
            worst = -math.inf if maximize else math.inf
            for bad in (math.nan, math.inf, -math.inf):
                x = optimizer.ask()
                optimizer.tell(x, np.full(len(x), bad))
            assert optimizer.best.value == worst
            values = self.play(optimizer)[1]
            assert optimizer.best.value == (values.max() if maximize else values.min())

    def test_tell_needs_ask(self) -> None:
        optimizer = self.optimizer()
        x = optimizer.ask()
        optimizer.tell(x, np.zeros(len(x)))
        self._refuses(lambda: optimizer.tell(x, np.zeros(len(x))))

    def test_tell_needs_the_points_that_were_asked(self) -> None:
        optimizer = self.optimizer()
        x = optimizer.ask()
        self._refuses(lambda: optimizer.tell(x + 0.5, np.zeros(len(x))))

    def test_tell_needs_a_value_for_each_point(self) -> None:
        optimizer = self.optimizer()
        x = optimizer.ask()
        self._refuses(lambda: optimizer.tell(x, np.zeros(len(x) + 1)))

    def test_a_refused_call_loses_nothing(self) -> None:
        optimizer = self.optimizer()
        other = self.optimizer()
        x = optimizer.ask()
        self._refuses(lambda: optimizer.tell(x, np.zeros(len(x) + 1)))
        self._refuses(lambda: optimizer.load_state_dict({}))
        assert np.array_equal(self.play(optimizer)[0], self.play(other)[0])

    def test_the_same_seed_gives_the_same_points(self) -> None:
        assert np.array_equal(self.play(self.optimizer())[0], self.play(self.optimizer())[0])

    def test_a_saved_state_goes_on_bit_for_bit(self) -> None:
        for before in (0, 1, self.rounds):
            first = self.optimizer()
            second = self.optimizer(seed=1)
            self.play(first, before)
            second.load_state_dict(first.state_dict())
            assert np.array_equal(self.play(first)[0], self.play(second)[0])

    def test_a_saved_state_is_a_copy(self) -> None:
        optimizer = self.optimizer()
        self.play(optimizer, 2)
        saved = as_arrays(optimizer.state_dict())
        before = copy.deepcopy(saved)
        self.play(optimizer)
        assert saved.keys() == before.keys()
        assert all(saved[name].tobytes() == before[name].tobytes() for name in _arrays(before))

    def test_stop_is_empty_or_has_reasons(self) -> None:
        reasons = self.optimizer().stop()
        assert isinstance(reasons, dict) and all(isinstance(name, str) for name in reasons)


def _arrays(saved: Mapping[str, Any]) -> list[str]:
    return [name for name, value in saved.items() if isinstance(value, np.ndarray)]


def _copy(x: Any) -> Floats:
    """A copy of an array or tensor, as an array."""
    return np.asarray(x).astype(np.float64)
