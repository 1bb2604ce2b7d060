#!/usr/bin/env python3
"""Do tasks that need several experts gain from a swarm of them? The rows of
`research/benchmarks/several_experts.py` in the laboratory, whose tasks t4 to t6 nothing is chosen on.

The pool is as users have it: the laboratory's ten experts, of which six or eight know one of a
task's skills and the others none, and one that was trained on answers that have slipped by a row.
A line of the outcomes is a method, a task and a seed. What has finished is not run again.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/several.py --lab runs/lab --out runs/several-lab \\
        --outcomes research/evidence/several.jsonl
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
from lab import EXPERT_EXAMPLES, SINGLES, make_expert
from lab_skills import chats

from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.common.files.regular import AppendLog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from several_experts import ROWS, Place, add_rows
from several_tasks import HARMFUL


def make(lab: Path, out: Path) -> None:
    """The harmful expert, and the chats of all experts, where they are not there yet."""
    merged = out / "chats" / "merged"
    if not merged.exists():
        shutil.copytree(lab / "data", merged)
    if (out / "experts" / HARMFUL).exists():
        return
    rows = [row["messages"] for row in chats(SINGLES, EXPERT_EXAMPLES, 301)]
    slipped = [
        {"messages": [asked, answered]}
        for (asked, _), (_, answered) in zip(rows, rows[1:] + rows[:1], strict=True)
    ]
    text = "".join(json.dumps(chat) + "\n" for chat in slipped)
    (merged / f"{HARMFUL}.jsonl").write_text(text, encoding="utf-8")
    make_expert(lab / "base", out / "experts" / HARMFUL, slipped)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5", "t6"])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    make(args.lab, args.out)
    place = Place(args.out, args.lab / "experts")
    names = [*sorted(path.name for path in (args.lab / "experts").iterdir()), HARMFUL]
    for seed in args.seeds:
        for task in args.tasks:
            config = SearchConfig(
                base=str(args.lab / "base"),
                experts=tuple(map(place.expert, names)),
                tasks=(str(args.lab / "tasks" / f"{task}.json"),),
                out=place.run("default", task, seed),
                scoring="likelihood",
                dtype="float32",
                threads=1,
                seed=seed,
            )
            add_rows(task, config, place, args.rows)
    lines = []
    for row in AppendLog(args.out / "outcomes.jsonl").read():
        for method, outcomes in row["outcomes"].items():
            (test,) = outcomes.values()
            line = {"method": method, "task": row["task"], "seed": row["seed"], "test": test}
            lines.append(json.dumps(line))
    args.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
