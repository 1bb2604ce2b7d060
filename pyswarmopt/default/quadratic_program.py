"""Quadratic programs with soft limits, by an interior-point method."""

from __future__ import annotations

import numpy as np

from pyswarmopt.base.arrays import Floats

TOLERANCE = 1e-13  # of the gap between the program's value and its bound
CENTRE = 0.1  # share of the gap that a step aims at
SHORT_OF_WALLS = 0.995  # share of the way to the nearest number that must stay above 0
STEPS = 100  # most steps; then the latest d is returned
FIRST_ROOM = 0.1  # distance from the limits at the start


def quadratic_program(
    hessian: Floats, gradient: Floats, rows: Floats, limits: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """The d that minimises gradient d + d hessian d / 2 + weights max(rows d - limits, 0), and the
    rows' multipliers, between 0 and the weights.

    A primal-dual interior-point method (Nocedal & Wright 2006, section 16.6) in which each row has
    two distances, inside and beyond its limit. It is as fast with thousands of rows.

    Args:
        hessian: (D, D), positive semidefinite.
        gradient: (D,).
        rows: (J, D), of about unit length, as the gradient.
        limits: (J,).
        weights: (J,), above 0.

    Raises:
        LinAlgError: the program is unbounded.

    Example:
        >>> g, a = np.array([-2.0, 0.0]), np.array([[1.0, 1.0]])
        >>> d, m = quadratic_program(np.eye(2), g, a, np.ones(1), np.full(1, 9.0))
        >>> d.round(6).tolist(), m.round(6).tolist()
        ([1.5, -0.5], [0.5])
    """
    d = np.zeros(len(gradient))
    # distances inside and beyond the limits, and of the multipliers from 0 and from the weights
    inside = np.maximum(limits, 0.0) + FIRST_ROOM
    beyond = np.maximum(-limits, 0.0) + FIRST_ROOM
    low = np.minimum(1.0, weights / 2)
    high = weights - low
    for _ in range(STEPS):
        gap = float(inside @ low + beyond @ high) / (2 * len(rows))
        slope = gradient + hessian @ d + rows.T @ low
        if gap <= TOLERANCE and np.abs(slope).max() <= np.sqrt(TOLERANCE):
            break
        aim = CENTRE * gap
        stiff = 1 / (inside / low + beyond / high)
        away = (aim / low - inside) - (aim / high - beyond)
        normal = hessian + (rows.T * stiff) @ rows
        try:
            step = np.linalg.solve(normal, -slope - rows.T @ (stiff * away))
        except np.linalg.LinAlgError:
            if gap > np.sqrt(TOLERANCE):
                raise
            break
        change = stiff * (rows @ step + away)
        into = aim / low - inside - inside / low * change
        out = aim / high - beyond + beyond / high * change
        moving = (inside, into), (beyond, out), (low, change), (high, -change)
        nearest = min(_way_to_zero(numbers, moves) for numbers, moves in moving)
        share = min(1.0, SHORT_OF_WALLS * nearest)
        d = d + share * step
        inside = inside + share * into
        beyond = beyond + share * out
        low = low + share * change
        high = high - share * change
    return d, low


def _way_to_zero(numbers: Floats, moves: Floats) -> float:
    """The least share of the moves, (J,), that takes a number, (J,), to 0; infinite if none falls."""
    falling = moves < 0
    return float((numbers[falling] / -moves[falling]).min(initial=np.inf))
