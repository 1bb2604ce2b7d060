"""A search as a moving picture: GIF, MP4, or a page with a player."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt.inspect.plot.plane import faded, landscape
from pyswarmopt.inspect.plot.trace import trace

FRAMES = 150  # the most; longer searches are shown in larger steps
TAIL = 5  # rounds that a particle's fading trail is long
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
        path: the file; its ending says what is written: .gif, .mp4 (needs ffmpeg) or .html (one
            file with a player).
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
        raise ValueError(
            f"an animation shows two dimensions; this search has {t.positions().shape[1]}"
        )
    import matplotlib as mpl
    from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    ax = landscape(function, bounds, figure.subplots())
    ax.set_xlim(ax.get_xlim())  # particles that leave do not move the picture
    ax.set_ylim(ax.get_ylim())
    numbers = sorted({i for where in t.rounds for i in where})
    shades = mpl.colormaps["plasma"](np.linspace(0.0, 0.85, len(numbers))).tolist()
    colours = dict(zip(numbers, map(tuple, shades), strict=True))
    trails = LineCollection([], linewidths=1.2)
    ax.add_collection(trails)
    dots = ax.scatter([], [], s=30, edgecolors="white", linewidths=0.8, zorder=3)

    def draw(k: int) -> list[Any]:
        where = t.rounds[k]
        dots.set_offsets(np.array(list(where.values())))
        dots.set_facecolor([colours[i] for i in where])
        parts = [faded(np.array(_latest(t.rounds, i, k)), colours[i], TAIL) for i in where]
        trails.set_segments([segment for segments, _ in parts for segment in segments])
        trails.set_color([shade for _, shades in parts for shade in shades])
        ax.set_title(f"{title + ': ' if title else ''}round {k}, best {t.best[k]:.4g}", fontsize=10)
        return [dots, trails]

    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once: a longer title does not move the picture
    stride = -(-len(t.rounds) // FRAMES)
    film = FuncAnimation(
        figure, draw, frames=range(0, len(t.rounds), stride), interval=1000 / fps, blit=False
    )
    if target.suffix == ".html":
        ground = io.BytesIO()
        # MB: the frames are thinned afterwards
        with mpl.rc_context({"animation.embed_limit": 200.0, "savefig.dpi": figure.dpi}):
            figure.savefig(ground)  # before anything was drawn on it
            page = film.to_jshtml(fps=fps)
        target.write_text(_on_one_ground(page, ground.getvalue()), encoding="utf-8")
    elif target.suffix == ".gif":
        film.save(target, writer=PillowWriter(fps=fps), dpi=90)
        _shrink(target)
    else:
        with mpl.rc_context({"animation.ffmpeg_path": str(_ffmpeg())}):
            film.save(target, writer=FFMpegWriter(fps=fps), dpi=110)
    return target


def _on_one_ground(page: str, ground: bytes) -> str:
    """The page with the landscape stored once: of a frame only what differs from it."""
    from PIL import Image

    with Image.open(io.BytesIO(ground)) as image:
        below = np.asarray(image.convert("RGB"))

    def thinned(frame: re.Match[str]) -> str:
        data = base64.b64decode(frame.group(1).replace("\\", ""))
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.array(image.convert("RGBA"))
        pixels[(pixels[..., :3] == below).all(axis=2)] = 0
        kept = io.BytesIO()
        Image.fromarray(pixels).save(kept, "PNG", optimize=True)
        return _as_url(kept.getvalue())

    page = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\\\s]+)", thinned, page)
    style = f"background: url({_as_url(ground)}) 0 0 / 100% 100%"
    return f"<style>.animation img {{{style}}}</style>\n{page}"


def _as_url(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _shrink(path: Path) -> None:
    """Give all frames of a GIF one palette, without dithering: what does not move is then stored
    once.
    """
    from PIL import Image, ImageSequence

    with Image.open(path) as film:
        delay = film.info["duration"]
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
    width, height = frames[0].size
    sample = Image.new("RGB", (width * len(frames[::10]), height))
    for k, frame in enumerate(frames[::10]):
        sample.paste(frame, (k * width, 0))
    palette = sample.quantize(255, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    first.save(path, save_all=True, append_images=rest, duration=delay, loop=0)


def _latest(rounds: Any, particle: int, now: int) -> list[Any]:
    """Where a particle was in the rounds of its trail."""
    return [
        rounds[k][particle] for k in range(max(now - TAIL, 0), now + 1) if particle in rounds[k]
    ]


def check_target(path: Path) -> None:
    """Refuse an unknown ending, a folder that does not exist, and .mp4 without ffmpeg."""
    if path.suffix not in KINDS:
        raise ValueError(f"{path}: an animation ends in {', '.join(KINDS)}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path}: its folder does not exist; create it first")
    if path.suffix == ".mp4" and _ffmpeg() is None:
        raise ValueError(
            f"{path}: needs ffmpeg; install it (or imageio-ffmpeg), or write .gif or .html"
        )


def _ffmpeg() -> str | None:
    """Where ffmpeg is: on the PATH, or that of the package imageio-ffmpeg."""
    if find_spec("imageio_ffmpeg") is None:
        return shutil.which("ffmpeg")
    import imageio_ffmpeg

    path_of_ffmpeg: str = imageio_ffmpeg.get_ffmpeg_exe()
    return path_of_ffmpeg
