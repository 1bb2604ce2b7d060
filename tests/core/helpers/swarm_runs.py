"""What many tests do with swarms and results: drive one, and compare two to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pyswarmopt as pso


def bowl(x: Any) -> float:
    """Least, 0, at (1, 1, ...); (D,) -> a number."""
    return float(np.sum((x - 1.0) ** 2))


def drive(swarm: Any, fun: Callable[..., Any], rounds: int) -> Any:
    """Ask, evaluate all points at once, tell; the swarm."""
    for _ in range(rounds):
        x = swarm.ask()
        swarm.tell(x, fun(x))
    return swarm


def same_state(a: Any, b: Any) -> bool:
    """Whether two swarms hold the same; NaN equals NaN."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(
        torch.equal(left[k].double().nan_to_num(), right[k].double().nan_to_num())
        if isinstance(left[k], torch.Tensor)
        else left[k] == right[k]
        for k in left
    )


def events(result: pso.Result) -> list[tuple[Any, ...]]:
    """The course of a search with history="particles"; NaN equals NaN."""
    return [(r.iteration, r.particle, repr(r.value), *r.x) for r in result.history]


def same_result(a: pso.Result, b: pso.Result) -> bool:
    """Whether two searches found the same in the same way."""
    counts = (a.fun, a.nfev, a.nit, a.stop, a.maxcv) == (b.fun, b.nfev, b.nit, b.stop, b.maxcv)
    return counts and np.array_equal(a.x, b.x) and list(a.history) == list(b.history)
