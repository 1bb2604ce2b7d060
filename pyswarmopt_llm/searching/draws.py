"""A search for each of several sets of coefficients; the set with the best dev score is used.

All draws share one store, so each draw reuses earlier scores: the trial of letters, the starting
swarm. The run then becomes the chosen draw's, and only that draw is scored on test.
"""

from __future__ import annotations

from dataclasses import replace

from pyswarmopt_llm.common.events import OnEvent, note
from pyswarmopt_llm.searching.find import find
from pyswarmopt_llm.searching.grid import GridDraw, make_grid, read_grid, save_grid
from pyswarmopt_llm.searching.plan import Plan
from pyswarmopt_llm.searching.prepare import Job
from pyswarmopt_llm.searching.scoring.run_directory import GRID, Run


def choose_draw(job: Job, run: Run, tell: OnEvent) -> Job:
    """Explore with each draw in turn; return the job of the best draw (of equals the first).

    Args:
        job: the grid's job; each draw has an equal share of `budget_items` and `budget_minutes`.
        run: the run directory, locked.
        tell: called with progress.
    """
    grid = make_grid(job.plan.config)
    budgets = _share(job.plan, len(grid.waiting))
    seen: set[tuple[str, str]] = set()
    draws: dict[GridDraw, Job] = {}
    for number, settings in enumerate(grid.waiting, start=1):
        tell(note(f"draw {number} of {len(grid.waiting)}: {' '.join(settings)}"))
        drawn = job.with_settings(settings=settings, draws=1, **budgets)
        name = f"draw-{number:02d}"
        run.begin()
        run.draw = number
        best = find(drawn, run, tell, name).chosen.value
        new = [row for row in run.rows if (row.phase, row.key) not in seen]
        seen |= {(row.phase, row.key) for row in new}
        items = sum(row.n for row in new)
        seconds = sum(row.seconds for row in new)
        draws[GridDraw(name, settings, best, len(new), items, round(seconds, 3))] = drawn
        save_grid(run.path, replace(grid, draws=tuple(draws), waiting=grid.waiting[number:]))
    chosen = max(draws, key=lambda draw: draw.best_dev)
    save_grid(run.path, replace(grid, draws=tuple(draws), waiting=(), chosen=chosen.name))
    items = sum(draw.item_evaluations for draw in draws)
    text = (
        f"The coefficients {' '.join(chosen.settings)} are those of {chosen.name}, the best on dev "
        f"of {len(draws)} draws from {grid.size:,} combinations ({GRID}); all draws took {items:,} "
        "examples."
    )
    run.begin()
    run.draw = 1 + list(draws).index(chosen)
    return replace(draws[chosen], notes={**job.notes, "grid": text})


def chosen_number(run: Run) -> int:
    """The number of the draw that a run continues with."""
    return int(read_grid(run.path).chosen.removeprefix("draw-") or 0)


def _share(plan: Plan, draws: int) -> dict[str, float]:
    """The budgets of one draw; the starting swarm, which all draws share, counts once."""
    config = plan.config
    share: dict[str, float] = {}
    if config.budget_items is not None:
        start = plan.items * config.population
        share["budget_items"] = start + (config.budget_items - start) // draws
    if config.budget_minutes is not None:
        share["budget_minutes"] = config.budget_minutes / draws
    return share
