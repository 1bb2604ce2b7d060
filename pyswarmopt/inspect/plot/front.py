"""The Pareto front of a search with several objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyswarmopt.driver.multi.multiobjective import MultiResult
from pyswarmopt.inspect.plot.curves import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def front(
    result: MultiResult, ax: Axes | None = None, objectives: tuple[int, int] = (0, 1)
) -> Axes:
    """Two objectives of the points of a front against each other.

    Args:
        result: of `pyswarmopt.minimize_multi`.
        ax: axes to draw on; default: new ones.
        objectives: which ones, counted from 0: across, and up.

    Raises:
        ValueError: a front without points, or without these objectives.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> r = pso.minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], max_evals=500, seed=1)
        >>> axes = front(r)
        >>> axes.get_ylabel()
        'objective 1'
        >>> matplotlib.pyplot.close(axes.figure)
    """
    if not len(result.fun):
        raise ValueError("this front has no points: no finite value was found")
    size = result.fun.shape[1]
    if len(objectives) != 2 or not all(0 <= i < size for i in objectives):
        raise ValueError(f"objectives={objectives}: name two of 0 to {size - 1}")
    across, up = objectives
    ax = axes_or_new(ax)
    ax.plot(result.fun[:, across], result.fun[:, up], "o", markersize=4)
    ax.set_xlabel(f"objective {across}")
    ax.set_ylabel(f"objective {up}")
    return ax
