"""Written answers in the laboratory: how a search does where an item has a score and no margin.

    python benchmarks/lab/lab.py make --out runs/lab
    python benchmarks/scores/written_lab.py runs/lab --out runs/written --outcomes docs/evidence/written.jsonl

The six tasks of the laboratory, each answer written and scored by exact match: 100 dev and 500 test items. Every method
has the same evaluations, `EVALUATIONS` times all dev items, but for `paper`, the published procedure at its own size.
t1 to t3 are to choose on, t4 to t6 to claim on. A line of the outcomes is a method, a task and a seed, with 1 for each
right answer of a test item and 0 for a wrong one. A run that has finished is read, another one resumed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm import SearchConfig, resume, search

EVALUATIONS = 40
STARTS = 13  # ten experts, the base, their average and their sum
TASKS = ("t1", "t2", "t3", "t4", "t5", "t6")
_SWARM = {"preset": "none", "particles": 10, "max_iter": 3, "patience": 10}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "swarm": {**_SWARM, "space": "delta"},
    "model-swarms": {**_SWARM, "space": "factor", "start": "segments"},
    "pycma": {"preset": "none", "space": "delta", "optimizer": "pycma", "particles": 10, "max_iter": 3},
    "random": {**_SWARM, "space": "delta", "optimizer": "nevergrad:RandomSearch"},
    "paper": {"preset": "paper", "grid": "given"},
}


def written(task: Path, out: Path) -> Path:
    """The task without options: the right one's text is the answer."""
    splits = json.loads(task.read_text(encoding="utf-8"))
    for item in [*splits["dev"], *splits["test"]]:
        item["answer"] = item.pop("choices")[item["answer"]]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(splits), encoding="utf-8")
    return out


def outcomes(run: Path, config: SearchConfig, method: str) -> Iterator[tuple[str, str]]:
    """(method, 1 or 0 for each test item): what was found.

    Of the default also the mixture before it was trained, the best single expert and the average.
    """
    result = (resume(run) if (run / "run.json").exists() else search(config)).result
    models = {"best": method}
    if method == "default":
        models |= {"best_single": "best-single", "uniform": "uniform", "mixture": "mixture"}
    for model, name in models.items():
        (values,) = result["outcomes"][model].values()
        yield name, values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lab", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    experts = tuple(sorted(map(str, (options.lab / "experts").iterdir())))
    lines = []
    for task in options.tasks:
        file = written(options.lab / "tasks" / f"{task}.json", options.out / "tasks" / f"{task}.json")
        for method in options.methods:
            for seed in options.seeds:
                run = options.out / f"{task}-{method}-{seed}"
                config = SearchConfig(
                    base=str(options.lab / "base"),
                    experts=experts,
                    tasks=(str(file),),
                    out=str(run),
                    metrics=("exact-match",),
                    max_new_tokens=6,
                    seed=seed,
                    threads=1,
                    dtype="float32",
                    no_rivals=True,
                    **METHODS[method],
                )
                for name, values in outcomes(run, config, method):
                    lines.append(json.dumps({"method": name, "task": task, "seed": seed, "test": values}))
                    print(task, seed, name, f"{values.count('1') / len(values):.3f}", flush=True)
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
