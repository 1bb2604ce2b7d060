"""A search as a moving picture, for light and dark pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from themes import THEMES, Theme, bare

EVIDENCE = Path(__file__).resolve().parents[1] / "evidence"
STEPS = 8  # frames from one iteration to the next
Floats = npt.NDArray[np.float64]


class Film:
    """The demo's search, frame by frame: where particles are among the experts, and the best dev
    score so far.
    """

    def __init__(self, theme: Theme) -> None:
        """Read the recorded search and draw what does not move."""
        self.about = json.loads((EVIDENCE / "demo-search.json").read_text(encoding="utf-8"))
        self.theme = theme
        self.rows = self.about["rows"]
        self.places = np.array([self._place(np.array(row[3])) for row in self.rows])
        self.figure = Figure(figsize=(7.6, 3.6), facecolor=theme.page)
        self.canvas = FigureCanvasAgg(self.figure)
        self.plane = self.figure.add_axes((0.0, 0.02, 0.5, 0.86))
        self.curve = self.figure.add_axes((0.585, 0.2, 0.395, 0.62))
        self.title = self.figure.text(0.025, 0.93, "", color=theme.ink, fontsize=11, weight="bold")
        self._draw_experts()
        self._draw_axes()

    def _corners(self) -> Floats:
        angle = np.pi / 2 - 2 * np.pi * np.arange(len(self.about["experts"])) / len(
            self.about["experts"]
        )
        return np.column_stack([np.cos(angle), np.sin(angle)])

    def _place(self, coefficients: Floats) -> Floats:
        """The mean of the experts' corners, weighted by the sizes of their coefficients; the middle
        is spread out.
        """
        mean = np.abs(coefficients) @ self._corners() / np.abs(coefficients).sum()
        return mean * np.hypot(*mean) ** -0.45

    def _draw_experts(self) -> None:
        corners, ax = self._corners(), self.plane
        ax.set(xlim=(-1.7, 1.7), ylim=(-1.25, 1.25), aspect="equal")
        ax.axis("off")
        ax.fill(*corners.T, fill=False, color=self.theme.faint, linewidth=0.6, linestyle="--")
        ax.plot(
            *corners.T, "s", color=self.theme.page, markeredgecolor=self.theme.ink, markersize=7
        )
        for (x, y), name in zip(corners, self.about["experts"], strict=True):
            side = "center" if abs(x) < 0.1 else "left" if x > 0 else "right"
            text = name.replace("-", " ")
            ax.text(
                1.13 * x, 1.13 * y, text, ha=side, va="center", fontsize=8.5, color=self.theme.ink
            )
        kept = mpl.colors.LinearSegmentedColormap.from_list(
            "scores", [self.theme.faint, self.theme.accent]
        )
        look: dict[str, Any] = {
            "cmap": kept,
            "vmin": 0.36,
            "vmax": 0.5,
            "s": 34,
            "edgecolors": self.theme.page,
            "linewidths": 0.6,
        }
        self.dots = ax.scatter([], [], c=[], zorder=3, **look)
        self.shares = [
            ax.plot([], [], color=self.theme.best, alpha=0.45, zorder=1)[0] for _ in corners
        ]
        (self.star,) = ax.plot([], [], "*", color=self.theme.best, markersize=17, zorder=4)

    def _draw_axes(self) -> None:
        ax, expert = self.curve, self.about["best_single_dev"]
        ax.set(
            xlim=(0, len(self.rows) + 1),
            ylim=(0.33, 0.65),
            xlabel="candidates scored",
            ylabel="best dev score",
        )
        ax.axhline(expert, color=self.theme.faint, linestyle="--", linewidth=1)
        name = f"best adapter: {self.about['best_single']}"
        ax.text(
            len(self.rows),
            expert - 0.006,
            name,
            ha="right",
            va="top",
            fontsize=8.5,
            color=self.theme.ink,
        )
        (self.line,) = ax.step([], [], where="post", color=self.theme.best, linewidth=2)
        bare(ax, self.theme)

    def _frame(
        self, upto: int, places: Floats, values: Floats, title: str, star: int | None = None
    ) -> Image.Image:
        """One picture: particles at `places`, the first `upto` candidates scored, the best or
        `star` marked.
        """
        scores = [row[2] for row in self.rows[:upto]]
        self.line.set_data(range(1, upto + 1), np.maximum.accumulate(scores))
        self.dots.set_offsets(places)
        self.dots.set_array(values)
        self._mark(int(np.argmax(scores)) if star is None else star)
        self.title.set_text(title)
        self.canvas.draw()
        return Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")

    def _mark(self, row: int) -> None:
        """The star, and lines to the experts as wide as its coefficients."""
        x, y = self.places[row]
        self.star.set_data([x], [y])
        for line, corner, weight in zip(
            self.shares, self._corners(), self.rows[row][3], strict=True
        ):
            line.set_data([x, corner[0]], [y, corner[1]])
            line.set_linewidth(5 * abs(weight))

    def frames(self) -> Iterator[tuple[Image.Image, int]]:
        """Pictures, each with how long it is shown, in milliseconds."""
        numbers = np.array([row[0] for row in self.rows])
        values = np.array([row[2] for row in self.rows])
        rounds = [np.flatnonzero(numbers == k) for k in range(numbers.max() + 1)]
        first, *moves, proposed = rounds
        yield (
            self._frame(
                len(first),
                self.places[first],
                values[first],
                "Particles start at the adapters and at sums of them",
            ),
            1600,
        )
        before, done = first, len(first)
        for k, now in enumerate(moves, start=1):
            for step in range(1, STEPS + 1):
                share = step / STEPS
                places = (1 - share) * self.places[before] + share * self.places[now]
                upto = done + round(share * len(now))
                yield (
                    self._frame(
                        upto,
                        places,
                        values[now],
                        f"Iteration {k}: particles move and are scored on dev",
                    ),
                    90,
                )
            before, done = now, done + len(now)
        for n in range(1, len(proposed) + 1):
            seen = np.concatenate([before, proposed[:n]])
            yield (
                self._frame(
                    done + n,
                    self.places[seen],
                    values[seen],
                    "A surrogate model proposes candidates",
                ),
                320,
            )
        test, expert = self.about["best_test"], self.about["best_single_test"]
        title = f"Fine-tuned on dev: {test:.3f} on 240 test examples (best adapter: {expert:.3f})"
        yield (
            self._frame(
                len(self.rows), self.places[seen], values[seen], title, self.about["result"]
            ),
            5000,
        )


def _most_frequent(shot: Image.Image, n: int) -> Image.Image:
    """An image with the palette of the n most frequent colours, none near another: that of the page
    stays exact.
    """
    kept: list[tuple[int, ...]] = []
    colours: Any = shot.getcolors(shot.width * shot.height)
    for _, colour in sorted(colours, reverse=True):
        if all(max(abs(a - b) for a, b in zip(colour, other, strict=True)) > 8 for other in kept):
            kept.append(colour)
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in kept[:n] for value in colour])
    return palette


def draw(out: Path) -> None:
    """Write `search-*.gif`."""
    for theme in THEMES:
        shots, durations = zip(*Film(theme).frames(), strict=True)
        palette = _most_frequent(shots[-1], 96)
        small = [shot.quantize(palette=palette, dither=Image.Dither.NONE) for shot in shots]
        small[0].save(out / f"search-{theme.name}.gif", save_all=True, append_images=small[1:],
                      duration=durations, loop=0, optimize=True)  # fmt: skip
