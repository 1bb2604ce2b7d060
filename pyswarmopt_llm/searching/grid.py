"""Sets of coefficients drawn from a grid, and ``grid.json``, the table of their scores.

The paper reports the best of random draws from its grid
(`pyswarmopt.algorithms.model_swarms.GRID`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pyswarmopt.algorithms.model_swarms import GRID as PAPER
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.common.optimizers import recipe_options
from pyswarmopt_llm.searching.scoring.run_directory import GRID


@dataclass(frozen=True)
class GridDraw:
    """A search of a grid.

    Attributes:
        name: name of the draw.
        settings: its coefficients, ``NAME=VALUE``.
        best_dev: best dev score.
        evaluations, item_evaluations, seconds: for candidates that this draw scored first.
    """

    name: str
    settings: tuple[str, ...]
    best_dev: float
    evaluations: int
    item_evaluations: int
    seconds: float


@dataclass(frozen=True)
class Grid:
    """Values of each coefficient, the draws from them, and the outcome of each draw.

    Attributes:
        values: coefficient -> its values, as texts.
        waiting: settings of each search, ``NAME=VALUE``.
        draws: searches that have ended.
        chosen: name of the winning draw.
    """

    values: dict[str, tuple[str, ...]]
    waiting: tuple[tuple[str, ...], ...] = ()
    draws: tuple[GridDraw, ...] = ()
    chosen: str = ""

    @property
    def size(self) -> int:
        """Combinations of the grid."""
        return math.prod(map(len, self.values.values()))


def make_grid(config: SearchConfig) -> Grid:
    """The grid and its draws: all combinations if there are few enough, else distinct random ones.

    Args:
        config: configuration with its number of draws; `settings` may hold several values of a
            coefficient, which replace the values of the paper's grid.

    Raises:
        UserError: a coefficient does not take a value.

    Example:
        >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", settings=("inertia=.1,.2", "repel=0"), draws=10)
        >>> make_grid(config).waiting
        (('inertia=.1', 'repel=0'), ('inertia=.2', 'repel=0'))
        >>> make_grid(replace(config, paper=True)).size
        300
    """
    published = PAPER if config.published else {}
    values = {name: tuple(map(str, numbers)) for name, numbers in published.items()}
    for setting in config.settings:
        name, _, texts = setting.partition("=")
        different = dict.fromkeys(text.strip() for text in texts.split(","))
        values[name.replace("-", "_")] = tuple(different)
    for name, texts_of in values.items():
        for text in texts_of:
            recipe_options([f"{name}={text}"])
    grid = Grid(values)
    count = min(config.draws or 1, grid.size)
    numbers: Sequence[int] = range(grid.size)
    if count < grid.size:
        numbers = random.Random(config.seed).sample(numbers, count)
    waiting = []
    for number in numbers:  # the last coefficient varies fastest
        digits = np.unravel_index(number, [len(texts) for texts in values.values()])
        pairs = zip(values.items(), digits, strict=True)
        waiting.append(tuple(f"{name}={texts[digit]}" for (name, texts), digit in pairs))
    return replace(grid, waiting=tuple(waiting))


def save_grid(path: Path, grid: Grid) -> None:
    """Write ``grid.json``."""
    totals = {
        name: sum(getattr(draw, name) for draw in grid.draws)
        for name in ("evaluations", "item_evaluations", "seconds")
    }
    write_json(path / GRID, {**asdict(grid), "combinations": grid.size, **totals})


def read_grid(path: Path) -> Grid:
    """The content of ``grid.json``.

    Raises:
        UserError: it is damaged.
    """
    file = path / GRID
    try:
        grid: Grid = typed(read_json(file), Grid)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    except WrongType as error:
        raise UserError(f"{file}: damaged, {error}; restore the file") from error
    return grid
