"""The command line of benchmarks whose outcomes are rows for each seed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def write_rows(
    text: str | None,
    rows: Callable[[int], Iterable[Row]],
    shown: Callable[[Row], Row] | None = None,
) -> None:
    """Write the rows of all seeds.

    Args:
        text: describes the benchmark.
        rows: seed -> its rows.
        shown: what is printed of a row; None: nothing.
    """
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    made = [row for seed in args.seeds for row in rows(seed)]
    for row in made if shown is not None else ():
        print(shown(row), flush=True)
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")
