"""Pictures of searches: convergence, diversity, trajectories, forces, landscapes, animations.

matplotlib (extra: toy) is imported when a picture is made. Every function takes the axes to draw on, or makes some, and
returns them; saving is up to the caller. What can be drawn: the `Result` of `minimize`, the steps of
`pyswarmopt.inspect.recorder.record`, the folder of a `swarm-llm` run, and what `swarm-llm`'s search returns.

    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import pyswarmopt as pso
    >>> ring = [pso.minimize(pso.functions.ackley, [(-5, 5)] * 4, max_evals=800, seed=s) for s in range(3)]
    >>> axes = pso.plot.convergence({"ring": ring}, optimum=0.0)
    >>> axes.get_xlabel()
    'evaluations'
"""

from __future__ import annotations

from pyswarmopt.inspect.plot.animation import animate
from pyswarmopt.inspect.plot.curves import convergence, diversity
from pyswarmopt.inspect.plot.plane import forces, landscape, trajectory
from pyswarmopt.inspect.plot.trace import Trace, trace

__all__ = ["Trace", "animate", "convergence", "diversity", "forces", "landscape", "trace", "trajectory"]
