"""A search for each of several coefficient sets, drawn from a grid; the one with the best dev score
is handed over.

The paper reports the best of random draws from its grid
(`pyswarmopt.algorithms.model_swarms.GRID`). Every draw is an ordinary run below the output
directory, to the bit the search that its settings alone would make, but that nothing is scored on
test. What a draw has scored, the next ones know: the trial of letters, the starting swarm. The
output directory itself becomes the run of the chosen draw, replayed and scored on test.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from pyswarmopt.algorithms.model_swarms import GRID as PAPER
from pyswarmopt_llm.common.config import SearchConfig, given_settings
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.events import Event, OnEvent
from pyswarmopt_llm.common.files.regular import refuse_links, user_path, write_json
from pyswarmopt_llm.common.optimizers import recipe_options
from pyswarmopt_llm.scores.metrics.external.named_again import require
from pyswarmopt_llm.scores.metrics.external.permission import LM_EVAL
from pyswarmopt_llm.scores.metrics.objectives import load_split
from pyswarmopt_llm.searching.grid.file import Draw, Grid, stored_grid, write_grid
from pyswarmopt_llm.searching.loop import SearchResult, begin, resume
from pyswarmopt_llm.searching.plan import preset_text, with_preset
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run, check_new
from pyswarmopt_llm.searching.scoring.run_files import FORMAT, GRID
from pyswarmopt_llm.searching.scoring.store import RESULTS

DRAWS = 10
_CARRIED = (RESULTS, "judge.jsonl")  # of a draw, for the next


def make_grid(config: SearchConfig) -> Grid:
    """The grid and its draws: all combinations if there are no more than that, else different ones
    at random.

    Args:
        config: `settings` may hold several values of a coefficient; they replace those of the
            paper's grid.

    Raises:
        UserError: a value that a coefficient does not take.

    Example:
        >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", settings=("inertia=.1,.2", "repel=0"))
        >>> make_grid(config).draws
        (('inertia=.1', 'repel=0'), ('inertia=.2', 'repel=0'))
        >>> make_grid(replace(config, grid="paper")).size
        300
    """
    config = with_preset(config)
    values = (
        {name: tuple(map(str, numbers)) for name, numbers in PAPER.items()}
        if config.grid == "paper"
        else {}
    )
    for setting in config.settings:
        name, _, texts = setting.partition("=")
        values[name.replace("-", "_")] = tuple(
            dict.fromkeys(text.strip() for text in texts.split(","))
        )
    for name, texts_of in values.items():
        for text in texts_of:
            recipe_options([f"{name}={text}"])
    grid = Grid(values, ())
    count = config.draws or DRAWS
    numbers = range(grid.size)
    chosen = numbers if count >= grid.size else random.Random(config.seed).sample(numbers, count)
    draws = tuple(_combination(values, number) for number in chosen)
    for settings in draws:
        recipe_options(settings)
    return replace(grid, draws=draws)


def _combination(values: Mapping[str, Sequence[str]], number: int) -> tuple[str, ...]:
    """The combination of that number; the last coefficient changes first."""
    settings = []
    for name, texts in reversed(list(values.items())):
        number, place = divmod(number, len(texts))
        settings.append(f"{name}={texts[place]}")
    return tuple(reversed(settings))


def grid_search(config: SearchConfig, on_event: OnEvent | None = None) -> SearchResult:
    """Search once for each draw from a grid of coefficients; hand over the result with the best dev
    score.

    Args:
        config: of every search, but for `settings` (see `make_grid`); `budget_items` and
            `budget_minutes` are for all of them together.
        on_event: called with progress.

    Returns:
        The run of the chosen draw, in `config.out`, scored on test; ``grid.json`` there holds the
        table.

    Raises:
        UserError: bad input, before anything is written.
        KeyboardInterrupt: the run can be resumed.
    """
    path, grid = user_path(config.out), make_grid(config)
    check_new(path)
    _check_split(config)
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_grid(path, config, grid, ())
    except OSError as error:
        raise UserError(
            f"{path}: cannot write there ({error.strerror}); choose another `out`"
        ) from error
    try:
        return _search_all(path, config, grid, on_event)
    except BaseException:
        # no draw has begun: its input is wrong
        if {entry.name for entry in path.iterdir()} == {GRID}:
            shutil.rmtree(path)
        raise


def resume_grid(
    path: Path, on_event: OnEvent | None = None, allowed: Collection[str] = ()
) -> SearchResult:
    """Go on with a search over a grid, or read the result of a finished one; the arguments are
    those of `resume`.
    """
    config, grid = stored_grid(path)
    require(config, allowed, path)
    if (path / "run.json").exists():  # the draw is chosen
        return resume(path, on_event, allowed)
    return _search_all(path, config, grid, on_event, allowed)


def _check_split(config: SearchConfig) -> None:
    """Refuse data whose dev items depend on `test`, since the draws are scored without it.

    Raises:
        InvalidOption: they do.
    """
    if not config.test:
        return
    (tasks, fresh), (others, other_fresh) = load_split(config), load_split(replace(config, test=0))
    same = fresh == other_fresh and all(
        task.dev == others[name].dev for name, task in tasks.items()
    )
    if not same or any(spec.startswith(LM_EVAL) for spec in config.tasks):
        raise InvalidOption(
            "test", config.test, "decides here which items are dev; with a grid, remove it"
        )


def _search_all(
    path: Path,
    config: SearchConfig,
    grid: Grid,
    on_event: OnEvent | None,
    allowed: Collection[str] = (),
) -> SearchResult:
    """Begin, resume or read each draw in turn, then hand over the best."""
    refuse_links(path)
    notify = on_event or (lambda event: None)
    done: list[Draw] = []
    latest: Run | None = None
    settled = with_preset(config)
    if settled.preset != "auto":  # of which the first draw tells, since it depends on the tasks
        notify(Event("note", {"text": preset_text(settled, given_settings(config))}))
    for number, settings in enumerate(grid.draws, start=1):
        following = _next(config, latest, settings, path / f"draw-{number:02d}", done)
        if following is None:
            notify(
                Event(
                    "note", {"text": f"the budget ends before draw {number} of {len(grid.draws)}"}
                )
            )
            break
        notify(Event("note", {"text": f"draw {number} of {len(grid.draws)}: {' '.join(settings)}"}))
        given = given_settings(replace(config, settings=settings, grid="given", draws=None))
        latest = _search_one(following, latest, on_event, allowed, given)
        done.append(_drawn(latest, settings, first=number == 1))
        write_grid(path, config, grid, done)
    best = max(done, key=lambda draw: draw.best_dev)  # of equals the first
    write_grid(path, config, grid, done, best)
    items = sum(draw.item_evaluations for draw in done)
    note = (
        f"The coefficients {' '.join(best.settings)} are those of {best.folder}, the best on dev "
        f"of {len(done)} draws "
        f"from {grid.size:,} combinations ({GRID}); all draws took {items:,} items."
    )
    return _hand_over(path, config, best, note, on_event)


def _next(
    config: SearchConfig,
    latest: Run | None,
    settings: tuple[str, ...],
    out: Path,
    done: Sequence[Draw],
) -> SearchConfig | None:
    """The configuration of a draw, with what is left of the budgets; None if that pays for no
    iteration.

    What the first draw chose by preset holds for all.
    """
    if latest is None:
        first = replace(config, settings=settings, grid="given", draws=None)
        return replace(first, out=str(out), test=0, train="off", no_rivals=True)
    start, items, minutes = _start(latest), latest.config.budget_items, latest.config.budget_minutes
    if config.budget_items is not None:
        items = config.budget_items - sum(draw.item_evaluations for draw in done)
        dev = sum(map(len, latest.searched[0].items.values()))
        if items < dev * latest.config.population:
            return None
        items += sum(row.n for row in start)
    if config.budget_minutes is not None:
        minutes = config.budget_minutes - sum(draw.seconds for draw in done) / 60
        spent = sum(row.seconds for row in start) / 60
        if minutes <= spent:
            return None
        minutes += spent
    first = _again(latest.config)
    return replace(
        first, settings=settings, out=str(out), budget_items=items, budget_minutes=minutes
    )


def _again(stored: SearchConfig) -> SearchConfig:
    """The settings of a run to search with: what it says of its algorithm is found again."""
    return replace(stored, compat="reference" if stored.compat == "reference" else "auto")


def _search_one(
    config: SearchConfig,
    latest: Run | None,
    on_event: OnEvent | None,
    allowed: Collection[str],
    given: Mapping[str, Any],
) -> Run:
    """The finished run of one draw."""
    path = user_path(config.out)
    if (path / "run.json").exists():
        # of a finished one, too: the next take its configuration
        require(Run.open(path).config, allowed, path)
        resume(path, on_event, allowed)
        return Run.open(path)

    def create(about: dict[str, Any]) -> Run:
        run = Run.create(path, about)
        if latest is not None:
            _carry(latest.path, path, _CARRIED)
        return run

    begin(config, create, on_event, given)
    return Run.open(path)


def _start(run: Run) -> list[Row]:
    """The rows with which every draw begins: the trial of letters and the starting swarm."""
    return list(
        takewhile(lambda row: row.iteration == 0 and row.phase in ("letter", "search"), run.rows)
    )


def _drawn(run: Run, settings: tuple[str, ...], first: bool) -> Draw:
    rows = run.rows if first else run.rows[len(_start(run)) :]
    items, seconds = sum(row.n for row in rows), sum(row.seconds for row in rows)
    best = math.nan if run.result is None else run.result.best.dev.value
    return Draw(run.path.name, settings, best, len(rows), items, round(seconds, 3))


def _hand_over(
    path: Path, asked: SearchConfig, best: Draw, note: str, on_event: OnEvent | None
) -> SearchResult:
    """Make the output directory the run of the chosen draw: its store is replayed, its result
    trained on dev, unless that is off, and scored on test.
    """
    chosen = Run.open(path / best.folder)

    def create(about: dict[str, Any]) -> Run:
        _carry(chosen.path, path, (*_CARRIED, "checkpoint"))
        written = {"format": FORMAT, **about, "notes": {**about.get("notes", {}), "grid": note}}
        write_json(path / "run.json", written)  # last: now the directory is a run
        return Run.open(path)

    again = _again(chosen.config)
    config = replace(
        again, out=str(path), test=asked.test, train=asked.train, no_rivals=asked.no_rivals
    )
    return begin(config, create, on_event, given_settings(asked))


def _carry(source: Path, target: Path, names: Sequence[str]) -> None:
    """Copy files and folders of a run into another, where there are any."""
    refuse_links(source)
    for name in names:
        if (source / name).is_dir():
            shutil.rmtree(target / name, ignore_errors=True)
            shutil.copytree(source / name, target / name, symlinks=True)
        elif (source / name).exists():
            shutil.copyfile(source / name, target / name)
