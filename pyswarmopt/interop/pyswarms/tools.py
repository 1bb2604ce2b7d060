"""pyswarms beside its optimisers: a decorator, searches of options, and pictures.

matplotlib (extra: toy) is imported when a picture is made.
"""

from __future__ import annotations

import functools
import itertools
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


@dataclass(eq=False)
class GridSearch:
    """Run an optimiser with every combination of the options' values: lists, or one value."""

    optimizer: Callable[..., Any]
    n_particles: int
    dimensions: int
    options: Mapping[str, Any]
    objective_func: Objective
    iters: int
    _: KW_ONLY
    bounds: Any = None
    velocity_clamp: tuple[float, float] | None = (0, 1)
    seed: int | np.random.Generator | None = None

    def generate_grid(self) -> list[Options]:
        """The options to compare."""
        values = [v if isinstance(v, list) else [v] for v in self.options.values()]
        return [dict(zip(self.options, row, strict=True)) for row in itertools.product(*values)]

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
        return float(optimizer.optimize(self.objective_func, self.iters, verbose=False)[0])


@dataclass(eq=False)
class RandomSearch(GridSearch):
    """Draw the options `n_selection_iters` times: uniform in a pair (low, high), whole numbers
    below high for k, or one value.
    """

    n_selection_iters: int

    def generate_grid(self) -> list[Options]:
        return [
            {name: self._draw(name, value) for name, value in self.options.items()}
            for _ in range(self.n_selection_iters)
        ]

    def _draw(self, name: str, value: Any) -> Any:
        if not isinstance(value, tuple | list):
            return value
        return int(self._random.integers(*value)) if name == "k" else self._random.uniform(*value)


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
        z = np.asarray(self.func(np.stack([x.ravel(), y.ravel()], axis=1)))
        return x, y, z.reshape(x.shape)


def plot_cost_history(
    cost_history: npt.ArrayLike,
    ax: Axes | None = None,
    title: str = "Cost History",
    designer: Designer | None = None,
) -> Axes:
    """Draw the cost against iterations."""
    look = designer or Designer(label=("Iterations", "Cost"))
    ax = _axes(look, title, None if ax is None else (None, ax))
    ax.plot(np.asarray(cost_history), "k", lw=2, label=look.legend)
    ax.legend(fontsize=look.text_fontsize)
    return ax


def plot_contour(
    pos_history: npt.ArrayLike,
    canvas: tuple[Any, Any] | None = None,
    title: str = "Trajectory",
    mark: Sequence[float] | None = None,
    designer: Designer | None = None,
    mesher: Mesher | None = None,
) -> FuncAnimation:
    """The swarm's path, (T, N, 2), as a moving picture on the lines of equal height."""
    look, positions = designer or Designer(), np.asarray(pos_history)
    ax = _axes(look, title, canvas)
    ax.set(xlim=look.limits[0], ylim=look.limits[1])
    if mesher is not None:
        ax.contour(*mesher.mesh(), levels=mesher.levels, cmap=look.colormap)
    if mark is not None:
        ax.scatter(*mark[:2], color="red", marker="x")
    dots = ax.scatter(*positions[0].T, c="black", alpha=0.6)
    return _film(ax, dots.set_offsets, positions)


def plot_surface(
    pos_history: npt.ArrayLike,
    canvas: tuple[Any, Any] | None = None,
    title: str = "Trajectory",
    designer: Designer | None = None,
    mesher: Mesher | None = None,
    *,
    mark: Sequence[float] | None = None,
) -> FuncAnimation:
    """The swarm's path, (T, N, 3) by `Mesher.compute_history_3d`, as a moving picture in space."""
    look, positions = designer or Designer(), np.asarray(pos_history)
    ax = _axes(look, title, canvas, projection="3d")
    ax.set(xlim=look.limits[0], ylim=look.limits[1], zlim=look.limits[2])
    if mesher is not None:
        ax.plot_surface(*mesher.mesh(), cmap=look.colormap, alpha=mesher.alpha)
    if mark is not None:
        ax.scatter(*mark, color="red", marker="x")
    dots = ax.scatter(*positions[0].T, c="black", alpha=0.6)

    def move(points: Floats) -> None:
        dots._offsets3d = points.T

    return _film(ax, move, positions)


def _axes(look: Designer, title: str, canvas: tuple[Any, Any] | None, **kind: Any) -> Any:
    """The axes of a canvas, or new ones, with title and labels."""
    import matplotlib.pyplot as plt

    ax: Any = plt.figure(figsize=look.figsize).add_subplot(**kind) if canvas is None else canvas[1]
    ax.set_title(title, fontsize=look.title_fontsize)
    ax.set_xlabel(look.label[0], fontsize=look.text_fontsize)
    ax.set_ylabel(look.label[1], fontsize=look.text_fontsize)
    if kind:
        ax.set_zlabel(look.label[2], fontsize=look.text_fontsize)
    return ax


def _film(ax: Any, move: Callable[[Floats], None], positions: Floats) -> FuncAnimation:
    from matplotlib.animation import FuncAnimation

    return FuncAnimation(ax.figure, lambda i: move(positions[i]), len(positions), interval=80)
