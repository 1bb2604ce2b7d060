"""Curves over evaluations: the best value, and the particles' diversity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats, needing
from pyswarmopt.driver.result import Result
from pyswarmopt.inspect.plot.trace import Trace, trace
from pyswarmopt.inspect.step import Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pyswarmopt.driver.multi.front import MultiResult

SMALLEST = 1e-16  # drawn instead of 0 on a logarithmic axis


def convergence(runs: Any, ax: Axes | None = None, optimum: float | None = None) -> Axes:
    """Plot the best value so far against the number of evaluations.

    Args:
        runs: a source for `trace`, or a dict from labels to sources or to lists of sources that
            differ only in the seed. A list is drawn as its median, with the 95% interval of the
            median (see `median_interval`) as a band, up to the end of its shortest search.
        ax: axes to draw on; default: new ones.
        optimum: best possible value; the distance to it is then drawn, on a logarithmic axis.

    Returns:
        The axes.

    Raises:
        ValueError: a source cannot be plotted.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, "fips", max_evals=200, seed=0, history="particles")
        >>> ax = pso.plot.convergence(r)
        >>> ax.get_ylabel()
        'best value'
        >>> matplotlib.pyplot.close(ax.figure)
    """
    if optimum is None:
        return _curves(ax, runs, lambda t: t.best, "best value", "linear")
    return _curves(ax, runs, lambda t: abs(t.best - optimum), "distance to the optimum", "log")


def diversity(runs: Any, ax: Axes | None = None) -> Axes:
    """Plot the mean distance of the particles from their centroid, on a logarithmic axis.

    Args:
        runs: as in `convergence`; positions must have been kept (``minimize(...,
            history="particles")``).
        ax: axes to draw on; default: new ones.

    Returns:
        The axes.

    Raises:
        ValueError: a source cannot be plotted or has no positions.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> r = pso.minimize(pso.functions.sphere, [(-5, 5)] * 2, "fips", max_evals=200, seed=0, history="particles")
        >>> ax = pso.plot.diversity(r)
        >>> ax.get_xlabel()
        'evaluations'
        >>> matplotlib.pyplot.close(ax.figure)
    """
    return _curves(ax, runs, Trace.diversity, "mean distance from the centroid", "log")


def front(result: MultiResult, ax: Axes | None = None) -> Axes:
    """Plot the first two objectives of a front over all evaluated points.

    Args:
        result: result of `pyswarmopt.minimize_multi`.
        ax: axes to draw on; default: new ones.

    Returns:
        The axes.

    Raises:
        ValueError: the search has only one objective.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> r = pso.minimize_multi(lambda x: [x[0] ** 2, (x[0] - 2) ** 2], [(-9, 9)], max_evals=60, seed=1)
        >>> pso.plot.front(r).get_ylabel()
        'objective 1'
        >>> matplotlib.pyplot.close("all")
    """
    if np.ndim(result.fun) != 2:
        raise ValueError(
            "plot.front needs several objectives; pass the result of pso.minimize_multi"
        )
    ax = axes_or_new(ax)
    values = result.evaluated()[1]
    ax.plot(values[:, 0], values[:, 1], ".", color="0.8", label="evaluated", zorder=1)
    ax.plot(result.fun[:, 0], result.fun[:, 1], "o", color="#2560c9", label="front")
    ax.set(xlabel="objective 0", ylabel="objective 1")
    ax.legend(frameon=False)
    return ax


def median_interval(samples: Floats) -> tuple[Floats, Floats]:
    """A 95% interval of the median of each column, (n, T) -> (T,), (T,), from order statistics.

    The k-th smallest and largest of n bracket the median with probability ``1 - 2 P(B < k)``, B ~
    Bin(n, 1/2), whatever the distribution (Conover 1999, Practical Nonparametric Statistics, 3.2).
    With fewer than six samples no k reaches 95%, and the range is returned: 94% for five, 88% for
    four, 75% for three.

    Example:
        >>> low, high = median_interval(np.arange(10.0)[:, None])
        >>> low.tolist(), high.tolist()
        ([1.0], [8.0])
    """
    ordered = np.sort(samples, axis=0)
    n = len(ordered)
    below = np.cumsum([math.comb(n, k) / 2**n for k in range(n)])  # P(B <= k)
    k = max(int(np.searchsorted(below, 0.025, side="right")), 1)
    return ordered[k - 1], ordered[n - k]


def interval_name(n: int) -> str:
    """The heading of `median_interval` of n samples.

    Example:
        >>> interval_name(6), interval_name(5)
        ('95% interval', 'range')
    """
    return "95% interval" if n > 5 else "range"


def _curves(
    ax: Axes | None, runs: Any, heights: Callable[[Trace], Floats], label: str, scale: str
) -> Axes:
    named: Mapping[str, Any] = {"": runs}
    if isinstance(runs, Mapping) and not isinstance(runs, Result):
        named = runs
    curves = {name: _table(sources, heights) for name, sources in named.items()}
    ax = axes_or_new(ax)
    ax.set(xlabel="evaluations", ylabel=label, yscale=scale)
    for name, (x, table) in curves.items():
        if scale == "log":
            table = np.maximum(table, SMALLEST)
        (line,) = ax.plot(x, np.median(table, axis=0), label=name or None, drawstyle="steps-post")
        if len(table) > 1:
            band = median_interval(table)
            ax.fill_between(x, *band, color=line.get_color(), alpha=0.18, step="post")
    if any(named):
        ax.legend(frameon=False)
    return ax


def _table(sources: Any, heights: Callable[[Trace], Floats]) -> tuple[npt.NDArray[Any], Floats]:
    """Evaluations, (T,), and each search's curve there, (n, T), up to the end of the shortest."""
    several = isinstance(sources, list | tuple) and sources and not isinstance(sources[0], Step)
    if not several:
        sources = [sources]
    traces = [trace(source) for source in sources]
    x = np.unique(np.concatenate([t.evaluations for t in traces]))
    x = x[x >= max(t.evaluations[0] for t in traces)]
    x = x[x <= min(t.evaluations[-1] for t in traces)]
    # the latest record by then
    return x, np.array(
        [heights(t)[np.searchsorted(t.evaluations, x, side="right") - 1] for t in traces]
    )


def axes_or_new(ax: Axes | None) -> Axes:
    """The given axes, or those of a new pyplot figure. Called after the data are read, so that
    errors leave no figure.
    """
    if ax is not None:
        return ax
    with needing("matplotlib", "a plot", "install the extra 'toy'"):
        import matplotlib.pyplot as plt

    return plt.subplots(figsize=(6.4, 4.0), layout="constrained")[1]
