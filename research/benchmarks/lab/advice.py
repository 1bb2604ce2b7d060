#!/usr/bin/env python3
"""The advice of `swarm-llm advise` on tasks whose outcomes are known.

In the laboratory dev items are those of `curve.py`. What each way gains on test is in
`research/evidence`: `curve.jsonl`, with 100 examples `unlabelled.jsonl`, of real tasks `present.jsonl`.
A line of --out is the advice on a task, a seed and a number of examples; what is there is not run
again. The rule was chosen on t1 to t3; t4 to t6 and real tasks are to claim on.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/advice.py --lab runs/lab --work runs/advice \\
        --out research/evidence/advice.jsonl
    python research/benchmarks/lab/advice.py --base embedded:smollm2-135m --experts EXPERTS --tasks TASKS \\
        --names graph generalist normad_country medmcqa completion commonsense \\
        --sizes 200 --seeds 0 --work runs/advice --out research/evidence/advice.jsonl
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from curve import MADE, SIZES, experts
from lab import TASKS
from lab_skills import items

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.jobs.advise import TRAINED, advise
from pyswarmopt_llm.reporting.advice import SEARCH, TAKE

Case = Callable[[str, int, int, Path], SearchConfig]
"""Task, seed, number of examples, folder -> the search that advice is asked about."""


def laboratory(lab: Path, made: bool) -> Case:
    """Cases of the laboratory; `made`: with the expert that was made for the task."""

    def case(task: str, seed: int, examples: int, folder: Path) -> SearchConfig:
        file = folder / f"{task}.json"
        dev = items(TASKS[task], "dev", max(SIZES), 7 + seed)[:examples]
        test = json.loads((lab / "tasks" / f"{task}.json").read_text())["test"]
        write_json(file, {"dev": dev, "test": test})
        return SearchConfig(
            base=str(lab / "base"),
            experts=experts(lab, task if made else None),
            tasks=(str(file),),
            out=str(folder / "trial"),
            scoring="likelihood",
            dtype="float32",
            threads=1,
            seed=seed,
        )

    return case


def real(base: str, experts: Path, tasks: Path, threads: int | None) -> Case:
    """Cases of a base with its experts and a folder of NAME.json."""

    def case(task: str, seed: int, examples: int, folder: Path) -> SearchConfig:
        return SearchConfig(
            base=base,
            experts=tuple(str(path) for path in sorted(experts.iterdir()) if path.is_dir()),
            tasks=(str(tasks / f"{task}.json"),),
            out=str(folder / "trial"),
            scoring="likelihood",
            threads=threads,
            dev=examples,
            seed=seed,
        )

    return case


def outcomes(trial: Path) -> dict[str, str]:
    """Way -> outcomes of the items of both halves, each by what the other half led to."""
    ways: dict[str, str] = {}
    for half in (trial / "half-1", trial / "half-2"):
        result = read_json(half / "result.json")
        packed = {TAKE: result["outcomes"]["best_single"], SEARCH: result["outcomes"]["best"]}
        if (half / TRAINED).exists():
            packed |= read_json(half / TRAINED)
        for way, by_task in packed.items():
            ways[way] = ways.get(way, "") + "".join(by_task.values())
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, help="folder that lab.py made; else the next three")
    parser.add_argument("--base", help="of the experts")
    parser.add_argument("--experts", type=Path, help="folder with one adapter directory per expert")
    parser.add_argument("--tasks", type=Path, help="folder with NAME.json")
    parser.add_argument("--names", nargs="+", default=list(TASKS))
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--made", action="store_true", help=MADE)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--work", type=Path, required=True, help="folder of the trials")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file of advice")
    args = parser.parse_args()
    if args.lab:
        torch.set_num_threads(1)
        case = laboratory(args.lab, args.made)
    else:
        case = real(args.base, args.experts, args.tasks, args.threads)
    log = AppendLog(args.out)
    done = {(row["task"], row["seed"], row["examples"]) for row in log.repaired()}
    for seed in args.seeds:
        for task in args.names:
            for size in args.sizes:
                if (task, seed, size) in done:
                    continue
                folder = args.work / f"{task}-{seed}-{size}"
                folder.mkdir(parents=True, exist_ok=True)
                begun = time.process_time()
                advised = advise(case(task, seed, size, folder)).to_json()
                kept = {name: advised[name] for name in ("advice", "sentence", "items", "gains")}
                seconds = round(time.process_time() - begun, 1)
                row = {"task": task, "seed": seed, "examples": size, **kept, "cpu": seconds}
                log.append({**row, "outcomes": outcomes(folder / "trial")})
                print(task, seed, size, advised["sentence"], flush=True)


if __name__ == "__main__":
    main()
