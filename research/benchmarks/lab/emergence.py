"""Correctness emergence among written answers: dev items that no expert gets right and the best
mixture does (Feng et al. 2024, arXiv 2410.11163).

A guess of four letters is right once in 10,000, so that nobody is right by chance. Reads the
finished searches of `research/benchmarks/scores/written_lab.py`, trained models left out, and writes a line
for each: how many dev items some expert gets right and the best keeps or loses, and how many no
expert gets right and the best does (`emerged`) or not (`never`).

    python research/benchmarks/scores/written_lab.py runs/lab --out runs/written --outcomes written.jsonl
    python research/benchmarks/lab/emergence.py runs/written --outcomes research/evidence/emergence.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyswarmopt_llm.report.finished import read_run
from pyswarmopt_llm.report.reading import emergence

METHODS = ("paper", "model-swarms", "swarm", "random", "pycma", "default")


def outcomes(runs: Path) -> Iterator[dict[str, Any]]:
    """A line for each finished search."""
    for method in METHODS:
        for folder in sorted(runs.glob(f"t?-{method}-?")):
            task, seed = folder.name[:2], int(folder.name[-1])
            _, result = read_run(folder)
            (cases,) = emergence(result).values()
            yield {"method": method, "task": task, "seed": seed, **cases._asdict()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder of finished searches")
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    args = parser.parse_args()
    lines = [json.dumps(line) for line in outcomes(args.runs)]
    args.outcomes.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
