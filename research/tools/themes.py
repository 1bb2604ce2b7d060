"""The colours of the pictures, for light and dark pages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Theme:
    """The colours of a picture: those of the page, of what is compared, and of the result."""

    name: str
    page: str
    ink: str
    faint: str
    second: str
    accent: str
    best: str


THEMES = (
    Theme("light", "#ffffff", "#1f2328", "#9aa4ae", "#8fbfe6", "#0b5cad", "#c2410c"),
    Theme("dark", "#0d1117", "#e6edf3", "#6e7681", "#2f5f8f", "#58a6ff", "#fb923c"),
)


def write(folder: Path, name: str, chart: Callable[[Theme], Figure], figures: object) -> None:
    """Write a chart as ``NAME-THEME.svg`` for each theme; its description holds the figures that
    were drawn.
    """
    for theme in THEMES:
        path = folder / f"{name}-{theme.name}.svg"
        with mpl.rc_context({"svg.hashsalt": "pyswarmopt", "svg.fonttype": "path"}):
            metadata = {"Date": None, "Creator": None, "Description": json.dumps(figures)}
            chart(theme).savefig(path, transparent=True, metadata=metadata)
        path.write_text(re.sub(r"[ \t]+$", "", path.read_text(), flags=re.MULTILINE))


def bare(ax: Any, theme: Theme) -> None:
    """Axes in the colours of the page, without a frame."""
    ax.set_facecolor("none")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(theme.faint)
    ax.tick_params(colors=theme.ink, labelsize=9)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(color=theme.ink, fontsize=9)
