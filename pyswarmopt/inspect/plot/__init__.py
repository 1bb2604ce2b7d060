"""Plots of searches: convergence, diversity, trajectories, forces, landscapes, fronts, animations.

matplotlib (extra: toy) is imported when a plot is drawn. Every function takes the axes to draw
on, or makes a pyplot figure, and returns the axes: ``plt.show()`` and notebooks show that figure,
``axes.figure.savefig(path)`` saves it and ``plt.close(axes.figure)`` closes it. Sources are the
`Result` of `minimize` and the steps of `pyswarmopt.record`.

    >>> import matplotlib.pyplot
    >>> matplotlib.use("agg")
    >>> import pyswarmopt as pso
    >>> ring = [pso.minimize(pso.functions.ackley, [(-5, 5)] * 4, max_evals=800, seed=s) for s in range(3)]
    >>> axes = pso.plot.convergence({"ring": ring}, optimum=0.0)
    >>> axes.get_xlabel()
    'evaluations'
    >>> matplotlib.pyplot.close(axes.figure)
"""

from __future__ import annotations

from pyswarmopt.inspect.plot.curves import convergence, diversity, front
from pyswarmopt.inspect.plot.plane import animate, forces, landscape, trajectory
from pyswarmopt.inspect.plot.trace import Trace, trace

__all__ = [
    "Trace", "animate", "convergence", "diversity", "forces", "front", "landscape", "trace",
    "trajectory",
]  # fmt: skip
