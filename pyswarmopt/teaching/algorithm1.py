"""Algorithm 1 of Model Swarms (Feng et al. 2024, arXiv 2410.11163) in NumPy, to read alongside the
paper.

One function, one loop, the paper's symbols; nothing here is fast. `pyswarmopt.recipes.model_swarms`
is the same algorithm composed of parts; a test compares both point by point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats


class Setting(NamedTuple):
    """The paper's symbols; the defaults match `pyswarmopt.recipes.model_swarms`."""

    N: int = 20  # particles
    phi_v: float = 0.2  # inertia
    phi_p: float = 0.3  # cognitive coefficient
    phi_g: float = 0.4  # social coefficient
    phi_w: float = 0.05  # repel coefficient
    lambda_: float = 0.8  # step length
    phi_lambda: float = 0.95  # its schedule
    c_r: int = 5  # restart patience
    c: int = 10  # patience
    K: int = 50  # most iterations


def algorithm1(
    f: Callable[[Floats], float],
    experts: npt.ArrayLike,
    setting: Setting | None = None,
    seed: int = 0,
) -> tuple[Floats, float]:
    """Find a point in the affine hull of the experts where the utility `f` is high.

    Args:
        f: utility of a point, (D,) -> float; higher is better.
        experts: (n, D), at least 2.
        setting: the coefficients and limits.
        seed: seed of the random numbers.

    Returns:
        g, (D,), and f(g).

    Example:
        >>> experts = [[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]
        >>> g, value = algorithm1(lambda x: -((x - 1) ** 2).sum(), experts)
        >>> value > -0.001
        True
    """
    return run(
        f,
        np.asarray(experts, dtype=np.float64),
        setting or Setting(),
        np.random.default_rng(seed).random,
    )


def run(
    f: Callable[[Floats], float],
    experts: Floats,
    s: Setting,
    draw: Callable[[tuple[int, ...]], Floats],
) -> tuple[Floats, float]:
    """Run Algorithm 1 with the random numbers of `draw`: shape -> U(0, 1) of that shape."""
    # Step 0. The experts come first; then t x_a + (1 - t) x_b until there are N.
    n = len(experts)
    u = draw((s.N - n, 3))
    a = (u[:, 0] * n).astype(int)
    b = another(a, u[:, 1], n)
    t = u[:, 2:]
    x = np.concatenate([experts, t * experts[a] + (1 - t) * experts[b]])
    i = np.arange(s.N)
    v = x[another(i, draw((s.N,)), s.N)] - x  # v_i = x_j - x_i
    y = np.array([f(x_i) for x_i in x])
    p, f_p = x.copy(), y.copy()  # personal bests
    g, f_g = x[y.argmax()].copy(), y.max()  # global best
    worst, f_worst = x[y.argmin()].copy(), y.min()  # global worst
    p_unchanged = np.zeros(s.N, dtype=int)
    g_unchanged = 0
    lambda_ = s.lambda_

    for _ in range(s.K):
        # Step 1. Velocities, from p, g and worst of the iteration before.
        r_v, r_p, r_g, r_w = draw((s.N, 4)).T[:, :, None]  # one number per particle and term
        C = r_v * s.phi_v + r_p * s.phi_p + r_g * s.phi_g + r_w * s.phi_w
        v = (
            r_v * s.phi_v * v
            + r_p * s.phi_p * (p - x)
            + r_g * s.phi_g * (g - x)
            + r_w * s.phi_w * (x - worst)
        )
        v = v / C
        # Step 2. Positions; p, g and worst change on strict improvement.
        x = x + lambda_ * v
        y = np.array([f(x_i) for x_i in x])
        better = y > f_p
        p[better], f_p[better] = x[better], y[better]
        p_unchanged = np.where(better, 0, p_unchanged + 1)
        g_unchanged += 1
        if y.max() > f_g:
            g = x[y.argmax()].copy()
            f_g = y.max()
            g_unchanged = 0
        if y.min() < f_worst:
            worst = x[y.argmin()].copy()
            f_worst = y.min()
        # Restart (of step 2): back to p, at rest; the count starts again.
        due = p_unchanged >= s.c_r
        x[due], v[due], p_unchanged[due] = p[due], 0.0, 0
        # Step 3. Stop, or shorten the step.
        if g_unchanged >= s.c:
            break
        lambda_ = lambda_ * s.phi_lambda
    return g, float(f_g)


def another(i: npt.NDArray[np.int64], u: Floats, n: int) -> npt.NDArray[np.int64]:
    """A number from 0, ..., n - 1 other than i, for each u ~ U(0, 1)."""
    return (i + 1 + (u * (n - 1)).astype(int)) % n
