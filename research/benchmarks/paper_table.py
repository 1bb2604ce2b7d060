#!/usr/bin/env python3
"""All methods on real tasks: the table of docs/explanation/results.md beside the one of the Model Swarms paper.

An ordinary comparison (`swarm-llm compare`) with the settings of that table: 200 dev and up to 1000
test items, 3 seeds, 8,000 dev items per method, task and seed. It is resumable: the same command
goes on where it stopped. On SmolLM2-135M a search takes six to ten minutes of one core, so six
searching methods, four tasks and three seeds take four to five hours of two cores; two processes
share the tasks out, each with --names, --threads 1 and --out of its own. The fixed rules cost next
to nothing and are scored at full rank; RULE:adapter among --methods is the LoRA that `merge` writes
of one. What runs all experts on every item takes a quarter of an hour a task.

    python research/benchmarks/paper_table.py --experts EXPERTS --tasks TASKS --out runs/paper
    python research/benchmarks/paper_table.py --experts EXPERTS --tasks TASKS --out runs/paper --methods all
"""

from __future__ import annotations

import argparse
from pathlib import Path

# Of different kinds, with short items.
NAMES = ("intent", "banking", "science", "completion")

# The paper's own rivals, the optimizers of the same coefficients that have to be beaten, and the
# controls.
METHODS = (
    "finetune-dev,gradient,item-model+dev,random-adapters,best-single,prediction-merge,uniform-soup,slerp,dare-ties,"
    "model-stock,greedy-soup,pack-sim,cbtm,evolmerge,lorahub,"
    "ties,task-arithmetic,natural-niches,model-swarms,item-model,constriction,nevergrad:CMA,nevergrad:RandomSearch"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument(
        "--experts", type=Path, required=True, help="folder with one adapter directory per expert"
    )
    parser.add_argument("--tasks", type=Path, required=True, help="folder with NAME.json")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with EXPERT.jsonl, which data-merge, regmean and fisher need",
    )
    parser.add_argument("--names", nargs="+", default=list(NAMES))
    parser.add_argument("--methods", default=METHODS, help="names with commas between them, or all")
    parser.add_argument("--out", required=True)
    parser.add_argument("--space", default="delta")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget-items", type=int, default=8000)
    parser.add_argument("--dev", type=int, default=200)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()

    from pyswarmopt_llm.cli.app import main as swarm_llm

    words = [
        "compare",
        "--base",
        args.base,
        "--out",
        args.out,
        "--methods",
        args.methods,
        "--space",
        args.space,
    ]
    words += ["--experts", *(str(path) for path in sorted(args.experts.iterdir()) if path.is_dir())]
    for name in args.names:
        words += ["--task", str(args.tasks / f"{name}.json")]
    for path in sorted(args.data.glob("*.jsonl")) if args.data is not None else ():
        words += ["--data", f"{path.stem}={path}"]
    for option in ("seeds", "budget_items", "dev", "test", "threads", "device"):
        value = getattr(args, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    swarm_llm(words)


if __name__ == "__main__":
    main()
