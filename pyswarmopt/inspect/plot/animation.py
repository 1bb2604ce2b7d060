"""A search as a moving picture."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt.base.files import check_new, write_new
from pyswarmopt.inspect.plot.plane import in_plane, landscape
from pyswarmopt.inspect.plot.trace import trace

FRAMES = 150  # most frames; longer searches are shown in larger steps


def animate(
    source: Any,
    path: str | os.PathLike[str],
    function: Callable[[Any], Any] | None = None,
    bounds: Any = None,
    fps: int = 8,
    title: str = "",
) -> Path:
    """Write a search as an animated GIF, a new file.

    In more than two dimensions it is drawn in the plane of the positions' first two principal
    components.

    Args:
        source: a source for `pyswarmopt.plot.trace`, with positions kept.
        path: file, .gif.
        function: landscape behind a two-dimensional search; see `pyswarmopt.plot.landscape`.
        bounds: box of the landscape.
        fps: rounds per second.
        title: text above the picture; round and best value are appended.

    Returns:
        The path.

    Raises:
        ValueError: another suffix, an existing file, or a function that is not two-dimensional.

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
        raise ValueError(f"a landscape has two dimensions; this search has {dim}: leave it out")

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
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "film.gif"
        FuncAnimation(figure, show, rounds, init_func=lambda: [dots]).save(drawn, PillowWriter(fps))
        write_new(target, drawn.read_bytes())
    return target
