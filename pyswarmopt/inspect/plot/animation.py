"""A search as a moving picture."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.files import check_new, write_new
from pyswarmopt.inspect.plot.plane import faded, landscape, to_plane
from pyswarmopt.inspect.plot.trace import Trace, trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FRAMES = 150  # most frames; longer searches are shown in larger steps
TAIL = 5  # rounds shown in a particle's fading trail
MARGIN = 0.06  # margin of the picture, around all positions


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
    components. For a `swarm-llm` run the base and the experts are named.

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
    check_target(target)
    t = trace(source)
    dim = t.positions().shape[1]
    if function is not None and dim != 2:
        raise ValueError(f"a landscape has two dimensions; this search has {dim}: leave it out")

    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.4), dpi=90)
    ax = figure.subplots()
    flatten, labels = to_plane(t)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    if function is not None:
        landscape(function, bounds, ax)
    _name_points(ax, {name: flatten(point[None])[0] for name, point in t.named.items()})
    _draw_square(ax, flatten, t, whole=function is None)
    scene = _Scene(ax, t, flatten(t.x), title)
    rounds = range(0, len(t.best), -(-len(t.best) // FRAMES))
    film = FuncAnimation(figure, scene.show, rounds, init_func=scene.artists)
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "film.gif"
        film.save(drawn, PillowWriter(fps))
        write_new(target, drawn.read_bytes())
    return target


def check_target(path: Path) -> None:
    """Refuse another suffix, a missing folder and an existing file."""
    check_new(path, [".gif"])


class _Scene:
    """The particles of one round, with their trails."""

    def __init__(self, ax: Axes, t: Trace, points: Floats, title: str) -> None:
        import matplotlib as mpl
        from matplotlib.collections import LineCollection

        self._ax = ax
        self._trace = t
        self._points = points
        self._title = f"{title}: " if title else ""
        self._numbers = np.unique(t.particles)
        self._colours = mpl.colormaps["plasma"](np.linspace(0.0, 0.85, len(self._numbers)))
        self._trails = LineCollection([], linewidths=1.2)
        ax.add_collection(self._trails)
        self._dots = ax.scatter([], [], s=30, edgecolors="white", linewidths=0.8, zorder=3)

    def artists(self) -> list[Any]:
        """What a frame changes."""
        return [self._dots, self._trails]

    def show(self, k: int) -> list[Any]:
        """Draw round k."""
        t = self._trace
        now = t.rounds == k
        recent = (t.rounds >= k - TAIL) & (t.rounds <= k)
        shown = np.searchsorted(self._numbers, t.particles[now])
        segments: list[Floats] = []
        shades: list[Any] = []
        for i in shown:
            path = self._points[recent & (t.particles == self._numbers[i])]
            lines, colours = faded(path, self._colours[i], TAIL)
            segments += lines
            shades += colours
        self._trails.set_segments(segments)
        self._trails.set_color(shades)
        self._dots.set_offsets(self._points[now])
        self._dots.set_facecolor(self._colours[shown])
        self._ax.set_title(f"{self._title}round {k}, best {t.best[k]:.4g}", fontsize=10)
        return self.artists()


def _name_points(ax: Axes, named: dict[str, Floats]) -> None:
    for name, (x, y) in named.items():
        ax.plot(x, y, "s", color="black", markerfacecolor="white", markersize=7, zorder=4)
        ax.annotate(name, (x, y), xytext=(6, 4), textcoords="offset points", fontsize=9, zorder=5)


def _draw_square(ax: Axes, flatten: Callable[[Floats], Floats], t: Trace, whole: bool) -> None:
    """Equal scales; without a landscape, the square around all points, with a margin."""
    ax.set_aspect("equal")
    if not whole:
        return
    points = flatten(np.vstack([t.x, *t.named.values()]))
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    half = (0.5 + MARGIN) * max(float(np.ptp(points, axis=0).max()), 1e-9)
    ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
