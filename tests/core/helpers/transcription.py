"""Algorithm 1 of Model Swarms, written out loop by loop with floats and lists: what the library
must equal.

Feng et al. (2024), "Model Swarms", arXiv 2410.11163, Algorithm 1. Nothing here is vectorised,
shared with the library or meant to be fast. Where the authors' released code differs from the paper
there is an `if` on `compat`, and nowhere else; `test_released_search.py` holds those branches
against runs of that code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Point = list[float]
Compat = Literal["paper", "reference"]


@dataclass(frozen=True)
class Settings:
    """The knobs of `recipes.model_swarms`, by the same names (without randomness: the scalars are
    given).
    """

    inertia: float = 0.2
    cognitive: float = 0.3
    social: float = 0.4
    repel: float = 0.05
    step: float = 0.8
    step_decay: float = 0.95
    restart_patience: int = 5
    patience: int = 10
    max_iter: int = 50
    compat: Compat = "paper"


@dataclass(frozen=True)
class Snapshot:
    """The swarm after one evaluation round; round 0 is the evaluation of the starting points."""

    evaluated: list[Point]
    """Where the particles were evaluated."""
    positions: list[Point]
    """Where they are now: as evaluated, except that a restarted particle is at its personal
    best.
    """
    velocities: list[Point]
    best: Point
    best_value: float
    worst: Point
    worst_value: float
    restarted: list[int]
    """The particles that this round sent back to their personal best."""
    new_worst: bool
    """Whether this round (never round 0) found a new global worst."""
    stop: bool
    """Whether the search ends with this round."""


def algorithm_1(
    positions: Sequence[Sequence[float]],
    velocities: Sequence[Sequence[float]],
    objective: Callable[[Point], float],
    s: Settings,
    scalars: Iterator[float],
    drops: Sequence[Collection[int]] = (),
) -> list[Snapshot]:
    """Run Algorithm 1 (maximising) from exact starting points until it stops.

    Args:
        positions: one list of D floats per particle.
        velocities: as positions.
        objective: higher is better; called for each particle in turn, round by round.
        s: the settings.
        scalars: the r of step 1, taken in the order: particle by particle, and for each particle
            inertia, cognitive, social, repel. `itertools.repeat(1.0)` switches randomness off.
        drops: for round 1, 2, ... the particles whose evaluation is skipped; rounds beyond its end
            drop none.

    Returns:
        One snapshot per round, round 0 first.
    """
    x = [list(point) for point in positions]
    v = [list(point) for point in velocities]
    n, dim = len(x), len(x[0])

    # Step 0: p_i = x_i, g = argmax f, w = argmin f.
    f = [objective(list(x[i])) for i in range(n)]
    p, p_value = [list(point) for point in x], list(f)
    g, g_value = list(x[0]), f[0]
    for i in range(1, n):
        if f[i] > g_value:
            g, g_value = list(x[i]), f[i]
    w, w_value = _worst([], math.inf, x, f, s)

    # evaluations since p_i changed (or, in the paper, since the particle's restart)
    unchanged = [0] * n
    g_unchanged = 0
    step = s.step
    # all values of each particle and of g, which the reference looks back on
    history = [[value] for value in f]
    g_history = [g_value]
    restarted = _send_back_as_released(x, v, p, history, s) if s.compat == "reference" else []
    rounds = [
        Snapshot(_copy(x), _copy(x), _copy(v), g, g_value, w, w_value, restarted, False, False)
    ]

    for k in range(1, s.max_iter + 1):
        # Steps 1 and 2: all particles move on the p, g and w of the previous round.
        for i in range(n):
            r_v, r_p, r_g, r_w = next(scalars), next(scalars), next(scalars), next(scalars)
            c = r_v * s.inertia + r_p * s.cognitive + r_g * s.social + r_w * s.repel
            for d in range(dim):
                pull = (
                    r_v * s.inertia * v[i][d]
                    + r_p * s.cognitive * (p[i][d] - x[i][d])
                    + r_g * s.social * (g[d] - x[i][d])
                    + r_w * s.repel * (x[i][d] - w[d])
                )
                v[i][d] = pull / c
            for d in range(dim):
                x[i][d] = x[i][d] + step * v[i][d]
        evaluated = _copy(x)

        # Step 2, evaluation. `scored`: the particles that have a value this round.
        dropped = drops[k - 1] if k <= len(drops) else ()
        scored = []
        for i in range(n):
            if i not in dropped:
                f[i] = objective(list(x[i]))
                scored.append(i)
            elif s.compat == "reference":
                # its old score, f[i], counts again; in the paper it updates nothing
                scored.append(i)

        # Step 2, the bests and the worst: only strict improvement counts.
        g_unchanged += 1
        for i in scored:
            unchanged[i] += 1
            if f[i] > p_value[i]:
                p[i], p_value[i] = list(x[i]), f[i]
                unchanged[i] = 0
            if f[i] > g_value:
                g, g_value = list(x[i]), f[i]
                g_unchanged = 0
            history[i].append(f[i])
        g_history.append(g_value)
        old_worst_value = w_value
        w, w_value = _worst(w, w_value, [x[i] for i in scored], [f[i] for i in scored], s)

        # Step 3: after c_r rounds without a new personal best, back to it and to rest.
        restarted = []
        if s.compat == "reference":
            restarted = _send_back_as_released(x, v, p, history, s)
        else:
            for i in scored:
                if unchanged[i] >= s.restart_patience:
                    x[i], v[i] = list(p[i]), [0.0] * dim
                    restarted.append(i)
                    unchanged[i] = 0

        # Step 4: stop, or shrink the step.
        # more than c values of g so far, and the last c of them are equal
        if s.compat == "reference":
            stop = len(g_history) > s.patience and len(set(g_history[-s.patience :])) == 1
        else:
            stop = g_unchanged >= s.patience
        stop = stop or k == s.max_iter
        step = step * s.step_decay
        if s.compat == "reference" and step < 0.1:
            step = 0.1

        new_worst = w_value < old_worst_value
        rounds.append(
            Snapshot(
                evaluated, _copy(x), _copy(v), g, g_value, w, w_value, restarted, new_worst, stop
            )
        )
        if stop:
            break
    return rounds


def _worst(
    w: Point, w_value: float, x: list[Point], f: list[float], s: Settings
) -> tuple[Point, float]:
    """The global worst after a round; of equally bad new ones the first, in later rounds of the
    reference the last.
    """
    lowest = w_value
    for i in range(len(x)):
        if f[i] < lowest:
            w, lowest = list(x[i]), f[i]
        elif s.compat == "reference" and w_value < math.inf and f[i] == lowest and lowest < w_value:
            w = list(x[i])
    return w, lowest


def _send_back_as_released(
    x: list[Point], v: list[Point], p: list[Point], history: list[list[float]], s: Settings
) -> list[int]:
    """Restart, before the next move, every particle whose best value is as far back in its history;
    who that is.
    """
    restarted = []
    for i, values in enumerate(history):
        if len(values) - values.index(max(values)) >= s.restart_patience:
            x[i], v[i] = list(p[i]), [0.0] * len(p[i])
            restarted.append(i)
    return restarted


def _copy(points: list[Point]) -> list[Point]:
    return [list(point) for point in points]
