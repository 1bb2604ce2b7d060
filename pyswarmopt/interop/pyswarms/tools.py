"""What pyswarms has beside its optimisers: a decorator, searches of options, and pictures.

matplotlib (extra: toy) is imported when a picture is made.
"""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyswarmopt.base.arrays import Floats

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes

Objective = Callable[..., npt.ArrayLike]
Options = dict[str, Any]
Limits = Sequence[tuple[float, float]]


def cost(function: Callable[..., float]) -> Callable[..., Floats]:
    """Have a function of one position, (D,), take those of a swarm, (N, D).

    Example:
        >>> cost(max)(np.array([[1.0, 2.0], [4.0, 3.0]])).tolist()
        [2.0, 4.0]
    """

    @functools.wraps(function)
    def of_many(positions: Floats, **kwargs: Any) -> Floats:
        return np.array([function(x, **kwargs) for x in positions])

    return of_many


# ---- searches of options ----


class SearchBase(ABC):
    """Run an optimiser with several options and take those of the best result."""

    optimizer: Callable[..., Any]
    n_particles: int
    dimensions: int
    options: Mapping[str, Any]
    objective_func: Objective
    iters: int
    bounds: Any
    velocity_clamp: tuple[float, float] | None
    seed: int | np.random.Generator | None

    @abstractmethod
    def generate_grid(self) -> list[Options]:
        """The options to compare."""

    def search(self, maximum: bool = False) -> tuple[float, Options]:
        """The lowest best cost and its options; with `maximum` the highest."""
        self._random = np.random.default_rng(self.seed)
        grid = self.generate_grid()
        scores = [self._score(options) for options in grid]
        i = int(np.argmax(scores) if maximum else np.argmin(scores))
        self.best_score, self.best_options = scores[i], grid[i]
        return self.best_score, self.best_options

    def _score(self, options: Options) -> float:
        optimizer = self.optimizer(
            self.n_particles,
            self.dimensions,
            options,
            bounds=self.bounds,
            velocity_clamp=self.velocity_clamp,
            seed=self._random,
        )
        best, _ = optimizer.optimize(self.objective_func, self.iters, verbose=False)
        return float(best)


@dataclass(eq=False)
class GridSearch(SearchBase):
    """Every combination of the options' values: a list, or one value."""

    optimizer: Callable[..., Any]
    n_particles: int
    dimensions: int
    options: Mapping[str, Any]
    objective_func: Objective
    iters: int
    bounds: Any = None
    velocity_clamp: tuple[float, float] | None = (0, 1)
    _: KW_ONLY
    seed: int | np.random.Generator | None = None

    def generate_grid(self) -> list[Options]:
        values = [v if isinstance(v, list) else [v] for v in self.options.values()]
        return [dict(zip(self.options, row, strict=True)) for row in itertools.product(*values)]


@dataclass(eq=False)
class RandomSearch(SearchBase):
    """Options drawn at random `n_selection_iters` times: uniform in a pair (low, high), whole
    numbers below high for k, or one value.
    """

    optimizer: Callable[..., Any]
    n_particles: int
    dimensions: int
    options: Mapping[str, Any]
    objective_func: Objective
    iters: int
    n_selection_iters: int
    bounds: Any = None
    velocity_clamp: tuple[float, float] | None = (0, 1)
    _: KW_ONLY
    seed: int | np.random.Generator | None = None

    def generate_grid(self) -> list[Options]:
        return [
            {name: self._draw(name, value) for name, value in self.options.items()}
            for _ in range(self.n_selection_iters)
        ]

    def _draw(self, name: str, value: Any) -> Any:
        if not isinstance(value, tuple | list):
            return value
        draw = self._random.integers if name == "k" else self._random.uniform
        return draw(*value).item() if name == "k" else draw(*value)


# ---- pictures ----


@dataclass
class Designer:
    """The look of a picture."""

    figsize: tuple[float, float] = (10, 8)
    title_fontsize: str | float = "large"
    text_fontsize: str | float = "medium"
    legend: str = "Cost"
    label: Sequence[str] = ("x-axis", "y-axis", "z-axis")
    limits: Limits = ((-1, 1), (-1, 1), (-1, 1))
    colormap: Any = "viridis"


@dataclass
class Animator:
    """The pace of a moving picture, in milliseconds."""

    interval: int = 80
    repeat_delay: int | None = None
    repeat: bool = True


@dataclass
class Mesher:
    """A function of two coordinates on a mesh with steps of `delta`."""

    func: Objective
    delta: float = 0.001
    limits: Limits = ((-1, 1), (-1, 1))
    levels: Any = None
    alpha: float = 0.3

    def compute_history_3d(self, pos_history: npt.ArrayLike) -> Floats:
        """Positions, (T, N, 2), with the function's values as a third coordinate, (T, N, 3)."""
        positions = np.asarray(pos_history, dtype=np.float64)
        heights = np.array([self.func(x) for x in positions])
        return np.concatenate([positions, heights[..., None]], axis=2)

    def mesh(self) -> tuple[Floats, Floats, Floats]:
        """Both coordinates and the value at each point of the mesh."""
        x, y = np.meshgrid(*(np.arange(low, high, self.delta) for low, high in self.limits[:2]))
        return (
            x,
            y,
            np.asarray(self.func(np.stack([x, y], axis=-1).reshape(-1, 2))).reshape(x.shape),
        )


def plot_cost_history(
    cost_history: npt.ArrayLike,
    ax: Axes | None = None,
    title: str = "Cost History",
    designer: Designer | None = None,
) -> Axes:
    """Draw the cost against iterations."""
    look = designer or Designer(label=("Iterations", "Cost"))
    ax = _axes(look) if ax is None else ax
    ax.plot(np.asarray(cost_history), "k", lw=2, label=look.legend)
    ax.legend(fontsize=look.text_fontsize)
    _label(ax, title, look, "xy")
    return ax


def plot_contour(
    pos_history: npt.ArrayLike,
    canvas: tuple[Any, Any] | None = None,
    title: str = "Trajectory",
    mark: Sequence[float] | None = None,
    designer: Designer | None = None,
    mesher: Mesher | None = None,
    animator: Animator | None = None,
) -> FuncAnimation:
    """The swarm's path, (T, N, 2), as a moving picture on the lines of equal height."""
    look, positions = designer or Designer(), np.asarray(pos_history)
    ax = _axes(look) if canvas is None else canvas[1]
    _label(ax, title, look, "xy")
    if mesher is not None:
        ax.contour(*mesher.mesh(), levels=mesher.levels, cmap=look.colormap)
    if mark is not None:
        ax.scatter(*mark[:2], color="red", marker="x")
    dots = ax.scatter(*positions[0].T, c="black", alpha=0.6)
    return _film(ax, dots.set_offsets, positions, animator)


def plot_surface(
    pos_history: npt.ArrayLike,
    canvas: tuple[Any, Any] | None = None,
    title: str = "Trajectory",
    designer: Designer | None = None,
    mesher: Mesher | None = None,
    animator: Animator | None = None,
    mark: Sequence[float] | None = None,
) -> FuncAnimation:
    """The swarm's path, (T, N, 3) by `Mesher.compute_history_3d`, as a moving picture in space."""
    look, positions = designer or Designer(), np.asarray(pos_history)
    ax: Any = _axes(look, projection="3d") if canvas is None else canvas[1]
    _label(ax, title, look, "xyz")
    if mesher is not None:
        ax.plot_surface(*mesher.mesh(), cmap=look.colormap, alpha=mesher.alpha)
    if mark is not None:
        ax.scatter(*mark, color="red", marker="x")
    dots: Any = ax.scatter(*positions[0].T, c="black", alpha=0.6)

    def move(points: Floats) -> None:
        dots._offsets3d = points.T

    return _film(ax, move, positions, animator)


def _axes(look: Designer, **kind: Any) -> Axes:
    import matplotlib.pyplot as plt

    return plt.figure(figsize=look.figsize).add_subplot(**kind)


def _label(ax: Any, title: str, look: Designer, axes: str) -> None:
    ax.set_title(title, fontsize=look.title_fontsize)
    for axis, label in zip(axes, look.label, strict=False):
        getattr(ax, f"set_{axis}label")(label, fontsize=look.text_fontsize)


def _film(
    ax: Any, move: Callable[[Floats], None], positions: Floats, animator: Animator | None
) -> FuncAnimation:
    from matplotlib.animation import FuncAnimation

    pace = animator or Animator()
    return FuncAnimation(
        ax.figure,
        lambda i: move(positions[i]),
        frames=len(positions),
        interval=pace.interval,
        repeat=pace.repeat,
        repeat_delay=pace.repeat_delay,
    )
