"""Policies of about 200 weights: the default beside `constriction` and pycma's separable CMA-ES.

    python research/benchmarks/functions/policies.py --out research/evidence/policies.jsonl
    python research/benchmarks/functions/policies.py --out research/evidence/policies.jsonl --table

CartPole from eight starts and the swing-up of its pole from four, each by a network with one hidden
layer and weights in [-2, 2] (those of STUMBLES_CORE.md). The outcome is minus the share of steps stood, and
minus the mean height in the second half, after 1, 3, 10 and 30 D calls, seeds 0 to 2. The default was
chosen on seeds 0 to 2, 100 and further on; a run takes up to some minutes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import math
from typing import Any

import numpy as np
from resumed import compared

import pyswarmopt as pso

SOLVERS = ("default", "constriction", "sep-CMA-ES")
PER_DIM = (1, 3, 10, 30)  # calls
STANDING = np.random.default_rng(5).uniform(-1, 1, (8, 4)) * [0.6, 0.6, 0.35, 0.6]
HANGING = np.array([[0, 0, 0, 0], [0.3, 0, -0.3, 0], [-0.3, 0, 0.3, 0], [0, 0, 0, 0.5]])
HANGING[:, 2] += math.pi


def _output(weights: Any, seen: Any) -> Any:
    hidden = (len(weights) - 1) // (seen.shape[1] + 2)
    into, rest = np.split(weights, [hidden * seen.shape[1]])
    layer = np.tanh(seen @ into.reshape(hidden, -1).T + rest[:hidden])
    return layer @ rest[hidden:-1] + rest[-1]


def _pushed(state: Any, force: Any, step: float) -> Any:
    _, speed, angle, turn = state.T
    sine, cosine = np.sin(angle), np.cos(angle)
    push = (force + 0.05 * turn * turn * sine) / 1.1
    fall = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    return state + step * np.stack([speed, push - 0.05 * fall * cosine / 1.1, turn, fall], axis=1)


def cart_pole(weights: Any) -> float:
    state, alive, stood = STANDING, np.ones(8, dtype=bool), 0
    for _ in range(300):
        force = np.where(_output(weights, state) > 0, 10.0, -10.0)
        state = _pushed(state, force, 0.02)
        alive &= (np.abs(state[:, 0]) < 2.4) & (np.abs(state[:, 2]) < 0.6)
        if not alive.any():
            break
        stood += int(alive.sum())
    return -stood / 2400


def swing_up(weights: Any) -> float:
    state, height = HANGING, 0.0
    for step in range(250):
        place, speed, angle, turn = state.T
        seen = np.stack([place, speed / 2, np.sin(angle), np.cos(angle), turn / 3], axis=1)
        state = _pushed(state, 12 * np.tanh(_output(weights, seen)), 0.04)
        state[:, 3] = np.clip(state[:, 3], -15, 15)
        at_end = np.abs(state[:, 0]) > 3
        state[at_end, 1] = 0.0
        state[:, 0] = np.clip(state[:, 0], -3, 3)
        if step >= 125:
            height += float((np.cos(state[:, 2]) - 0.05 * np.abs(state[:, 0])).mean())
    return -height / 125


TASKS = {"CartPole": (cart_pole, 199), "swing-up": (swing_up, 197)}


def run(task: str, per_dim: int, solver: str, seed: int) -> float:
    """The best value."""
    fun, dim = TASKS[task]
    if solver == "sep-CMA-ES":
        return _separable(fun, dim, per_dim * dim, seed)
    recipe = None if solver == "default" else solver
    box = [(-2, 2)] * dim
    return float(pso.minimize(fun, box, recipe=recipe, max_evals=per_dim * dim, seed=seed).fun)


def _separable(fun: Any, dim: int, calls: int, seed: int) -> float:
    import cma

    options = {"CMA_diagonal": True, "bounds": [-2, 2], "verbose": -9}
    best, made = math.inf, 0
    while made < calls:
        options |= {"seed": seed + 1 + made, "maxfevals": calls - made}
        found = cma.fmin2(fun, np.zeros(dim), 0.5, options)[1].result
        best, made = min(best, found.fbest), made + found.evaluations
    return float(best)


if __name__ == "__main__":
    tried = {"solver": SOLVERS, "task": TASKS, "per_dim": PER_DIM}
    compared(__doc__, 3, tried, "best", run)
