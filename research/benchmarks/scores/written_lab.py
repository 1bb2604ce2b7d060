"""Written answers in the laboratory: how a search does where an item has a score and no margin.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/scores/written_lab.py runs/lab --out runs/written \\
        --outcomes research/evidence/written.jsonl

The six tasks of the laboratory, each answer written and scored by exact match: 100 dev and 500 test
items. Every method has the same evaluations, `EVALUATIONS` times all dev items, but for `paper`,
the published procedure at its own size. `spare` is the default with 400 further prompts, to which
replies are trained on (other numbers of them: commit 350681ac). t1 to t3 are to choose on, t4 to
t6 to claim on. A line of the outcomes is a method, a task and a seed, with 1 for each right answer of
a test item and 0 for a wrong one. A run that has finished is read, another one resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs import (
    DEV,
    MODEL_SWARMS,
    SWARM,
    TASKS,
    finished,
    lab_search,
    line,
    outcomes,
    parser,
    write_lines,
    written_tasks,
)

METHODS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "spare": {"dev": DEV},
    "swarm": {**SWARM, "space": "delta"},
    "model-swarms": MODEL_SWARMS,
    "nevergrad:CMA": {
        "paper": True,
        "draws": 1,
        "space": "delta",
        "optimizer": "nevergrad:CMA",
        "particles": 10,
        "max_iter": 3,
    },
    "random": {**SWARM, "space": "delta", "optimizer": "nevergrad:RandomSearch"},
    "paper": {"paper": True, "space": "factor", "draws": 1},
}
OF_DEFAULT = {"best_single": "best-single", "uniform": "uniform", "mixture": "mixture"}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("lab", type=Path)
    arguments.add_argument("--tasks", nargs="+", default=list(TASKS))
    arguments.add_argument("--methods", nargs="+", default=list(METHODS))
    options = arguments.parse_args()
    lines = []
    for task in options.tasks:
        file, more = written_tasks(options.lab, task, options.out)
        for method in options.methods:
            asked = more if method.startswith("spare") else file
            models = {"best": method, **(OF_DEFAULT if method == "default" else {})}
            for seed in options.seeds:
                run = options.out / f"{task}-{method}-{seed}"
                result = finished(lab_search(options.lab, asked, run, seed=seed, **METHODS[method]))
                lines += [line(outcome, task, seed) for outcome in outcomes(result, models)]
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
