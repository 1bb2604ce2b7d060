#!/usr/bin/env python3
"""Does fine-tuning need fewer steps from a found start? The second question of `joint_training.py`, of a
real model: SmolLM2-135M, twelve experts, 200 dev and 500 test examples of a task with options.

The mixture is that of the default without training, whose coefficients --trial has (`real_trial.py`).
What is in --out is not run again.

    python research/benchmarks/lab/real_steps.py --experts EXPERTS --tasks TASKS/intent.json \\
        --trial research/evidence/real-trial.jsonl --out research/evidence/real-steps.jsonl
"""

from __future__ import annotations

from pathlib import Path

import torch
from joint_training import FORM, show, steps
from real_trial import parser_of, pool_of
from trial import bench_of


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--trial", type=Path, required=True)
    options = parser.parse_args()
    options.job = {}
    options.of_trial = {}
    torch.set_num_threads(1)
    pool = pool_of(options)
    show(steps(options, {task.stem: bench_of(pool, task, FORM) for task in options.tasks}))


if __name__ == "__main__":
    main()
