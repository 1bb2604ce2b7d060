"""A search as an animation: a GIF, or a page with a player."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt.inspect.labels import place_labels
from pyswarmopt.inspect.plot.plane import faded, landscape, to_plane
from pyswarmopt.inspect.plot.trace import Trace, trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

FRAMES = 150  # most frames of a GIF; longer searches are shown in larger steps
TAIL = 5  # rounds shown in a particle's fading trail
KINDS = (".gif", ".html")
COLOURS = 128  # colours of a GIF, shared by all frames, so that a frame stores only its changes
SIDE = 480  # size of the page's picture, in its own units
LETTER = 7.5  # width of a letter in a label, in pixels
LINE = 15.0  # height of a line
MARGIN = 0.06  # margin of the picture, around all positions


@dataclass(frozen=True, eq=False)
class Scene:
    """Contents of an animation: positions in a plane, (E, 2), named points, and edges."""

    trace: Trace
    points: Floats
    names: list[str]
    named: Floats
    axes: tuple[str, str]
    low: Floats
    high: Floats


def animate(
    source: Any,
    path: str | os.PathLike[str],
    function: Callable[[Any], Any] | None = None,
    bounds: Any = None,
    fps: int = 8,
    title: str = "",
) -> Path:
    """Write a search as an animation.

    In more than two dimensions it is drawn in the plane of the positions' first two principal
    components. For a `swarm-llm` run the base and the experts are named.

    Args:
        source: a source for `pyswarmopt.plot.trace`, with positions kept.
        path: file; its suffix selects the format: .gif or .html (one file with a player).
        function: landscape behind a two-dimensional search; see `pyswarmopt.plot.landscape`.
        bounds: box of the landscape.
        fps: rounds per second.
        title: text above the picture; round and best value are appended.

    Returns:
        The path.

    Raises:
        ValueError: another suffix, or a function that is not two-dimensional.

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
        raise ValueError(f"a landscape has two dimensions; this search has {dim}: give no function")
    ground = None if function is None else (lambda ax: landscape(function, bounds, ax))
    scene = _scene(t, ground)
    if target.suffix == ".gif":
        _write_gif(scene, target, ground, fps, title)
    else:
        target.write_text(_player(scene, ground, fps, title), encoding="utf-8")
    return target


def check_target(path: Path) -> None:
    """Refuse an unknown suffix and a missing folder."""
    if path.suffix not in KINDS:
        raise ValueError(f"{path}: an animation ends in {', '.join(KINDS)}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist; create it first")


Ground = Callable[["Axes"], "Axes"]  # draws a landscape


def _scene(t: Trace, ground: Ground | None) -> Scene:
    flatten, axes = to_plane(t.positions())
    points = flatten(t.x)
    named = flatten(np.reshape(list(t.named.values()), (-1, t.x.shape[1])))
    if ground is None:
        low, high = _square(np.vstack([points, named]))
    else:
        from matplotlib.figure import Figure

        ax = ground(Figure().subplots())
        low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    return Scene(t, points, list(t.named), named, axes, low, high)


def _square(points: Floats) -> tuple[Floats, Floats]:
    """The square around all points, with a margin."""
    low = points.min(axis=0)
    high = points.max(axis=0)
    middle = (low + high) / 2
    half = (0.5 + MARGIN) * max(float((high - low).max()), 1e-9)
    return middle - half, middle + half


def _places(scene: Scene, pixels: Floats, room: tuple[float, ...]) -> list[Any]:
    sizes = np.array([(LETTER * len(name), LINE) for name in scene.names]).reshape(-1, 2)
    return place_labels(pixels, sizes, room)


# A GIF


def _write_gif(scene: Scene, path: Path, ground: Ground | None, fps: int, title: str) -> None:
    from PIL.Image import Dither

    shots = _frames(scene, ground, title)
    palette = _palette(shots)
    small = [shot.quantize(palette=palette, dither=Dither.NONE) for shot in shots]
    small[0].save(
        path,
        save_all=True,
        append_images=small[1:],
        duration=round(1000 / fps),
        loop=0,
        optimize=True,
    )


def _palette(shots: list[Image]) -> Image:
    """The colours of the first, middle and last frame."""
    from PIL import Image

    some = [shots[0], shots[len(shots) // 2], shots[-1]]
    stacked = np.vstack([np.asarray(shot) for shot in some])
    return Image.fromarray(stacked).quantize(colors=COLOURS)


def _frames(scene: Scene, ground: Ground | None, title: str) -> list[Image]:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from PIL import Image

    t = scene.trace
    figure = Figure(figsize=(5.2, 5.4), dpi=90)
    canvas = FigureCanvasAgg(figure)
    ax = figure.subplots()
    if ground is not None:
        ground(ax)
    ax.set(xlim=(scene.low[0], scene.high[0]), ylim=(scene.low[1], scene.high[1]))
    ax.set(aspect="equal", xlabel=scene.axes[0], ylabel=scene.axes[1])
    canvas.draw()  # sets the final axes, which labels need
    _draw_named(scene, ax)
    numbers = np.unique(t.particles)
    colours = mpl.colormaps["plasma"](np.linspace(0.0, 0.85, len(numbers)))
    trails = LineCollection([], linewidths=1.2)
    ax.add_collection(trails)
    dots = ax.scatter([], [], s=30, edgecolors="white", linewidths=0.8, zorder=3)

    def frame(k: int) -> Image.Image:
        now = t.rounds == k
        latest = (t.rounds >= k - TAIL) & (t.rounds <= k)
        shown = np.searchsorted(numbers, t.particles[now])
        dots.set_offsets(scene.points[now])
        dots.set_facecolor(colours[shown])
        paths = [(scene.points[latest & (t.particles == numbers[i])], colours[i]) for i in shown]
        parts = [faded(path, colour, TAIL) for path, colour in paths]
        trails.set_segments([segment for segments, _ in parts for segment in segments])
        trails.set_color([shade for _, shades in parts for shade in shades])
        ax.set_title(f"{title + ': ' if title else ''}round {k}, best {t.best[k]:.4g}", fontsize=10)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    return [frame(k) for k in range(0, len(t.best), -(-len(t.best) // FRAMES))]


def _draw_named(scene: Scene, ax: Axes) -> None:
    """Draw a square and a name for each named point."""
    if not scene.names:
        return
    ax.plot(*scene.named.T, "s", color="black", markerfacecolor="white", markersize=7, zorder=4)
    pixels = ax.transData.transform(scene.named)
    room = tuple(ax.bbox.extents)
    for name, point, place in zip(
        scene.names, scene.named, _places(scene, pixels, room), strict=True
    ):
        if place is None:
            continue
        ax.annotate(
            name,
            xy=tuple(point),
            xytext=place,
            textcoords="figure pixels",
            ha="center",
            va="center",
            fontsize=9,
            zorder=5,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5},
        )


# A page


def _player(scene: Scene, ground: Ground | None, fps: int, title: str) -> str:
    """The page with this search."""
    t = scene.trace

    def unit(points: Floats) -> Any:
        """Coordinates of the picture, with y downwards."""
        share = (points - scene.low) / (scene.high - scene.low)
        return (SIDE * np.column_stack([share[:, 0], 1 - share[:, 1]])).round(1)

    named = unit(scene.named)
    places = _places(scene, named, (0.0, 0.0, SIDE, SIDE))
    points = unit(scene.points).tolist()
    rounds: list[list[tuple[int, float, float]]] = [[] for _ in t.best]
    for k, particle, (x, y) in zip(t.rounds.tolist(), t.particles.tolist(), points, strict=True):
        rounds[k].append((particle, x, y))
    data = {
        "title": title,
        "fps": fps,
        "side": SIDE,
        "tail": TAIL,
        "axes": [name.replace("$", "").replace("_", "") for name in scene.axes],
        "best": [f"{best:.4g}" for best in t.best],
        "rounds": rounds,
        "named": list(zip(scene.names, named.tolist(), places, strict=True)),
        "ground": None if ground is None else _picture(ground),
    }
    written = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    page = files(__package__).joinpath("player.html").read_text(encoding="utf-8")
    return page.replace("{{ DATA }}", written)


def _picture(ground: Ground) -> str:
    """The landscape only, as a data URL."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5))
    ax = ground(figure.add_axes((0.0, 0.0, 1.0, 1.0)))
    ax.set_aspect("auto")
    ax.axis("off")
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=96)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()
