"""``grid.json``: a grid of coefficients, what is drawn of it, and what each draw found.

Torch is not needed to read it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.json_types import fits
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.searching.scoring.run_files import FORMAT, GRID, stored_config

_DRAW = {
    **{"folder": str, "settings": list[str], "best_dev": float},
    **{"evaluations": int, "item_evaluations": int, "seconds": float},
}


@dataclass(frozen=True)
class Grid:
    """Values of each coefficient, as texts, and what is drawn of them.

    Attributes:
        values: coefficient -> its values.
        draws: settings of each search, ``NAME=VALUE``.
    """

    values: Mapping[str, tuple[str, ...]]
    draws: tuple[tuple[str, ...], ...]

    @property
    def size(self) -> int:
        """Combinations of the grid."""
        return math.prod(map(len, self.values.values()))


@dataclass(frozen=True)
class Draw:
    """A finished search of a grid.

    Attributes:
        folder: its name below the output directory.
        settings: its coefficients, ``NAME=VALUE``.
        best_dev: its score.
        evaluations, item_evaluations, seconds: of the candidates that it was the first to score.
    """

    folder: str
    settings: tuple[str, ...]
    best_dev: float
    evaluations: int
    item_evaluations: int
    seconds: float


def read_grid(path: Path) -> dict[str, Any]:
    """The content of ``grid.json``.

    Raises:
        UserError: it is damaged.
    """
    file = path / GRID
    try:
        content = read_json(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); check the path") from error
    readable = (
        isinstance(content, dict)
        and content.get("format") == FORMAT
        and isinstance(content.get("config"), dict)
    )
    if (
        not readable
        or not fits(content.get("values"), dict[str, list[str]])
        or not fits(content.get("draws"), list[Any])
    ):
        raise UserError(f"{file}: damaged, or of another version; restore the file")
    if not content["draws"] or not all(map(_is_draw, content["draws"])):
        raise UserError(f"{file}: damaged, one of its draws is none; restore the file")
    return dict(content)


def _is_draw(draw: object) -> bool:
    """Whether it is a draw that is done, or the settings of one that is not."""
    if not isinstance(draw, dict) or not draw.keys() >= (
        _DRAW.keys() if "folder" in draw else {"settings"}
    ):
        return False
    return all(fits(draw[name], hint) for name, hint in _DRAW.items() if name in draw)


def stored_grid(path: Path) -> tuple[SearchConfig, Grid]:
    """The configuration and the grid of a search that was begun; raises as `read_grid`."""
    content = read_grid(path)
    config = replace(stored_config(content["config"], path / GRID), out=str(path))
    values = {name: tuple(texts) for name, texts in content["values"].items()}
    return config, Grid(values, tuple(tuple(draw["settings"]) for draw in content["draws"]))


def write_grid(
    path: Path, config: SearchConfig, grid: Grid, done: Sequence[Draw], chosen: Draw | None = None
) -> None:
    """Write ``grid.json``: the draws, those that are done with their scores."""
    waiting = [{"settings": settings} for settings in grid.draws[len(done) :]]
    content = {
        "format": FORMAT,
        "config": asdict(config),
        "values": grid.values,
        "combinations": grid.size,
        "draws": [*map(asdict, done), *waiting],
        "chosen": None if chosen is None else chosen.folder,
        "evaluations": sum(draw.evaluations for draw in done),
        "item_evaluations": sum(draw.item_evaluations for draw in done),
        "seconds": round(sum(draw.seconds for draw in done), 3),
    }
    write_json(path / GRID, content)


def table(content: Mapping[str, Any]) -> Iterator[list[str]]:
    """The draws that are done in rows of text, the headings first; a star marks the one that is
    handed over.

    Args:
        content: see `read_grid`.

    Example:
        >>> draw = {"folder": "draw-01", "settings": ["inertia=.1"], "best_dev": 0.5, "item_evaluations": 900}
        >>> for row in table({"values": {"inertia": [".1"]}, "chosen": "draw-01", "draws": [draw]}):
        ...     print(row)
        ['draw', 'inertia', 'dev', 'items']
        ['draw-01 *', '.1', '0.500', '900']
    """
    yield ["draw", *content["values"], "dev", "items"]
    for draw in content["draws"]:
        if "folder" not in draw:
            continue
        chosen = " *" if draw["folder"] == content.get("chosen") else ""
        coefficients = [setting.partition("=")[2] for setting in draw["settings"]]
        yield [
            f"{draw['folder']}{chosen}",
            *coefficients,
            f"{draw['best_dev']:.3f}",
            f"{draw['item_evaluations']:,}",
        ]
