#!/usr/bin/env python3
"""Best single expert, uniform average and swarm on real tasks: the table of docs/explanation/results.md.

The algorithm is the paper's (space `factor`, every item scored, no other starts). Its size is not:
by default there are 12 particles and 10 iterations, and with 12 experts step 0 adds nobody; all
runs have one set of coefficients. The paper has `--particles 20 --max-iter 50`, from 10 experts,
and the best of draws from its grid: `--draws 10`, say.

Each search is an ordinary run directory under --out, so a stopped benchmark goes on where it was,
and several processes can share the work (give each its own --names). The table is made from
whatever has finished.

    python research/benchmarks/real_tasks.py --experts EXPERTS --tasks TASKS --out runs/real \\
        --names banking intent
    python research/benchmarks/real_tasks.py --out runs/real --table
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyswarmopt_llm.common.events import Event

CONTESTANTS = {"best_single": "best single expert", "uniform": "uniform average", "best": "swarm"}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--experts", type=Path, help="folder with one adapter directory per expert")
    parser.add_argument("--tasks", type=Path, help="folder with NAME.json")
    parser.add_argument(
        "--names", nargs="+", default=["intent", "banking", "science", "completion", "generalist"]
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--space", default="factor")
    parser.add_argument("--particles", type=int, default=12)
    parser.add_argument("--max-iter", type=int, default=10)
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument(
        "--draws",
        type=int,
        default=0,
        help="of the paper's grid of coefficients; 0: one default set",
    )
    parser.add_argument("--dev", type=int, default=200)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument(
        "--table", action="store_true", help="only print the table of what has finished"
    )
    return parser.parse_args()


def run_one(args: argparse.Namespace, name: str, seed: int) -> None:
    """One search, unless it has finished; the scoring found by the first seed holds for the
    others.
    """
    from pyswarmopt_llm.common.config import SearchConfig
    from pyswarmopt_llm.report.run import resume, search
    from pyswarmopt_llm.searching.scoring.run_directory import GRID

    out = args.out / f"{name}-{seed}"
    if (out / "result.json").exists():
        return
    if any((out / name).exists() for name in (GRID, "run.json")):
        resume(out)
        return
    first = args.out / f"{name}-{args.seeds[0]}" / "result.json"
    scoring = json.loads(first.read_text())["scoring"] if first.exists() else "auto"
    config = SearchConfig(
        base=args.base,
        experts=tuple(str(p) for p in sorted(args.experts.iterdir()) if p.is_dir()),
        tasks=(str(args.tasks / f"{name}.json"),),
        out=str(out),
        preset="none",
        space=args.space,
        particles=args.particles,
        max_iter=args.max_iter,
        patience=args.patience,
        dev=args.dev,
        test=args.test,
        seed=seed,
        scoring=scoring,
        threads=args.threads,
    )

    def on_event(event: Event) -> None:
        print(name, seed, event.kind, dict(event.data), flush=True)

    search(replace(config, grid="paper", draws=args.draws) if args.draws else config, on_event)


def finished(out: Path) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """Task -> (seed, result) of every finished run."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for file in sorted(out.glob("*/result.json")):
        name, _, seed = file.parent.name.rpartition("-")
        found.setdefault(name, []).append((int(seed), json.loads(file.read_text())))
    return found


def table(out: Path) -> str:
    """Markdown: one block of three rows per task; the swarm's scores are means over seeds, with
    each seed's behind.
    """
    lines = [
        "| task | model | dev | test | 95% interval on test | seconds |",
        "|---|---|---|---|---|---|",
    ]
    gains = []
    for name, runs in finished(out).items():
        single = runs[0][1]
        for key, label in CONTESTANTS.items():
            if key == "best":
                dev, test = ([r[f"best_{split}"] for _, r in runs] for split in ("dev", "test"))
                low, high = (
                    statistics.mean(r["intervals"]["best_test"][k] for _, r in runs) for k in (0, 1)
                )
                seconds = f"{statistics.mean(r['seconds'] for _, r in runs):.0f}"
                each = " / ".join(f"{t:.3f}" for t in test)
                row = [f"{statistics.mean(dev):.3f}", f"{statistics.mean(test):.3f} ({each})"]
                gains.append(statistics.mean(test) / single["best_single_test"] - 1)
            else:
                low, high = single["intervals"][f"{key}_test"]
                row, seconds = [f"{single[f'{key}_dev']:.3f}", f"{single[f'{key}_test']:.3f}"], ""
                label += f" ({single['best_single']})" if key == "best_single" else ""
            lines.append(
                f"| {name} | {label} | {' | '.join(row)} | [{low:.3f}, {high:.3f}] | {seconds} |"
            )
    if gains:
        gain = statistics.mean(gains)
        lines.append(
            f"\nMean relative gain of the swarm over the best single expert on test: {gain:+.1%}"
        )
    return "\n".join(lines)


def main() -> None:
    args = parse_args()
    if not args.table:
        for seed in args.seeds:
            for name in args.names:
                run_one(args, name, seed)
    print(table(args.out))


if __name__ == "__main__":
    main()
