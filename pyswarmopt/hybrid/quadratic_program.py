"""Small quadratic programs with linear constraints, by non-negative least squares on their dual."""

from __future__ import annotations

import bisect

import numpy as np

from pyswarmopt.base.arrays import Floats

TOLERANCE = 1e-12  # gradient, relative to its terms, that counts as zero
MANY = 256  # with more rows, plus four per coordinate, the primal is solved
NEWTON_STEPS = 100


def nonnegative_least_squares(a: Floats, b: Floats) -> Floats:
    """The x >= 0, (N,), that minimises |a x - b|, for a (M, N) of full column rank and b (M,).

    Lawson & Hanson 1974, Solving Least Squares Problems, algorithm NNLS.

    Example:
        >>> nonnegative_least_squares(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([2.0, 1.0])).round(9).tolist()
        [1.5, 0.0]
    """
    n = a.shape[1]
    x = np.zeros(n)
    passive = np.zeros(n, dtype=np.bool_)
    scale = np.abs(a).T @ np.abs(b)
    for _ in range(3 * n):
        gradient = np.where(passive, -np.inf, a.T @ (b - a @ x) - TOLERANCE * scale)
        i = int(gradient.argmax()) if n else 0
        if not n or not gradient[i] > 0:
            break
        passive[i] = True
        while passive.any():
            z = np.zeros(n)
            z[passive] = np.linalg.lstsq(a[:, passive], b, rcond=None)[0]
            back = passive & (z <= 0)
            if not back.any():
                x = z
                break
            share = float((x[back] / np.maximum(x[back] - z[back], 1e-300)).min())
            x = x + share * (z - x)
            passive &= x > 1e-14 * x.max()
            x[~passive] = 0.0
    return x


def quadratic_program(
    hessian: Floats,
    gradient: Floats,
    rows: Floats,
    limits: Floats,
    multipliers: Floats,
    softness: float,
) -> tuple[Floats, Floats]:
    """The d that minimises gradient d + d hessian d / 2 subject to rows d <= limits, and its
    multipliers.

    Contradicting limits are broken as little as `softness` allows: the dual has the term softness
    |m - multipliers|^2 / 2 (stabilised SQP: Wright 1998, Comput. Optim. Appl. 11), so none is
    broken if the multipliers are already right.

    Args:
        hessian: (D, D), positive definite.
        gradient: (D,).
        rows: (J, D).
        limits: (J,).
        multipliers: (J,) latest ones, at least 0.
        softness: above 0.

    Raises:
        LinAlgError: the Hessian is not positive definite.

    Example:
        >>> g, a = np.array([-2.0, 0.0]), np.array([[1.0, 1.0]])
        >>> d, m = quadratic_program(np.eye(2), g, a, np.ones(1), np.zeros(1), 1e-12)
        >>> d.round(6).tolist(), m.round(6).tolist()
        ([1.5, -0.5], [0.5])
    """
    factor = np.linalg.cholesky(hessian)
    if len(rows) > max(MANY, 4 * len(gradient)):
        return _primal(hessian, gradient, rows, limits, multipliers, softness)
    root = np.sqrt(softness)
    a = np.concatenate([np.linalg.solve(factor, rows.T), root * np.eye(len(rows))])
    b = np.concatenate([-np.linalg.solve(factor, gradient), root * multipliers - limits / root])
    solution = nonnegative_least_squares(a, b)
    direction = np.linalg.solve(hessian, -(gradient + rows.T @ solution))
    return direction.astype(np.float64, copy=False), solution


def _primal(
    hessian: Floats,
    gradient: Floats,
    rows: Floats,
    limits: Floats,
    multipliers: Floats,
    softness: float,
) -> tuple[Floats, Floats]:
    """As `quadratic_program`, for far more rows than coordinates, where the dual is large.

    The dual's term makes the primal an unconstrained problem in D numbers: a row broken beyond what
    its multiplier allows costs the square of the excess over twice the softness. It is quadratic
    between the points where rows start to count, so Newton's method with exact line searches
    terminates.
    """

    def dual(d: Floats) -> Floats:
        return np.maximum(multipliers + (rows @ d - limits) / softness, 0.0)

    d = np.zeros(len(gradient))
    for _ in range(NEWTON_STEPS):
        solution = dual(d)
        slope = gradient + hessian @ d + rows.T @ solution
        terms = np.abs(gradient) + np.abs(rows).T @ solution
        if (np.abs(slope) <= TOLERANCE * terms).all():
            break
        counting = rows[solution > 0]
        step = -np.linalg.solve(hessian + counting.T @ counting / softness, slope)
        length = _lowest(
            slope=float((gradient + hessian @ d) @ step),
            bend=float(step @ hessian @ step),
            moves=rows @ step,
            starts=multipliers + (rows @ d - limits) / softness,
            softness=softness,
        )
        if not (length * np.abs(step) > TOLERANCE * np.abs(d)).any():
            break
        d = d + length * step
    return d, dual(d)


def _lowest(slope: float, bend: float, moves: Floats, starts: Floats, softness: float) -> float:
    """The t >= 0 where the increasing function slope + bend t + sum_j moves_j max(starts_j +
    moves_j t / softness, 0) is 0.
    """
    rates = moves / softness
    with np.errstate(divide="ignore", invalid="ignore"):
        turns = np.unique(np.where(rates != 0, -starts / rates, 0.0))
    turns = turns[turns > 0]
    turns = np.concatenate([[0.0], turns])

    def below(t: float) -> bool:
        return bool(slope + bend * t + moves @ np.maximum(starts + rates * t, 0.0) < 0)

    last = max(bisect.bisect_left(turns, True, key=lambda t: not below(t)) - 1, 0)
    begin = turns[last]
    inside = turns[last : last + 2].mean() if last + 1 < len(turns) else begin + 1.0
    counting = starts + rates * inside > 0
    fixed = slope + moves[counting] @ starts[counting]
    return max(float(-fixed / (bend + moves[counting] @ rates[counting])), float(begin))
