"""A search as a moving picture: a GIF, or a page with a player."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt.inspect.plot.plane import faded, landscape
from pyswarmopt.inspect.plot.trace import trace

FRAMES = 150  # the most; longer searches are shown in larger steps
TAIL = 5  # rounds that a particle's fading trail is long
KINDS = (".gif", ".html")


def animate(
    source: Any,
    path: str | os.PathLike[str],
    function: Callable[[Any], Any],
    bounds: Any = None,
    fps: int = 8,
    title: str = "",
) -> Path:
    """Write a search in two dimensions as a moving picture on its landscape.

    Args:
        source: what `pyswarmopt.plot.trace` reads; positions must have been kept.
        path: the file; its ending says what is written: .gif or .html (one file with a player).
        function: the landscape; see `pyswarmopt.plot.landscape`.
        bounds: its box.
        fps: rounds per second.
        title: above the picture; the round and the best value are added.

    Returns:
        The path.

    Raises:
        ValueError: another ending, or not two dimensions.

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
    check_target(target)
    t = trace(source)
    x = t.positions()
    if x.shape[1] != 2:
        raise ValueError(f"an animation shows two dimensions; this search has {x.shape[1]}")
    import matplotlib as mpl
    from matplotlib.animation import FuncAnimation, HTMLWriter, PillowWriter
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.4))
    ax = landscape(function, bounds, figure.subplots())
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())  # particles that leave do not move the picture
    numbers = np.unique(t.particles)
    colours = mpl.colormaps["plasma"](np.linspace(0.0, 0.85, len(numbers)))
    trails = LineCollection([], linewidths=1.2)
    ax.add_collection(trails)
    dots = ax.scatter([], [], s=30, edgecolors="white", linewidths=0.8, zorder=3)

    def draw(k: int) -> None:
        now = t.rounds == k
        latest = (t.rounds >= k - TAIL) & (t.rounds <= k)
        shown = np.searchsorted(numbers, t.particles[now])
        dots.set_offsets(x[now])
        dots.set_facecolor(colours[shown])
        paths = [(x[latest & (t.particles == numbers[i])], colours[i]) for i in shown]
        parts = [faded(path, colour, TAIL) for path, colour in paths]
        trails.set_segments([segment for segments, _ in parts for segment in segments])
        trails.set_color([shade for _, shades in parts for shade in shades])
        ax.set_title(f"{title + ': ' if title else ''}round {k}, best {t.best[k]:.4g}", fontsize=10)

    stride = -(-len(t.best) // FRAMES)
    film = FuncAnimation(figure, draw, range(0, len(t.best), stride), init_func=lambda: None)
    gif = target.suffix == ".gif"
    film.save(target, PillowWriter(fps) if gif else HTMLWriter(fps, embed_frames=True), dpi=90)
    return target


def check_target(path: Path) -> None:
    """Refuse an unknown ending and a folder that does not exist."""
    if path.suffix not in KINDS:
        raise ValueError(f"{path}: an animation ends in {', '.join(KINDS)}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist; create it first")
