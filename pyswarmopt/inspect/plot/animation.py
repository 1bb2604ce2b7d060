"""A search as a moving picture: GIF, MP4, or a page with a player."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt.inspect.plot.plane import landscape
from pyswarmopt.inspect.plot.trace import trace

FRAMES = 150  # the most; longer searches are shown in larger steps
TAIL = 2  # rounds that a particle's trail is long
KINDS = (".gif", ".mp4", ".html")


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
        path: the file; its ending says what is written: .gif, .mp4 (needs ffmpeg) or .html (one file with a player).
        function: the landscape; see `pyswarmopt.plot.landscape`.
        bounds: its box.
        fps: rounds per second.
        title: above the picture; the round and the best value are added.

    Returns:
        The path.

    Raises:
        ValueError: another ending, no ffmpeg for .mp4, or not two dimensions.
    """
    target = Path(path)
    check_target(target)
    t = trace(source)
    if t.positions().shape[1] != 2:
        raise ValueError(f"an animation shows two dimensions; this search has {t.positions().shape[1]}")
    import matplotlib as mpl
    from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    ax = landscape(function, bounds, figure.subplots())
    ax.set_xlim(ax.get_xlim())  # particles that leave do not move the picture
    ax.set_ylim(ax.get_ylim())
    numbers = sorted({i for where in t.rounds for i in where})
    trails = [ax.plot([], [], color="black", linewidth=0.7, alpha=0.45)[0] for _ in numbers]
    (dots,) = ax.plot([], [], "o", color="black", markersize=5, markeredgecolor="white")

    def draw(k: int) -> list[Any]:
        where = t.rounds[k]
        dots.set_data(*np.array(list(where.values())).T)
        for i, line in zip(numbers, trails, strict=True):
            points = [t.rounds[j][i] for j in range(max(k - TAIL, 0), k + 1) if i in t.rounds[j]]
            line.set_data(*np.array(points).T if points else ([], []))
        ax.set_title(f"{title + ': ' if title else ''}round {k}, best {t.best[k]:.4g}", fontsize=10)
        return [dots, *trails]

    stride = -(-len(t.rounds) // FRAMES)
    film = FuncAnimation(figure, draw, frames=range(0, len(t.rounds), stride), interval=1000 / fps, blit=False)
    if target.suffix == ".html":
        with mpl.rc_context({"animation.embed_limit": 200.0}):  # MB; the frames are few and small
            target.write_text(film.to_jshtml(fps=fps), encoding="utf-8")
    elif target.suffix == ".gif":
        film.save(target, writer=PillowWriter(fps=fps), dpi=90)
    else:
        with mpl.rc_context({"animation.ffmpeg_path": str(_ffmpeg())}):
            film.save(target, writer=FFMpegWriter(fps=fps), dpi=110)
    return target


def check_target(path: Path) -> None:
    """Refuse an unknown ending, a folder that does not exist, and .mp4 without ffmpeg."""
    if path.suffix not in KINDS:
        raise ValueError(f"{path}: an animation ends in {', '.join(KINDS)}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist; create it first")
    if path.suffix == ".mp4" and _ffmpeg() is None:
        raise ValueError(f"{path}: needs ffmpeg; install it (or imageio-ffmpeg), or write .gif or .html")


def _ffmpeg() -> str | None:
    """Where ffmpeg is: on the PATH, or that of the package imageio-ffmpeg."""
    if find_spec("imageio_ffmpeg") is None:
        return shutil.which("ffmpeg")
    import imageio_ffmpeg

    found: str = imageio_ffmpeg.get_ffmpeg_exe()
    return found
