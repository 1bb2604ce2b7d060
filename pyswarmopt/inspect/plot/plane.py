"""Plots in two dimensions: the landscape, the particles' trajectories on it, the forces of a move,
and an animation of a search.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats, needing
from pyswarmopt.base.files import check_new
from pyswarmopt.inspect.plot.curves import axes_or_new
from pyswarmopt.inspect.plot.trace import Trace, trace
from pyswarmopt.inspect.step import Step
from pyswarmopt.parts.bounds import read_bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Shared with the lesson; colour-blind readers can distinguish them.
COLOURS = {"inertia": "#2560c9", "cognitive": "#0b7a53", "social": "#b84e06", "repel": "#a82a86"}
OTHER = "#56616b"
ROUNDS_PER_SECOND = 8
FRAMES = 150  # most frames of an animation; longer searches are shown in larger steps


def landscape(
    function: Callable[[Any], Any],
    bounds: Any = None,
    ax: Axes | None = None,
    points: int = 200,
) -> Axes:
    """Plot a function of two coordinates as filled contours, on a logarithmic scale above its
    smallest value.

    Args:
        function: (m, 2) -> (m,); a test function supplies its bounds and its optimum, which is
            marked.
        bounds: the box; see `pyswarmopt.boundary.make_box`.
        ax: axes to draw on; default: new ones.
        points: points on each side of the grid.

    Returns:
        The axes.

    Raises:
        ValueError: bounds are missing or not two-dimensional, or `function` does not return a
            number for each point.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> ax = pso.plot.landscape(pso.functions.himmelblau, points=20)
        >>> ax.get_ylabel()
        '$x_2$'
        >>> matplotlib.pyplot.close(ax.figure)
    """
    if bounds is None and hasattr(function, "bounds"):
        bounds = function.bounds(2)
    low, high = read_bounds(bounds, 2)
    x, y = np.linspace(low, high, points).T
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    z = np.asarray(function(grid), dtype=np.float64)
    if z.shape != (len(grid),):
        raise ValueError(
            f"function returned shape {z.shape} for points of shape {grid.shape}; if it takes one "
            "point, pass lambda points: [function(x) for x in points]"
        )
    z = z.reshape(points, points)
    height = np.log1p(40 * (z - z.min()) / (np.ptp(z) or 1.0))
    ax = axes_or_new(ax)
    ax.contourf(x, y, height, levels=14, cmap="GnBu_r", alpha=0.75)
    ax.contour(x, y, height, levels=14, colors="#2d5666", linewidths=0.3)
    if hasattr(function, "optimum"):
        ax.plot(*function.optimum(2), "*", color="black", markersize=11, label="optimum")
    ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    return ax


def trajectory(source: Any, ax: Axes | None = None, particles: int | None = None) -> Axes:
    """Plot the trajectory of each particle, from its start (hollow) to its end (filled), with a
    star at the best point.

    About eight particles can be distinguished: use a small population, or `particles`. In more than
    two dimensions the first two coordinates are drawn.

    Args:
        source: a source for `trace`, with positions kept.
        ax: axes to draw on, for example a `landscape`'s; default: new ones.
        particles: number of particles shown, from the first; default: all.

    Returns:
        The axes.

    Raises:
        ValueError: the source cannot be plotted or has no positions.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> space = {"rate": (0.0, 1.0), "size": (1.0, 2.0)}
        >>> r = pso.minimize(lambda rate, size: rate * size, space=space, max_evals=30, seed=0, history="particles")
        >>> ax = pso.plot.trajectory(r)
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('rate', 'size')
        >>> matplotlib.pyplot.close(ax.figure)
    """
    t = trace(source)
    points, labels = in_plane(t)
    ax = axes_or_new(ax)
    for number in np.unique(t.particles)[:particles]:
        path = points[t.particles == number]
        (line,) = ax.plot(*path.T, linewidth=1.1, alpha=0.6)
        ax.plot(*path[0], "o", color=line.get_color(), markerfacecolor="white", markersize=4)
        ax.plot(*path[-1], "o", color=line.get_color(), markersize=4)
    costs = t.values
    if t.maximize:
        costs = -costs
    best = np.where(np.isfinite(costs), costs, np.inf).argmin()
    ax.plot(*points[best], "*", color="crimson", markersize=13, label="best")
    if not ax.get_xlabel():
        ax.set(xlabel=labels[0], ylabel=labels[1])
    return ax


def forces(step: Step, ax: Axes | None = None, particles: list[int] | None = None) -> Axes:
    """Plot a recorded step: the forces on each particle, head to tail, and their sum, dashed.

    Args:
        step: a two-dimensional step from `pyswarmopt.record`, not the first one.
        ax: axes to draw on; default: new ones.
        particles: particles whose forces are drawn; default: all.

    Returns:
        The axes.

    Raises:
        ValueError: the step has no forces, or is not two-dimensional.

    Example:
        >>> import matplotlib.pyplot
        >>> matplotlib.use("agg")
        >>> import pyswarmopt as pso
        >>> recipe = pso.recipes.constriction()
        >>> steps = pso.record(pso.functions.sphere, recipe, 1, bounds=[(-5, 5)] * 2, seed=0)
        >>> ax = pso.plot.forces(steps[1], particles=[0])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['inertia', 'cognitive', 'social']
        >>> matplotlib.pyplot.close(ax.figure)
    """
    if not isinstance(step, Step) or step.origin is None or not step.forces:
        raise ValueError(
            "this step has no forces to draw; pass a step of pso.record after the first, from "
            "a recipe whose velocity is a sum of terms"
        )
    if step.x.shape[1] != 2:
        raise ValueError(
            f"forces can only be drawn in 2 dimensions; this step has {step.x.shape[1]}"
        )
    rows = slice(None) if particles is None else particles
    tail = step.origin[rows]
    ax = axes_or_new(ax)
    ax.plot(*step.origin.T, "o", color="black", markersize=5)
    for name, force in step.forces.items():
        pull = step.length * force[rows]
        ax.quiver(
            *tail.T, *pull.T, color=COLOURS.get(name, OTHER), label=name, angles="xy",
            scale_units="xy", scale=1,
        )  # fmt: skip
        tail = tail + pull
    ends = np.stack([step.origin[rows], tail])
    ax.plot(*ends.T.swapaxes(1, 2), "--", color="black", linewidth=1.4)
    ax.legend(frameon=False)
    return ax


def in_plane(t: Trace) -> tuple[Floats, Sequence[str]]:
    """The first two coordinates of a search's positions, (E, 2), and the names of the axes."""
    x = t.positions()
    if x.shape[1] < 2:
        raise ValueError("this search has one coordinate; this plot needs at least two")
    return x[:, :2], t.names[:2] or ("$x_1$", "$x_2$")


def animate(
    source: Any,
    path: str | os.PathLike[str],
    function: Callable[[Any], Any] | None = None,
    bounds: Any = None,
    title: str = "",
) -> Path:
    """Write a search as an animated GIF to a new file.

    In more than two dimensions the first two coordinates are drawn.

    Args:
        source: a source for `pyswarmopt.plot.trace`, with positions kept.
        path: the .gif file to create.
        function: landscape behind a two-dimensional search; see `pyswarmopt.plot.landscape`.
        bounds: box of the landscape.
        title: text above the plot, followed by the round and the best value.

    Returns:
        The path.

    Raises:
        ValueError: the suffix is not .gif, the file exists, or a search with `function` is not
            two-dimensional.

    Example:
        >>> import tempfile
        >>> import pyswarmopt as pso
        >>> box = [(-5, 5)] * 2
        >>> r = pso.minimize(pso.functions.sphere, box, "fips", 5, max_evals=15, seed=0, history="particles")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     animate(r, Path(folder) / "swarm.gif", pso.functions.sphere, box).stat().st_size > 1000
        True
    """
    target = Path(path)
    check_new(target, [".gif"])
    t = trace(source)
    dim = t.positions().shape[1]
    if function is not None and dim != 2:
        raise ValueError(
            f"a landscape needs 2 dimensions, but this search has {dim}; omit function="
        )

    with needing("matplotlib", "an animation", "install the extra 'toy'"):
        from matplotlib.animation import FuncAnimation, PillowWriter
        from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.4), dpi=90)
    ax = figure.subplots()
    points, labels = in_plane(t)
    if function is not None:
        landscape(function, bounds, ax)
    else:
        ax.set(xlabel=labels[0], ylabel=labels[1], aspect="equal")
    numbers = np.unique(t.particles, return_inverse=True)[1]
    x, y = points.T
    dots = ax.scatter(x, y, c=numbers, cmap="plasma", edgecolors="white")

    def show(k: int) -> list[Any]:
        now = t.rounds == k
        dots.set_offsets(points[now])
        dots.set_array(numbers[now])
        ax.set_title(f"{title} round {k}, best {t.best[k]:.4g}".strip(), fontsize=10)
        return [dots]

    rounds = range(0, len(t.best), -(-len(t.best) // FRAMES))
    film = FuncAnimation(figure, show, rounds, init_func=lambda: [dots])
    film.save(target, PillowWriter(ROUNDS_PER_SECOND))
    return target
