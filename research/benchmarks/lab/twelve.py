#!/usr/bin/env python3
"""Model Swarms beside its paper's twelve baselines in the laboratory, with the paper's 200 dev and
1,000 test items of a task, drawn anew.

Baselines that search may score 8,000 dev items; Model Swarms stops by its own patience, as in the
paper. `data-merge` trains on the data of all experts, as they were trained, and has one seed, and so
has what draws nothing. `always A` answers A. With `--written` no options are shown, and a reply is
right if it is the answer's text; what combines the options of several models has no place there
(`--parts rivals swarms data`). A line of the outcomes is a build of the laboratory, a method, a task
and a seed, with 1 for each right answer of a test item. What is in --out is not run again; lines of
other builds stay.

    python research/benchmarks/lab/lab.py make --out runs/lab-3 --build 3
    python research/benchmarks/lab/twelve.py --lab runs/lab-3 --build 3 --out runs/twelve-3 \\
        --outcomes research/evidence/twelve.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lab import EXPERT_EPOCHS, EXPERT_RATE, TASKS
from lab_skills import items

from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare, outcomes_in

DEV, TEST, DRAW = 200, 1000, 23
BUDGET, UNLIMITED = 8_000, 1_000_000
ONE_MODEL = ("best-single", "uniform-soup", "slerp", "dare-ties", "model-stock", "greedy-soup")
ALL_MODELS = ("prediction-merge", "pack-sim", "pack-opt", "cbtm")
SEARCHES = ("lorahub", "evolmerge")
OPTIONS: Mapping[str, Any] = {"scoring": "likelihood"}
WRITTEN: Mapping[str, Any] = {"metrics": ("exact-match",), "max_new_tokens": 6}
# folder -> its methods, and dev items that a search may score
PARTS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "rivals": ((*ONE_MODEL, *SEARCHES), BUDGET),
    "ensembles": (ALL_MODELS, BUDGET),
    "swarms": (("model-swarms",), UNLIMITED),
    "data": (("data-merge",), BUDGET),
}


def write_tasks(folder: Path, names: list[str], written: bool) -> tuple[str, ...]:
    """Files of the tasks with items that no other benchmark drew, as options or written answers."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in names:
        file = folder / f"{name}.json"
        task = {
            split: items(TASKS[name], split, n, DRAW) for split, n in (("dev", DEV), ("test", TEST))
        }
        for item in (*task["dev"], *task["test"]) if written else ():
            item["answer"] = item.pop("choices")[item["answer"]]
        file.write_text(json.dumps(task), encoding="utf-8")
        files.append(str(file))
    return tuple(files)


def config_of(
    lab: Path, out: Path, tasks: tuple[str, ...], part: str, seeds: int, scoring: Mapping[str, Any]
) -> CompareConfig:
    """A part of the comparison, as `swarm-llm compare` runs it."""
    methods, budget = PARTS[part]
    experts = sorted((lab / "experts").iterdir())
    data = tuple(f"{expert.name}={lab / 'data' / expert.name}.jsonl" for expert in experts)
    return CompareConfig(
        base=str(lab / "base"),
        experts=tuple(map(str, experts)),
        tasks=tasks,
        out=str(out / part),
        methods=methods,
        seeds=1 if part == "data" else seeds,
        budget_items=budget,
        data=data if part == "data" else (),
        data_epochs=EXPERT_EPOCHS,
        data_lr=EXPERT_RATE,
        dtype="float32",
        threads=1,
        **scoring,
    )


def constant(file: str) -> dict[str, Any]:
    """The outcome of a model that always answers A."""
    test = json.loads(Path(file).read_text(encoding="utf-8"))["test"]
    right = "".join(str(int(item["answer"] == "A")) for item in test)
    return {"method": "always A", "task": Path(file).stem, "seed": 0, "test": right, "items": 0}


def outcomes(out: Path) -> Iterator[dict[str, Any]]:
    """What has finished."""
    for part in PARTS:
        for row in outcomes_in(out / part):
            yield {name: row[name] for name in ("method", "task", "seed", "test", "items")}


def write_outcomes(file: Path, build: int, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write the lines of a build in place of its lines; those of other builds stay."""
    kept = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    others = [line for line in map(json.loads, kept) if line["build"] != build]
    found = [*others, *({"build": build, **line} for line in lines)]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in found), encoding="utf-8")


def show(done: int, total: int, name: str, outcome: Mapping[str, Any] | None) -> None:
    """A line for each method that is done."""
    if outcome:
        right = outcome["test"].count("1") / len(outcome["test"])
        print(name, f"{right:.3f}", outcome["items"], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder that lab.py made")
    parser.add_argument("--build", type=int, required=True, help="that of --lab")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5", "t6"])
    parser.add_argument("--written", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    files = write_tasks(args.out / "tasks", args.tasks, args.written)
    scoring = WRITTEN if args.written else OPTIONS
    for part in args.parts:
        compare(config_of(args.lab, args.out, files, part, args.seeds, scoring), show)
    controls = () if args.written else map(constant, files)
    write_outcomes(args.outcomes, args.build, [*controls, *outcomes(args.out)])


if __name__ == "__main__":
    main()
