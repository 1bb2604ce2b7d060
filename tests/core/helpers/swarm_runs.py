"""What many tests do with swarms and results: drive one, and compare two to the last bit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pyswarmopt as pso


def bowl(x: Any) -> float:
    """Least, 0, at (1, 1, ...); an array or a tensor, (D,) -> a number."""
    return float(bowls(x))


def bowls(x: Any) -> Any:
    """The same of many points; (..., D) -> (...)."""
    return ((x - 1.0) ** 2).sum(-1)


class Fails:
    """An objective whose n-th call, counted from 0, raises; what came of the others is kept."""

    def __init__(self, fun: Callable[..., Any], at: int, error: type[BaseException]) -> None:
        self.fun, self.at, self.error = fun, at, error
        self.points: list[Any] = []
        self.values: list[Any] = []

    def __call__(self, x: Any) -> Any:
        if len(self.values) == self.at:
            self.at = -1
            raise self.error("no licence")
        self.points.append(np.array(x))
        self.values.append(self.fun(x))
        return self.values[-1]


def drive(swarm: Any, fun: Callable[..., Any], rounds: int) -> Any:
    """Ask, evaluate all points at once, tell; the swarm."""
    for _ in range(rounds):
        x = swarm.ask()
        swarm.tell(x, fun(x))
    return swarm


def same_state(a: Any, b: Any) -> bool:
    """Whether two swarms hold the same; NaN equals NaN."""
    return same_entries(a.state_dict(), b.state_dict())


def same_entries(left: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether two saved states are equal, the kinds of their arrays included."""
    return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)


def same(left: Any, right: Any) -> bool:
    """Whether two entries of a state are equal; NaN equals NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        left, right = left.cpu().double().numpy(), right.cpu().double().numpy()
    if isinstance(left, np.ndarray):
        return bool(np.array_equal(left, right, equal_nan=left.dtype.kind == "f"))
    return bool(left == right)


def steps_of(call: Callable[[], Any]) -> tuple[int, Any]:
    """Calls and returns of functions in a call, its cost on any machine; and what it returns."""
    seen: list[str] = []
    sys.setprofile(lambda *event: seen.append(event[1]))
    try:
        result = call()
    finally:
        sys.setprofile(None)
    return len(seen), result


def events(result: pso.Result) -> list[tuple[Any, ...]]:
    """The course of a search with history="particles"; NaN equals NaN."""
    return [(r.iteration, r.particle, repr(r.value), *r.x) for r in result.history]


def same_result(a: pso.Result, b: pso.Result) -> bool:
    """Whether two searches found the same in the same way."""
    counts = (a.fun, a.nfev, a.nit, a.stop, a.maxcv) == (b.fun, b.nfev, b.nit, b.stop, b.maxcv)
    return counts and np.array_equal(a.x, b.x) and list(a.history) == list(b.history)
