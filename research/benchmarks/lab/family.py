#!/usr/bin/env python3
"""The laboratory with a base of another architecture: a Gemma 3 of 0.8 million weights, six experts,
and the four main rows.

Skills, examples, tasks and recipes are those of `lab.py`. What is in --out is not made again.

    python research/benchmarks/lab/family.py --out runs/gemma --outcomes research/evidence/second-family.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import lab
import torch

from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare, outcomes_in

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tokens"))
from train_small_models import gemma3

EXPERTS = dict(islice(lab.EXPERTS.items(), 6))
METHODS = ("best-single", "uniform-soup", "model-swarms", "item-model+dev")
BUDGET = 10_000


def new_model(tokenizer: Any) -> Any:
    """A Gemma 3 as wide and deep as the laboratory's Llama, with random weights: other norms, heads
    that share keys, normalised queries and keys, a GELU gate, embeddings that are scaled.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return gemma3(tokenizer, width=128, inner=384, heads=4)


def make(out: Path) -> None:
    """The base, the experts and the tasks that are not there yet."""
    base = out / "base"
    if not (base / "config.json").exists():
        lab.make_base(base, lab.BASE_STEPS, new_model)
    for seed, (name, kinds) in enumerate(EXPERTS.items(), start=1):
        if not (out / "experts" / name).exists():
            lab.make_expert(base, out / "experts" / name, lab.expert_chats(base, kinds, seed))
    (out / "tasks").mkdir(exist_ok=True)
    for name, kinds in lab.TASKS.items():
        task = {"dev": lab.items(kinds, "dev", lab.DEV, 7)}
        task["test"] = lab.items(kinds, "test", lab.TEST, 7)
        (out / "tasks" / f"{name}.json").write_text(json.dumps(task))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5", "t6"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    make(args.out)
    config = CompareConfig(
        base=str(args.out / "base"),
        experts=tuple(str(args.out / "experts" / name) for name in EXPERTS),
        tasks=tuple(str(args.out / "tasks" / f"{name}.json") for name in args.tasks),
        out=str(args.out / "compare"),
        methods=METHODS,
        seeds=args.seeds,
        budget_items=BUDGET,
        scoring="likelihood",
        dtype="float32",
        threads=1,
    )
    compare(config)
    rows = outcomes_in(args.out / "compare")
    kept = [
        {name: row[name] for name in ("method", "task", "seed", "test", "items")} for row in rows
    ]
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in kept), encoding="utf-8")


if __name__ == "__main__":
    main()
