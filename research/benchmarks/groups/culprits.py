#!/usr/bin/env python3
"""How often leave-one-out names the member that lies: each of ten experts of the laboratory in turn
is wrong on purpose, and members are ranked by what the group gains without them on test.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/groups/culprits.py --lab runs/lab --work runs/culprits \\
        --outcomes research/evidence/culprits.jsonl

A line of the outcomes is a task, a liar and a strategy: the liar's place (1: named first), the
place of the same member when it tells the truth, and both scores of the group.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.leave_one_out import without_members
from pyswarmopt_groups.run import decide_task
from pyswarmopt_llm.common.files.regular import AppendLog

STRATEGIES = ("majority", "weighted", "confidence")


def explained(lab: Path, out: Path, task: str, liar: str | None) -> dict[str, Any]:
    """Strategy -> its score and those without each member."""
    shutil.rmtree(out, ignore_errors=True)
    decide_task(
        CouncilConfig(
            members=tuple(map(str, sorted((lab / "experts").iterdir()))),
            strategies=STRATEGIES,
            task=str(lab / "tasks" / f"{task}.json"),
            out=str(out),
            base=str(lab / "base"),
            scoring="likelihood",
            dtype="float32",
            threads=1,
            liar=liar,
        )
    )
    strategies: dict[str, Any] = without_members(out, lambda text: None)["strategies"]
    return strategies


def place(row: dict[str, Any], member: str) -> float:
    """The member's place by the group's score without it, 1 the highest; ties share theirs."""
    score = row["members"][member]["test"]
    scores = [other["test"] for other in row["members"].values()]
    better, equal = sum(s > score for s in scores), sum(s == score for s in scores)
    return better + (equal + 1) / 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder that lab.py made")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5", "t6"])
    args = parser.parse_args()
    log = AppendLog(args.outcomes)
    done = {(row["task"], row["liar"]) for row in log.repaired()}
    names = sorted(folder.name for folder in (args.lab / "experts").iterdir())
    for task in args.tasks:
        missing = [name for name in names if (task, name) not in done]
        truthful = explained(args.lab, args.work / task, task, None) if missing else {}
        for liar in missing:
            lied = explained(args.lab, args.work / task, task, liar)
            for strategy, row in lied.items():
                line = {
                    "task": task,
                    "liar": liar,
                    "strategy": strategy,
                    "place": place(row, liar),
                    "place_truthful": place(truthful[strategy], liar),
                    "score": row["test"],
                    "score_truthful": truthful[strategy]["test"],
                    "score_without": row["members"][liar]["test"],
                }
                log.append(line)
                print(line, flush=True)


if __name__ == "__main__":
    main()
