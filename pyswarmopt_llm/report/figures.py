"""The report's pictures: drawn by matplotlib, written as inline SVG in the page's colours."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from pyswarmopt.base.words import counted
from pyswarmopt_llm.report.reading import proposing_model, swarm_of
from pyswarmopt_llm.searching.scoring.record import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
WIDTH, HEIGHT = 480, 320  # units of the viewBox, in which text has the size of the page's
_LEVELS = 5  # shades of a value
_LABEL = 24  # characters of an expert's name
_LINE_OF_TEXT = 16.0  # its height
# matplotlib wants numbers and the page has variables: each colour is drawn as a placeholder and
# written as CSS.
_VARIABLES = ("ink", "muted", "line", "faint", "accent", "bad", "paper")
_CSS = {f"#00000{1 + i}": f"var(--{name})" for i, name in enumerate(_VARIABLES)}
_INK, _MUTED, _LINE, _FAINT, _ACCENT, _BAD, _PAPER = _CSS
_SHADES = [f"#0000{10 + i}" for i in range(_LEVELS)]
_CSS |= {
    s: f"color-mix(in srgb, var(--accent) {12 + 22 * i}%, var(--faint))"
    for i, s in enumerate(_SHADES)
}
_PAGE = {  # patterns in what matplotlib writes -> what the page has in their place
    r"(?s)<(metadata|style)\b.*?</\1>": "",
    r' xmlns(:xlink)?="[^"]*"': "",
    r"xlink:href": "href",
    r"(?<=\")font-size[^\"]*sans-serif; ": "",
    **{f"(?<=: ){placeholder}": colour for placeholder, colour in _CSS.items()},
}


class Picture:
    """A figure in the making.

    Attributes:
        axes: where to draw.
        svg: the finished picture, once the context of `drawing` has ended.
    """

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = Markup("")
        self._titles: dict[str, Sequence[str]] = {}

    def points(
        self, at: Floats, size: float, colour: str, titles: Sequence[str], **style: Any
    ) -> None:
        """Points (N, 2) with a text each that a pointer on it shows."""
        gid = f"points_{len(self._titles)}"
        self._titles[gid] = titles
        self.axes.scatter(
            at[:, 0], at[:, 1], size**2, colour, gid=gid, clip_on=False, zorder=3, **style
        )

    def line(self, at: Floats, colour: str, width: float) -> None:
        """A line through points (N, 2)."""
        self.axes.plot(
            at[:, 0],
            at[:, 1],
            color=colour,
            linewidth=width,
            clip_on=False,
            solid_joinstyle="round",
        )

    def text(
        self, text: str, at: tuple[float, float], offset: tuple[float, float], **style: Any
    ) -> None:
        """A text beside a point, as it is; XML has no control characters."""
        plain = "".join(sign if sign.isprintable() else " " for sign in text)
        style = {"xytext": offset, "textcoords": "offset points", "annotation_clip": False, **style}
        self.axes.annotate(plain, at, parse_math=False, **style)

    def inline(self, source: str, title: str) -> Markup:
        """SVG as matplotlib writes it, fit for the page: no namespaces, styles or ids of its own,
        CSS for colours.
        """
        for pattern, text in _PAGE.items():
            source = re.sub(pattern, text, source)
        root = ElementTree.fromstring(source)
        for group in root.iter("g"):
            titles = self._titles.get(group.attrib.pop("id", ""), ())
            for point, words in zip(group.iter("use") if titles else (), titles, strict=False):
                ElementTree.SubElement(point, "title").text = words
        root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
        return Markup(ElementTree.tostring(root, encoding="unicode"))


@contextmanager
def drawing(name: str, title: str, box: tuple[float, float, float, float]) -> Iterator[Picture]:
    """Draw a picture.

    Args:
        name: makes the ids of its markers different from those of other pictures.
        title: for those who cannot see it.
        box: left, bottom, width and height of the axes, as shares of the picture.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    style = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 13, "axes.edgecolor": _LINE}
    with matplotlib.style.context(["default", style]):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        figure.patch.set_visible(False)
        axes = figure.add_axes(box)
        axes.patch.set_visible(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelcolor=_MUTED, pad=6)
        picture = Picture(axes)
        yield picture
        out = io.StringIO()
        figure.savefig(
            out,
            format="svg",
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    picture.svg = picture.inline(out.getvalue(), title)


def _numbers(axes: Axes, across: bool, up: bool) -> None:
    """Round numbers on the axes that have a unit, and a faint grid on the vertical one."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for axis, shown in ((axes.xaxis, across), (axes.yaxis, up)):
        axis.set_major_formatter("{x:g}")
        axis.set_visible(shown)
    axes.yaxis.grid(color=_LINE, linewidth=1, clip_on=False)
    axes.set_axisbelow(True)


def best_so_far(history: Iterable[Row]) -> list[float]:
    """The best value after each evaluation, rows in order; values that are not finite never lead.

    Example:
        >>> values = [0.2, float("nan"), 0.5, 0.4]
        >>> best_so_far([Row("search", 0, i, "k", [1.0], value, 1, 1.0, {}) for i, value in enumerate(values)])
        [0.2, 0.2, 0.5, 0.5]
    """
    best: list[float] = []
    for row in history:
        value = row.value if math.isfinite(row.value) else -math.inf
        best.append(max(value, best[-1]) if best else value)
    return [value for value in best if math.isfinite(value)]


def curve(history: Sequence[Row], references: Mapping[str, float]) -> Markup | None:
    """Dev scores and the best so far by evaluation; None if nothing was evaluated.

    Args:
        history: rows of the search, in order.
        references: name -> score, drawn as horizontal lines.
    """
    best, swarm = best_so_far(history), swarm_of(history)
    if not best:
        return None
    title = f"Dev score of {counted(len(history), 'evaluation')} and the best so far"
    with drawing("curve", title, (0.1, 0.125, 0.875, 0.83)) as picture:
        axes = picture.axes
        seen = [(i, row) for i, row in enumerate(history, start=1) if math.isfinite(row.value)]
        titles = [f"evaluation {i}, {described(row, swarm)}" for i, row in seen]
        at = np.array([(i, row.value) for i, row in seen], dtype=np.float64)
        picture.points(at, 5, _MUTED, titles, alpha=0.45, linewidths=0)
        number = range(len(history) - len(best) + 1, len(history) + 1)
        axes.step(number, best, where="post", color=_ACCENT, linewidth=2.5, clip_on=False)
        for value in references.values():
            axes.axhline(value, color=_MUTED, linewidth=1.2, linestyle=(0, (4, 3)), clip_on=False)
        axes.set_xlim(1, max(len(history), 2))
        _numbers(axes, across=True, up=True)
        _name_lines(picture, references)
        axes.set_xlabel("evaluations", loc="right", color=_MUTED)
    return picture.svg


def _name_lines(picture: Picture, references: Mapping[str, float]) -> None:
    """Names under horizontal lines, at the right; that of a line close above another is over it."""
    below = -math.inf
    picture.axes.get_ylim()  # from here on they are those of what is drawn
    for name, value in sorted(references.items(), key=lambda pair: pair[1]):
        at = float(picture.axes.transData.transform((0.0, value))[1])
        over = at - below < _LINE_OF_TEXT
        style = {"xycoords": ("axes fraction", "data"), "ha": "right", "color": _MUTED}
        picture.text(f"{name} {value:.3f}", (1, value), (-2, 4 if over else -14), **style)
        below = at


def described(row: Row, swarm: Container[int]) -> str:
    """A row of the search in words; `swarm`: the numbers of the particles."""
    who = f"particle {row.particle}, iteration {row.iteration}"
    if row.particle not in swarm:
        who = f"proposed by the {proposing_model([row])}"
    return f"{who}: {row.value:.3f}"


def paths(
    rows: Sequence[Row], coefficients: Mapping[str, float], chosen: Row
) -> tuple[Markup, str]:
    """Paths of the particles between the experts, and the two dimensions of the picture.

    Args:
        rows: those of the search, at least one.
        coefficients: expert -> weight in the result; their order is that of the rows' coefficients.
        chosen: the row of the result.
    """
    names, swarm = list(coefficients), swarm_of(rows)
    values = np.array([row.value for row in rows], dtype=np.float64)
    flat = Projection.of(np.array([row.coefficients for row in rows], dtype=np.float64), values)
    by_particle: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        by_particle.setdefault(row.particle, []).append(i)
    starts = {particle: way[0] for particle, way in by_particle.items() if particle in swarm}
    shades = values.argsort(kind="stable").argsort(kind="stable") * _LEVELS // len(rows)
    best = flat.points[[next(i for i, row in enumerate(rows) if row is chosen)]]
    with drawing(
        "paths", "Paths of the particles between the experts", (0.1, 0.125, 0.8, 0.83)
    ) as picture:
        if len(names) == 3:
            picture.line(flat.experts[[0, 1, 2, 0]], _LINE, 1.5)
        for way in by_particle.values():
            picture.line(flat.points[way], _FAINT, 1)
        titles = np.array([described(row, swarm) for row in rows])
        for shade, colour in enumerate(_SHADES):
            picture.points(
                flat.points[shades == shade],
                6.5,
                colour,
                titles[shades == shade].tolist(),
                linewidths=0,
            )
        picture.line(flat.points[by_particle[chosen.particle]], _ACCENT, 2)
        begun = [f"particle {particle} starts here" for particle in starts]
        picture.points(
            flat.points[list(starts.values())],
            6.5,
            _PAPER,
            begun,
            edgecolors=_MUTED,
            linewidths=1.6,
        )
        picture.points(flat.experts, 9, _PAPER, names, marker="s", edgecolors=_INK, linewidths=1.6)
        result = [f"the result, {chosen.value:.3f} on dev"]
        picture.points(best, 18, _BAD, result, marker="*", edgecolors=_PAPER, linewidths=1)
        if len(names) != 2:
            picture.axes.set_aspect("equal", adjustable="datalim")
        _numbers(picture.axes, across=False, up=len(names) == 2)
        _label(picture, flat.experts, coefficients, best)
    return picture.svg, flat.caption


def _label(picture: Picture, experts: Floats, weights: Mapping[str, float], best: Floats) -> None:
    """Experts' names beside them: the heaviest first, and only where nothing else is."""
    picture.axes.apply_aspect()
    spots = picture.axes.transData.transform(np.vstack([best, experts]))
    taken = [(x - 6, y - 8, x + 6, y + 8) for x, y in spots]
    for i, (name, _) in sorted(enumerate(weights.items()), key=lambda expert: -abs(expert[1][1])):
        (x, y), text = spots[i + 1], name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
        width = 7.9 * len(text)  # of an average character
        for side, left, offset in (("left", x + 9, 9), ("right", x - 9 - width, -9)):
            box = (left, y - 8, left + width, y + 8)
            if 0 <= left <= WIDTH - width and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                picture.text(text, tuple(experts[i]), (offset, 0), ha=side, va="center", color=_INK)
                break


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two boxes (left, bottom, right, top) touch."""
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


# Mixing weights in two dimensions


@dataclass(frozen=True)
class Projection:
    """Mixtures and experts as points of a plane.

    Attributes:
        points: the mixtures, (N, 2) float64.
        experts: the experts, (n, 2) float64.
        caption: what the two dimensions are.
    """

    points: Floats
    experts: Floats
    caption: str

    @classmethod
    def of(cls, weights: Floats, values: Floats) -> Projection:
        """Project mixtures of n experts; with two experts the value is the second dimension.

        Args:
            weights: mixing weights, (N, n) float64.
            values: their scores, (N,) float64.
        """
        n = weights.shape[1]
        if n == 2:
            return _with_scores(weights, values)
        return _in_triangle(weights) if n == 3 else _principal(weights)


def _with_scores(weights: Floats, values: Floats) -> Projection:
    at = [values[(weights == corner).all(1)].max(initial=values.min()) for corner in np.eye(2)]
    caption = "Across: the weight of the second expert. Up: the dev score."
    return Projection(
        np.column_stack([weights[:, 1], values]), np.column_stack([[0.0, 1.0], at]), caption
    )


def _in_triangle(weights: Floats) -> Projection:
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(3) / 2]])
    return Projection(
        weights @ corners,
        corners,
        "The triangle of the three experts; outside it a weight is negative.",
    )


def _principal(weights: Floats) -> Projection:
    n, centre = weights.shape[1], weights.mean(0)
    _, singular, axes = np.linalg.svd(weights - centre, full_matrices=False)
    share = (singular[:2] ** 2).sum() / max(float((singular**2).sum()), 1e-300)
    axes = axes[:2] if len(axes) > 1 else np.vstack([axes, np.zeros(n)])
    # The sign of a component is arbitrary; this one draws the same run the same way everywhere.
    axes = axes * np.where(axes[np.arange(2), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]
    caption = (
        f"The first two principal components of the positions, with {share:.0%} of the variance."
    )
    return Projection((weights - centre) @ axes.T, (np.eye(n) - centre) @ axes.T, caption)
