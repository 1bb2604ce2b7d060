#!/usr/bin/env python3
"""The swarm's trial on a real model: SmolLM2-135M, twelve experts, real tasks as options.

Rows and settings are those of `trial.py` (research/notes/trial.md named them before they ran): Model
Swarms to its own patience in `factor` and `delta`, from segments and from sums, CMA-ES with as many
evaluations, one number for the best expert and for the average, and the default without training.
200 dev and 500 test examples, one seed.

An evaluation takes 10 to 20 s of one core, a swarm 300 to 400 of them. A run may be stopped at any
time: what is there is not run again, and a search goes on where it stopped.

    python research/benchmarks/lab/real_trial.py --experts EXPERTS --tasks TASKS/intent.json \\
        --work runs/real --out research/evidence/real-trial.jsonl

On a GPU (`--device cuda --dtype bfloat16`) an evaluation takes a fraction of a second; --minutes ends
after the row that is under way then.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from trial import SCALE, Pool, append, bench_of, folders, lines_of, scaled, searched, settings_of

ROWS = (
    "default without training",
    SCALE,
    "swarm delta segments",
    "swarm factor segments",
    "swarm delta sums",
    "cma-es delta segments",
)


def parser_of(text: str | None) -> argparse.ArgumentParser:
    """The options of a benchmark of a real model; `text` describes it."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--experts", type=Path, required=True)
    parser.add_argument("--tasks", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    return parser


def pool_of(options: argparse.Namespace) -> Pool:
    """The pool that these options name."""
    return Pool(options.base, folders(options.experts), options.device, options.dtype)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--rows", nargs="+", default=list(ROWS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * options.minutes
    for row in options.rows:
        for task in options.tasks:
            if time.monotonic() < end:
                run_row(options, task, row)


def run_row(options: argparse.Namespace, task: Path, row: str) -> None:
    """Run a row of a task, unless its lines are there."""
    job = {"task": task.stem, "seed": options.seed}
    known = [line for line in lines_of(options.out) if job.items() <= line.items()]
    if row in {line["row"] for line in known}:
        return
    pool = pool_of(options)
    if row == SCALE:
        made = scaled(bench_of(pool, task, "choices"))
    else:
        evaluations = {line["row"]: line.get("evaluations", 0) for line in known}
        settings = settings_of(row, evaluations)
        run = options.work / f"{task.stem}-{row.replace(' ', '-')}-{options.seed}"
        made = searched(pool, task, "choices", row, options.seed, run, settings)
    append(options.out, job, made)


if __name__ == "__main__":
    main()
