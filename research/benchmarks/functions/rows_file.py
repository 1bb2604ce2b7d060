"""The command of a benchmark whose lines are made in one go, seed by seed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any


def write_rows(
    text: str | None, rows: Callable[[list[int]], Iterable[Mapping[str, Any]]], seeds: int
) -> None:
    """Write a line for each row to the file that ``--outcomes`` names.

    Args:
        text: describes the benchmark.
        rows: seeds -> its rows.
        seeds: number of seeds, unless ``--seeds`` names others.
    """
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(seeds)))
    args = parser.parse_args()
    made = [json.dumps(row) for row in rows(args.seeds)]
    args.outcomes.write_text("".join(f"{row}\n" for row in made), encoding="utf-8")
