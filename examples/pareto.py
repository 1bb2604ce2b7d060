"""The mixtures of a search over several tasks that no other leads on all of them: the Pareto front on dev.

python examples/pareto.py RUN
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pyswarmopt.driver.multi.pareto import non_dominated
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.run_directory import Run


def front_of(rows: Iterable[Row], tasks: Sequence[str]) -> list[tuple[tuple[float, ...], Row]]:
    """Scores by task, and the candidate: sorted by the first task, one of several equal ones.

    Args:
        rows: candidates; those with all items scored count.
        tasks: names of the tasks.
    """
    points: dict[tuple[float, ...], Row] = {}
    for row in rows:
        if row.complete:
            points.setdefault(tuple(row.score(name).value for name in tasks), row)
    efficient = non_dominated(-np.array(list(points)))
    return sorted(
        (point for point, is_in in zip(points.items(), efficient, strict=True) if is_in),
        key=lambda point: point[0],
    )


if __name__ == "__main__":
    run = Run(Path(sys.argv[1]))
    print("\t".join((*run.about.task_names, *run.config.experts)))
    for scores, row in front_of(run.searched, run.about.task_names):
        print("\t".join(f"{value:.3f}" for value in (*scores, *row.coefficients)))
