#!/usr/bin/env python3
"""What each way to do less work costs and brings, paired with the plain search: scores, items,
time.

Every search is an ordinary run directory under --out, so a stopped benchmark goes on where it was
and several processes can share it (give each its own --names or --seeds). A variant and the plain
search (`off`) start from the same seed; the differences are paired over tasks and seeds, with a 95%
interval from Student's t. The table is made from whatever has finished.

    python research/benchmarks/lab/less_work.py --experts EXPERTS --tasks TASKS --out runs/less \\
        --names banking intent science
    python research/benchmarks/lab/less_work.py --out runs/less --table
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

from scipy import stats

# What a variant changes of the plain search. `budget` is a share of the plain search's items.
VARIANTS: dict[str, dict[str, Any]] = {
    "off": {},
    "drop-k": {"drop_k": 0.5},
    "drop-n": {"drop_n": 0.5},
    "third": {"budget": 1 / 3},
}
# Not less work, but measured in the same way (--variants off delta): docs/how-to/spaces.md.
SPACES: dict[str, dict[str, Any]] = {"delta": {"space": "delta"}}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--experts", type=Path, help="folder with one adapter directory per expert")
    parser.add_argument("--tasks", type=Path, help="folder with NAME.json")
    parser.add_argument("--names", nargs="+", default=["banking", "intent", "science"])
    parser.add_argument(
        "--variants", nargs="+", default=list(VARIANTS), choices=[*VARIANTS, *SPACES]
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--particles", type=int, default=12)
    parser.add_argument("--max-iter", type=int, default=10)
    parser.add_argument("--dev", type=int, default=200)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--batch-tokens", type=int, default=512)
    parser.add_argument("--scoring", default="likelihood")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument(
        "--table", action="store_true", help="only print the table of what has finished"
    )
    return parser.parse_args()


def run_one(args: argparse.Namespace, name: str, seed: int, variant: str) -> None:
    """One search, unless it has finished."""
    from pyswarmopt_llm.common.config import SearchConfig
    from pyswarmopt_llm.report.run import resume, search

    out = args.out / f"{name}-{seed}-{variant}"
    if (out / "run.json").exists():
        resume(out)
        return
    options = dict({**VARIANTS, **SPACES}[variant])
    if "budget" in options:
        plain = args.particles * (args.max_iter + 1) * args.dev
        options["budget_items"] = round(options.pop("budget") * plain)
    config = SearchConfig(
        base=args.base,
        experts=tuple(str(p) for p in sorted(args.experts.iterdir()) if p.is_dir()),
        tasks=(str(args.tasks / f"{name}.json"),),
        out=str(out),
        preset="none",
        particles=args.particles,
        max_iter=args.max_iter,
        patience=args.max_iter + 1,
        dev=args.dev,
        test=args.test,
        seed=seed,
        scoring=args.scoring,
        threads=args.threads,
        dtype=args.dtype,
        batch_tokens=args.batch_tokens,
        **options,
    )
    result = search(config).result
    print(
        name,
        seed,
        variant,
        result["best_dev"],
        result["best_test"],
        result["item_evaluations"],
        flush=True,
    )


def finished(out: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Variant -> task and seed -> result."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for variant in (*VARIANTS, *SPACES):
        for file in sorted(out.glob(f"*-{variant}/result.json")):
            key = file.parent.name.removesuffix(f"-{variant}")
            found.setdefault(variant, {})[key] = json.loads(file.read_text(encoding="utf-8"))
    return found


def paired(values: list[float]) -> str:
    """Mean with a 95% interval."""
    if len(values) < 2:
        return "/".join(f"{v:+.3f}" for v in values) or "-"
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):+.3f} ± {half:.3f}"


def table(out: Path) -> str:
    """Markdown: a row per variant, against the plain search on the same tasks and seeds."""
    found = finished(out)
    plain = found.get("off", {})
    lines = [
        (
            "| variant | pairs | dev - plain | test - plain | items / plain | seconds scoring / "
            "plain |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for variant, runs in found.items():
        keys = [key for key in runs if key in plain]
        if variant == "off" or not keys:
            continue
        dev, test = (
            paired([runs[k][f"best_{s}"] - plain[k][f"best_{s}"] for k in keys])
            for s in ("dev", "test")
        )
        items, seconds = (
            sum(runs[k][what] for k in keys) / sum(plain[k][what] for k in keys)
            for what in ("item_evaluations", "seconds_scoring")
        )
        lines.append(f"| {variant} | {len(keys)} | {dev} | {test} | {items:.2f} | {seconds:.2f} |")
    return "\n".join(lines)


def main() -> None:
    args = parse_args()
    if not args.table:
        for seed in args.seeds:
            for name in args.names:
                for variant in args.variants:
                    run_one(args, name, seed, variant)
    print(table(args.out))


if __name__ == "__main__":
    main()
