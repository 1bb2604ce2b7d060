"""A search for each of several coefficient sets, drawn from a grid; the one with the best dev score
is handed over.

The paper reports the best of random draws from its grid
(`pyswarmopt.algorithms.model_swarms.GRID`). All draws share one store, so that what one has scored
the next ones know: the trial of letters, the starting swarm. Then the run becomes that of the
chosen draw, alone scored on test. ``grid.json`` has the table.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path

from pyswarmopt.algorithms.model_swarms import GRID as PAPER
from pyswarmopt_llm.common.config import SearchConfig, given_settings
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.common.files.json_types import WrongType, typed
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.common.optimizers import optimizer, recipe_options, released
from pyswarmopt_llm.searching.explore import explore
from pyswarmopt_llm.searching.loop import Publish, SearchResult, about, reopened, work
from pyswarmopt_llm.searching.plan import with_preset
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run
from pyswarmopt_llm.searching.scoring.run_files import FORMAT, GRID

DRAWS = 10


@dataclass(frozen=True)
class Draw:
    """A search of a grid.

    Attributes:
        name: of the draw.
        settings: its coefficients, ``NAME=VALUE``.
        best_dev: its score.
        evaluations, item_evaluations, seconds: of the candidates that it was the first to score.
    """

    name: str
    settings: tuple[str, ...]
    best_dev: float
    evaluations: int
    item_evaluations: int
    seconds: float


@dataclass(frozen=True)
class Grid:
    """Values of each coefficient, what is drawn of them, and what that found.

    Attributes:
        values: coefficient -> its values, as texts.
        waiting: settings of each search, ``NAME=VALUE``.
        draws: searches that have ended.
        chosen: name of the one that is handed over.
    """

    values: dict[str, tuple[str, ...]]
    waiting: tuple[tuple[str, ...], ...] = ()
    draws: tuple[Draw, ...] = ()
    chosen: str = ""

    @property
    def size(self) -> int:
        """Combinations of the grid."""
        return math.prod(map(len, self.values.values()))


def make_grid(config: SearchConfig) -> Grid:
    """The grid and its draws: all combinations if there are no more than that, else different ones
    at random.

    Args:
        config: with what its preset chooses; `settings` may hold several values of a coefficient,
            which replace those of the paper's grid.

    Raises:
        UserError: a value that a coefficient does not take.

    Example:
        >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", settings=("inertia=.1,.2", "repel=0"))
        >>> make_grid(config).waiting
        (('inertia=.1', 'repel=0'), ('inertia=.2', 'repel=0'))
        >>> make_grid(replace(config, grid="paper")).size
        300
    """
    published = PAPER if config.grid == "paper" else {}
    values = {name: tuple(map(str, numbers)) for name, numbers in published.items()}
    for setting in config.settings:
        name, _, texts = setting.partition("=")
        different = dict.fromkeys(text.strip() for text in texts.split(","))
        values[name.replace("-", "_")] = tuple(different)
    for name, texts_of in values.items():
        for text in texts_of:
            recipe_options([f"{name}={text}"])
    grid = Grid(values)
    count = min(config.draws or DRAWS, grid.size)
    numbers: Sequence[int] = range(grid.size)
    if count < grid.size:
        numbers = random.Random(config.seed).sample(numbers, count)
    waiting = tuple(_combination(values, number) for number in numbers)
    for settings in waiting:
        recipe_options(settings)
    return replace(grid, waiting=waiting)


def _combination(values: Mapping[str, Sequence[str]], number: int) -> tuple[str, ...]:
    """The combination of that number; the last coefficient changes first."""
    settings = []
    for name, texts in reversed(list(values.items())):
        number, digit = divmod(number, len(texts))
        settings.append(f"{name}={texts[digit]}")
    return tuple(reversed(settings))


def one_draw(config: SearchConfig, settings: Sequence[str]) -> SearchConfig:
    """The configuration of a search with these coefficients alone."""
    return replace(config, settings=tuple(settings), grid="given", draws=None)


def search_grid(
    config: SearchConfig, path: Path, on_event: OnEvent | None, publish: Publish | None
) -> SearchResult:
    """Search once for each draw; `budget_items` and `budget_minutes` are for all together.

    Args:
        config: see `make_grid`.
        path: the run directory, which is new.
        on_event, publish: see `loop.search`.
    """
    settled = with_preset(config)
    grid = make_grid(settled)
    job = prepare(one_draw(config, grid.waiting[0]), given_settings(config))
    whole = {name: getattr(settled, name) for name in ("settings", "grid", "draws")}
    Run.create(path, about(replace(job, plan=job.plan.with_settings(**whole))))
    return _search_all(job, path, grid, on_event, publish)


def resume_grid(
    config: SearchConfig, run: Run, on_event: OnEvent | None, publish: Publish | None
) -> SearchResult:
    """Go on with a search over a grid; see `loop.resume`."""
    grid = make_grid(config)
    job = prepare(one_draw(config, grid.waiting[0]), run.about.given)
    return _search_all(reopened(run, job), run.path, grid, on_event, publish)


def _search_all(
    job: Job, path: Path, grid: Grid, on_event: OnEvent | None, publish: Publish | None
) -> SearchResult:
    """Explore with each draw in turn, then hand over the best."""
    tell = on_event or (lambda event: None)
    start: list[Row] = []  # with which every draw begins
    seen: set[tuple[str, str]] = set()
    draws: dict[Draw, Job] = {}
    for number, settings in enumerate(grid.waiting, start=1):
        budgets = _left(job, start, draws)
        if budgets is None:
            tell(note(f"the budget ends before draw {number} of {len(grid.waiting)}"))
            break
        tell(note(f"draw {number} of {len(grid.waiting)}: {' '.join(settings)}"))
        drawn = replace(job, plan=job.plan.with_settings(settings=settings, **budgets))
        name, run = f"draw-{number:02d}", Run.open(path)
        with run.locked(), released(optimizer(drawn.config, drawn.starts)) as swarm:
            best = explore(drawn, run, swarm, tell, name).chosen.value
        start = start or _starting(run.rows)
        new = [row for row in run.rows if (row.phase, row.key) not in seen]
        seen |= {(row.phase, row.key) for row in new}
        items, seconds = sum(row.n for row in new), sum(row.seconds for row in new)
        draws[Draw(name, settings, best, len(new), items, round(seconds, 3))] = drawn
        _write(path, grid, draws)
    best_draw = max(draws, key=lambda draw: draw.best_dev)  # of equals the first
    job = _as_its_own(draws[best_draw], best_draw, draws, grid)
    _write(path, replace(grid, chosen=best_draw.name), draws)
    write_json(path / "run.json", {"format": FORMAT, **about(job)})  # no grid from now on
    with released(optimizer(job.config, job.starts)) as swarm:
        return work(job, Run.open(path), swarm, on_event, publish)


def _left(job: Job, start: Sequence[Row], draws: Iterable[Draw]) -> dict[str, float] | None:
    """What is left of the budgets for another draw, with what its start costs, which is known; None
    if that pays for no iteration.
    """
    plan, left = job.plan, dict[str, float]()
    if (items := plan.config.budget_items) is not None:
        items -= sum(draw.item_evaluations for draw in draws)
        if items < plan.items * plan.config.population:
            return None
        left["budget_items"] = items + sum(row.n for row in start)
    if (minutes := plan.config.budget_minutes) is not None:
        minutes -= sum(draw.seconds for draw in draws) / 60
        known = sum(row.seconds for row in start) / 60
        if minutes <= known:
            return None
        left["budget_minutes"] = minutes + known
    return left


def _starting(rows: Sequence[Row]) -> list[Row]:
    """The rows with which every draw begins: the trial of letters and the starting swarm."""
    first = takewhile(lambda r: r.iteration == 0 and r.phase in ("letter", "search"), rows)
    return list(first)


def _as_its_own(job: Job, draw: Draw, draws: Iterable[Draw], grid: Grid) -> Job:
    """The job of the chosen draw, with a note on where it comes from."""
    done = list(draws)
    items = sum(other.item_evaluations for other in done)
    text = (
        f"The coefficients {' '.join(draw.settings)} are those of {draw.name}, the best on dev of "
        f"{len(done)} draws from {grid.size:,} combinations ({GRID}); all draws took {items:,} "
        "items."
    )
    return replace(job, notes={**job.notes, "grid": text})


def _write(path: Path, grid: Grid, draws: Iterable[Draw]) -> None:
    """Write ``grid.json``: the draws that are done, and those that wait."""
    done = tuple(draws)
    content = replace(grid, draws=done, waiting=grid.waiting[len(done) :])
    totals = {
        name: sum(getattr(draw, name) for draw in done)
        for name in ("evaluations", "item_evaluations", "seconds")
    }
    write_json(path / GRID, {**asdict(content), "combinations": grid.size, **totals})


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


def table(grid: Grid) -> Iterator[list[str]]:
    """The draws that are done in rows of text, the headings first; a star marks the one that is
    handed over.

    Example:
        >>> grid = Grid({"inertia": (".1",)}, (), (Draw("draw-01", ("inertia=.1",), 0.5, 9, 900, 1.0),), "draw-01")
        >>> for row in table(grid):
        ...     print(row)
        ['draw', 'inertia', 'dev', 'items']
        ['draw-01 *', '.1', '0.500', '900']
    """
    yield ["draw", *grid.values, "dev", "items"]
    for draw in grid.draws:
        chosen = " *" if draw.name == grid.chosen else ""
        coefficients = [setting.partition("=")[2] for setting in draw.settings]
        yield [
            f"{draw.name}{chosen}",
            *coefficients,
            f"{draw.best_dev:.3f}",
            f"{draw.item_evaluations:,}",
        ]
