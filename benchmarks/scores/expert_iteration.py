"""Expert iteration alone on the written tasks of the laboratory: from the base, and from the best
expert.

    python benchmarks/scores/expert_iteration.py runs/lab --out runs/iterated \
        --outcomes docs/evidence/iterated.jsonl

The same tasks, settings and lines of outcomes as `written_lab.py`. The search by default writes at
most `EVALUATIONS` replies to each dev prompt to find a mixture, and then those of its own expert
iteration; here all of these go into expert iteration, those that the choice of the best expert
takes excepted. `expert-iteration-spare` is from the best expert, with the further prompts of
`spare` there. A run that was stopped is continued.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from runs import (
    DEV,
    EVALUATIONS,
    SPARE,
    TASKS,
    lab_search,
    line,
    parser,
    write_lines,
    written_tasks,
)

from pyswarmopt_llm.jobs.search.cross_fitting import not_worse
from pyswarmopt_llm.jobs.search.prepare import Job, prepare
from pyswarmopt_llm.jobs.search.written.expert_iteration import (
    ROUNDS,
    expert_iteration,
    planned_replies,
)

BASE, BEST, WITH_SPARE = (
    "expert-iteration-base",
    "expert-iteration-best-single",
    "expert-iteration-spare",
)
METHODS = (BASE, BEST, WITH_SPARE)


def samples(spent: int, dev: int, spare: int = 0) -> int:
    """Samples of a prompt in a round, so that all rounds take what a search and its training take.

    Args:
        spent: evaluations of all dev prompts before.
        dev: number of dev prompts.
        spare: number of spare prompts.

    Example:
        >>> samples(0, 100), samples(10, 100)  # (40 + 38 - 2) / 4 - 1
        (18, 15)
        >>> samples(10, 100, 400)  # (7,600 - 1,000 - 400) / 1,600
        3
    """
    left = (EVALUATIONS - spent) * dev + planned_replies(dev, spare) - 2 * (dev + spare)
    return (left - ROUNDS * dev) // (ROUNDS * (spare or dev))


def best_expert(job: Job) -> int:
    """Number of the expert with the best score on dev, of equals the first."""
    values = []
    for vertex in job.space.vertices():
        job.engine.load(job.space.realise(vertex))
        scores = [
            utility(job.engine)
            for utility in job.utilities("dev", {job.objectives.names[0]: "generate"}).values()
        ]
        values.append(job.objectives.combine(scores).value)
    return values.index(max(values))


def outcome(job: Job, method: str, single: int, folder: Path, seed: int) -> list[float]:
    """The value of each test item, of what is not below its start on dev, else of the start."""
    scorings = {job.objectives.names[0]: "generate"}
    vertices = job.space.vertices()
    from_base = method == BASE
    position = torch.zeros_like(vertices[0]) if from_base else vertices[single]
    dev, spare = job.utilities("dev", scorings), job.utilities("spare", scorings)
    folder.mkdir(parents=True, exist_ok=True)
    iteration = expert_iteration(
        job.engine,
        job.space,
        position,
        dev,
        job.objectives.combine,
        job.experts[0],
        folder,
        seed,
        spare=spare,
        samples=samples(0 if from_base else len(vertices), job.dev_items, SPARE * bool(spare)),
        say=lambda text: print(" ", text, flush=True),
    )
    patch = job.space.realise(position)
    if iteration.best is not None:
        space = iteration.best.space
        trained = space.realise(space.on_top_of(position))
        scores = []
        for candidate in (trained, patch):
            job.engine.load(candidate)
            scores.append(job.objectives.combine([utility(job.engine) for utility in dev.values()]))
        if not_worse(*scores):
            patch = replace(trained, held_out=())
    job.engine.load(patch)
    (utility,) = job.utilities("test", scorings).values()
    return list(utility(job.engine).per_item)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("lab", type=Path)
    arguments.add_argument("--tasks", nargs="+", default=list(TASKS))
    arguments.add_argument("--methods", nargs="+", default=list(METHODS))
    options = arguments.parse_args()
    lines = []
    for task in options.tasks:
        file, more = written_tasks(options.lab, task, options.out)
        unused = options.out / "unused"
        plain = prepare(lab_search(options.lab, file, unused))
        with_spare = prepare(lab_search(options.lab, more, unused, dev=DEV, spare=SPARE))
        single = best_expert(plain)
        for method in options.methods:
            job = with_spare if method == WITH_SPARE else plain
            for seed in options.seeds:
                values = outcome(job, method, single, options.out / f"{task}-{method}-{seed}", seed)
                lines.append(line((method, values), task, seed))
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
