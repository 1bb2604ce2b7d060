"""Sets of coefficients drawn from the paper's grid: a search for each, and ``grid.json``, the table of
their scores.

The paper reports the best of random draws. All draws share one store, so each draw reuses earlier
scores: the trial of letters, the starting swarm. The run then continues with the chosen draw, and
only that draw is scored on test.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pyswarmopt_llm.common.events import note
from pyswarmopt_llm.common.files.regular import write_json
from pyswarmopt_llm.run.directory import GRID, RunDirectory
from pyswarmopt_llm.searching.find import find
from pyswarmopt_llm.searching.plan import draws_of
from pyswarmopt_llm.searching.prepare import Job


def choose_draw(job: Job, run: RunDirectory) -> Job:
    """Explore with each draw in turn; return the job of the best draw (among equals the first).

    Args:
        job: the grid's job.
        run: the run directory, locked.
    """
    draws = draws_of(job.config)
    jobs = [job.with_settings(settings=settings, draws=1) for settings in draws]
    values = []
    for number, drawn in enumerate(jobs, start=1):
        job.tell(note(f"draw {number} of {len(jobs)}: {' '.join(drawn.config.settings)}"))
        run.begin()
        with ExitStack() as stack:
            values.append(find(drawn, run, stack, f"draw-{number:02d}").value)
    run.begin()
    best = max(range(len(jobs)), key=values.__getitem__)
    evaluated = run.store.all("search")
    items = sum(row["n"] for row in evaluated)
    table: dict[str, Any] = {
        "draws": [
            {"settings": settings, "best_dev": value}
            for settings, value in zip(draws, values, strict=True)
        ],
        "chosen": best + 1,
        "evaluations": len(evaluated),
        "item_evaluations": items,
    }
    write_json(run.path / GRID, table)
    text = (
        f"The coefficients {' '.join(draws[best])} are the best of {len(draws)} draws "
        f"({GRID}); all draws together scored {items:,} examples."
    )
    # a resumed run's plan decides nothing again, so its reasons are those of the record
    return replace(jobs[best], notes={**run.about.notes, **job.notes, "grid": text})
