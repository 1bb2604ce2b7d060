"""Pictures of a result: which parameters mattered, where their good values were, a Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyswarmopt.driver.multi.multiobjective import MultiResult
from pyswarmopt.driver.problem.space import Choice, Real
from pyswarmopt.driver.result import Result
from pyswarmopt.inspect.plot.curves import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def importance(result: Result, ax: Axes | None = None) -> Axes:
    """`Result.importance` as bars, the largest on top.

    Args:
        result: of a search that kept its points, as one with ``space=`` does.
        ax: axes to draw on; default: new ones.

    Returns:
        The axes.

    Raises:
        ValueError: the points were not kept.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(lambda a, b: a + b, space={"a": (0.0, 1.0), "b": pso.integer(1, 9)}, max_evals=30, seed=0)
        >>> ax = pso.plot.importance(r)
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['b', 'a']
        >>> matplotlib.pyplot.close(ax.figure)
    """
    shares = result.importance()
    ax = axes_or_new(ax)
    ax.barh(list(shares), list(shares.values()))
    ax.invert_yaxis()
    ax.set_xlabel("share of the variance that the parameter explains by itself")
    return ax


def parameter(result: Result, name: str, ax: Axes | None = None) -> Axes:
    """The value of every evaluation against one parameter; later evaluations are darker.

    Args:
        result: of a search with ``space=``.
        name: of a parameter that was searched.
        ax: axes to draw on; default: new ones.

    Returns:
        The axes.

    Raises:
        ValueError: a search without names, or without this one.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(lambda a, b: a + b, space={"a": (0.0, 1.0), "b": pso.integer(1, 9)}, max_evals=30, seed=0)
        >>> ax = pso.plot.parameter(r, "a")
        >>> ax.get_xlabel()
        'a'
        >>> matplotlib.pyplot.close(ax.figure)
    """
    space = result.space
    if space is None or name not in space.names:
        names = "has no names" if space is None else f"searched {', '.join(space.names)}"
        raise ValueError(f"parameter={name!r}: this search {names}")
    _, values = result.evaluated()
    kind, x = space.parameter(name), result.coordinates()[:, space.names.index(name)]
    ax = axes_or_new(ax)
    if isinstance(kind, Real) and kind.log:
        x = np.exp(x)
        ax.set_xscale("log")
    ax.scatter(
        x, values, c=np.arange(len(x)), cmap="Blues", edgecolors="grey", linewidths=0.3, s=18
    )
    if isinstance(kind, Choice):
        ax.set_xticks(range(len(kind.options)), [str(option) for option in kind.options])
    ax.set_xlabel(name)
    ax.set_ylabel("value")
    return ax


def front(
    result: MultiResult, ax: Axes | None = None, objectives: tuple[int, int] = (0, 1)
) -> Axes:
    """Two objectives of the points of a front against each other.

    Args:
        result: of `pyswarmopt.minimize_multi`.
        ax: axes to draw on; default: new ones.
        objectives: which ones, counted from 0: across, and up.

    Returns:
        The axes.

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
