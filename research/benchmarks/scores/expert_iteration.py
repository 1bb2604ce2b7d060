"""Expert iteration alone on the written tasks of the laboratory: from the base, and from the best
expert.

    python research/benchmarks/scores/expert_iteration.py runs/lab --out runs/iterated \
        --outcomes research/evidence/iterated.jsonl

The same tasks, settings and lines of outcomes as `written_lab.py`. The search by default writes at
most `EVALUATIONS` replies to each dev prompt to find a mixture, and then those of its own expert
iteration; here all of these go into expert iteration, those that the choice of the best expert
takes excepted. `expert-iteration-spare` is from the best expert, with the further prompts of
`spare` there, and in `expert-iteration-taught` other experts write some of the first replies, too,
as other mixtures do after a search. A run that was stopped is continued.
"""

from __future__ import annotations

from pathlib import Path

import torch
from iteration import FROM_BASE, FROM_BEST, best_of, experts_beside, iterated, on_dev
from runs import DEV, TASKS, lab_search, line, parser, write_lines, written_tasks

from pyswarmopt_llm.searching.prepare import prepare

WITH_SPARE, TAUGHT = "expert-iteration-spare", "expert-iteration-taught"
METHODS = (FROM_BASE, FROM_BEST, WITH_SPARE, TAUGHT)


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
        with_spare = prepare(lab_search(options.lab, more, unused, dev=DEV))
        scores, experts = on_dev(plain), plain.pool.space.vertices()
        single = best_of(scores)
        others = [experts[number] for number in experts_beside(scores, single)]
        for method in options.methods:
            job = with_spare if method in (WITH_SPARE, TAUGHT) else plain
            position, spent = experts[single], len(experts)
            if method == FROM_BASE:
                position, spent = torch.zeros_like(position), 0
            teachers = others if method == TAUGHT else ()
            for seed in options.seeds:
                folder = options.out / f"{task}-{method}-{seed}"
                values = iterated(job, position, spent, folder, seed, teachers)
                lines.append(line((method, values), task, seed))
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
