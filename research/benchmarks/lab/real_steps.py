#!/usr/bin/env python3
"""Does fine-tuning need fewer steps from a found start? The second question of `joint_training.py`, of a
real model: SmolLM2-135M, twelve experts, 200 dev and 500 test examples of a task with options.

The mixture is that of the default without training, whose coefficients --trial has (`real_trial.py`).
What is in --out is not run again.

    python research/benchmarks/lab/real_steps.py --experts EXPERTS --tasks TASKS/intent.json \\
        --trial research/evidence/real-trial.jsonl --out research/evidence/real-steps.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from joint_training import FORM, show, steps
from trial import Pool, bench_of, folders


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--experts", type=Path, required=True)
    parser.add_argument("--tasks", type=Path, nargs="+", required=True)
    parser.add_argument("--trial", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    options.job, options.of_trial = {}, {}
    torch.set_num_threads(1)
    pool = Pool(options.base, folders(options.experts), dtype=options.dtype)
    show(steps(options, {task.stem: bench_of(pool, task, FORM) for task in options.tasks}))


if __name__ == "__main__":
    main()
