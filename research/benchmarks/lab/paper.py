#!/usr/bin/env python3
"""Model Swarms as the paper runs it, in the laboratory: 20 particles from its ten experts, LoRA
factors averaged, at most 50 iterations, patience 10, every item scored; with one set of
coefficients (`one`, the library's), and as the best on dev of random draws from the paper's grid
(`grid`), which alone is scored on test.

Every search is an ordinary run directory under --out, so a stopped benchmark goes on where it was.
The table is made from whatever has finished of --seeds: a row takes the tasks and seeds that it
has.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/paper.py --lab runs/lab --out runs/lab-paper --draws 5 --seeds 0
    python research/benchmarks/lab/paper.py --out runs/lab-paper --table
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

KINDS = ("grid", "one")
Results = Mapping[tuple[str, int], Mapping[str, Any]]  # (task, seed) -> result.json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, help="folder that lab.py made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--tasks", nargs="+", default=["t1", "t2", "t3", "t4", "t5", "t6"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--table", action="store_true", help="only print the table of what has finished"
    )
    return parser.parse_args()


def run_one(args: argparse.Namespace, kind: str, task: str, seed: int) -> None:
    """One search, or one search over the grid, unless it has finished."""
    from pyswarmopt_llm.api import resume, search
    from pyswarmopt_llm.common.config import SearchConfig
    from pyswarmopt_llm.run.directory import GRID

    out = args.out / f"{kind}-{task}-{seed}"
    if any((out / name).exists() for name in (GRID, "run.json")):
        resume(out)
        return
    config = SearchConfig(
        base=str(args.lab / "base"),
        experts=tuple(map(str, sorted((args.lab / "experts").iterdir()))),
        tasks=(str(args.lab / "tasks" / f"{task}.json"),),
        out=str(out),
        paper=True,
        space="factor",
        seed=seed,
        scoring="likelihood",
        dtype="float32",
        threads=args.threads,
    )
    found = search(replace(config, draws=1) if kind == "one" else replace(config, draws=args.draws))
    print(kind, task, seed, found.result["best_dev"], found.result["best_test"], flush=True)


def finished(out: Path, kind: str, seeds: list[int]) -> Results:
    """What has finished of a kind, with these seeds."""
    found = {}
    for file in sorted(out.glob(f"{kind}-*/result.json")):
        _, task, seed = file.parent.name.split("-")
        if int(seed) in seeds:
            found[task, int(seed)] = json.loads(file.read_text(encoding="utf-8"))
    return found


def items(out: Path, kind: str, key: tuple[str, int]) -> int:
    """Items that were scored on dev to find a result."""
    folder = out / f"{kind}-{key[0]}-{key[1]}"
    name = "grid.json" if kind == "grid" else "result.json"
    return int(json.loads((folder / name).read_text(encoding="utf-8"))["item_evaluations"])


def table(out: Path, seeds: list[int]) -> str:
    """Markdown: best single expert, one set, best of the draws; means over seeds, then over
    tasks.
    """
    by_kind = {kind: finished(out, kind, seeds) for kind in KINDS}
    tasks = sorted({task for results in by_kind.values() for task, _ in results})
    lines = [
        f"| row | dev | test | gain | items | {' | '.join(tasks)} |",
        f"|{'---|' * (5 + len(tasks))}",
    ]
    for kind in KINDS:
        results = by_kind[kind]
        if not results:
            continue
        spent = statistics.mean(items(out, kind, key) for key in results)
        lines.append(_line(f"best single, where `{kind}` ran", results, "best_single", tasks, None))
        lines.append(_line(kind, results, "best", tasks, spent))
    return "\n".join(lines)


def _line(name: str, results: Results, model: str, tasks: list[str], spent: float | None) -> str:
    def mean(split: str, task: str, of: str = model) -> float:
        return statistics.mean(
            one[f"{of}_{split}"] for (name, _), one in results.items() if name == task
        )

    own = [task for task in tasks if any(name == task for name, _ in results)]
    dev, test = (statistics.mean(mean(split, task) for task in own) for split in ("dev", "test"))
    gain = statistics.mean(
        mean("test", task) / mean("test", task, "best_single") - 1 for task in own
    )
    cells = [f"{mean('test', task):.3f}" if task in own else "-" for task in tasks]
    cost = "" if spent is None else f"{spent:,.0f}"
    return f"| {name} | {dev:.3f} | {test:.3f} | {gain:+.1%} | {cost} | {' | '.join(cells)} |"


def main() -> None:
    args = parse_args()
    if not args.table:
        for seed in args.seeds:
            for kind in args.kinds:
                for task in args.tasks:
                    run_one(args, kind, task, seed)
    print(table(args.out, args.seeds))


if __name__ == "__main__":
    main()
