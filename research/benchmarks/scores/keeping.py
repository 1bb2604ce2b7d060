"""One task is searched and another one kept: does the guard of `combine keep:FLOOR` hold?

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/scores/keeping.py runs/lab --out runs/keeping \\
        --outcomes research/evidence/keeping.jsonl

Two tasks of the laboratory that share no skill, t4 and t5, each answer written and scored by exact
match: 100 dev and 500 test items. One is searched; of the other the adapter in use, the best expert
on its dev items, may lose one point of dev. `alone` is a search for the first task, `guard` one with
both and that floor, `harmonic` one with both as the paper combines them. t1 and t2 were to look at.
A line of the outcomes is a method, a pair of tasks with the one that is scored, and a seed, with 1
for each right answer of a test item and 0 for a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from runs import (
    NEW_TOKENS,
    adapters,
    finished,
    lab_search,
    line,
    parser,
    write_lines,
    written_tasks,
)

from pyswarmopt_llm.searching.use.model import evaluate_model

PAIRS = (("t4", "t5"), ("t5", "t4"))
POINT = 0.01
Files = tuple[Path, Path]
"""The searched task and the kept one."""


def score(lab: Path, model: Path, task: Path, split: str) -> tuple[float, ...]:
    """The value of each item."""
    asked: dict[str, Any] = {"metric": "exact-match", "max_new_tokens": NEW_TOKENS, "threads": 1}
    base = str(lab / "base")
    found = evaluate_model(base, str(model), str(task), split, dtype="float32", **asked)
    return tuple(found.score.per_item)


def in_use(lab: Path, kept: Path) -> tuple[Path, float]:
    """The expert that is best on the dev items of the kept task, the first of several, and its
    score.
    """
    scores = {
        Path(expert): score(lab, Path(expert), kept, "dev") for expert in adapters(lab / "experts")
    }
    best = max(scores, key=lambda expert: sum(scores[expert]))
    return best, sum(scores[best]) / len(scores[best])


def models(
    lab: Path, files: Files, out: Path, seed: int, best: Path, floor: float
) -> Iterator[Any]:
    """Methods and the adapters that they hand over."""
    yield "in-use", best
    both = {"alone": None, "guard": f"keep:{floor:.6f}", "harmonic": "harmonic"}
    for method, combine in both.items():
        run = out / f"{files[0].stem}-{files[1].stem}-{method}-{seed}"
        config = lab_search(lab, files[0], run, seed=seed)
        if combine is not None:
            config = replace(config, tasks=(str(files[0]), str(files[1])), combine=combine)
        finished(config)
        yield method, run / "best"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("lab", type=Path)
    arguments.add_argument("--pairs", nargs="+", default=["-".join(pair) for pair in PAIRS])
    options = arguments.parse_args()
    lines: list[str] = []
    for name in options.pairs:
        pair = tuple(name.split("-"))
        searched, kept = (written_tasks(options.lab, task, options.out)[0] for task in pair)
        best, dev = in_use(options.lab, kept)
        for seed in options.seeds:
            found = models(options.lab, (searched, kept), options.out, seed, best, dev - POINT)
            for method, model in found:
                for role, task in zip(("searched", "kept"), (searched, kept), strict=True):
                    values = list(score(options.lab, model, task, "test"))
                    lines.append(line((method, values), f"{name} {role}", seed))
            write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
