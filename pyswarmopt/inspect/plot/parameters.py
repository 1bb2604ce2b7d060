"""Which parameters mattered, and where in their ranges the good values were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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

    Raises:
        ValueError: the points were not kept.
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

    Raises:
        ValueError: a search without names, or without this one.
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
