"""Kept runs of the default on bbob beside DTS-CMA-ES with ordinal regression, from COCO's data archive.

    python research/benchmarks/functions/archived.py --out research/evidence/archived.jsonl --archives *DTS*.tgz
    python research/benchmarks/functions/archived.py --out research/evidence/archived.jsonl

The archive numbbo/data-archive has runs of 100 D calls on 15 instances (bbob/2017, Pitra et al. 2017).
The area is that of bbob.py, with 100 D calls: 51 targets from 10^2 to 10^-8, on a logarithmic scale of
calls. The default's runs are those of research/evidence/bbob, cut at 100 D calls, on the instances that
both have.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks" / "bbob"))
from bbob_problems import GROUPS
from bbob_report import TARGETS

EVIDENCE = Path(__file__).parents[2] / "evidence"
CALLS = 100  # times the dimension
DIMENSION = 5
LOG = re.compile(r"_f(\d+)_DIM5\.dat$")
INSTANCE = re.compile(r"(\d+):\d+\|")


def area(hits: list[int]) -> float:
    """Area under the runtime distribution from D to `CALLS` D calls, from the calls at each target."""
    calls = np.maximum(np.array(hits, float) / DIMENSION, 1)
    left = 1 - np.log10(calls) / np.log10(CALLS)
    return float(np.maximum(left, 0).sum() / len(TARGETS))


def row(solver: str, function: int, instance: int, hits: list[int]) -> dict[str, Any]:
    return {"solver": solver, "f": function, "i": instance, "area": round(area(hits), 6)}


def archived(archive: Path) -> Iterator[dict[str, Any]]:
    """The rows of an archive in 5-D."""
    solver = archive.name.partition("_")[0]
    with tarfile.open(archive) as files:
        texts = {
            member.name: files.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in files
            if member.name.endswith((".info", "_DIM5.dat"))
        }
    for name, text in texts.items():
        found = LOG.search(name)
        if found:
            yield row(solver, int(found[1]), _instance(name, texts), hits(text))


def _instance(name: str, texts: dict[str, str]) -> int:
    """The instance of a log, from the index in the folder above."""
    folder, _, log = name.rpartition("/")
    home = folder.rpartition("/")[0]
    indices = [text for path, text in texts.items() if path.startswith(f"{home}/bbobexp")]
    line = next(line for text in indices for line in text.splitlines() if log in line)
    found = INSTANCE.findall(line)
    if len(found) != 1:
        raise ValueError(f"{name}: expected one instance in {line!r}")
    return int(found[0])


def hits(text: str) -> list[int]:
    """Calls at which each target was reached, of a log."""
    found: list[int] = []
    for line in text.splitlines():
        if line.startswith("%"):
            continue
        cells = line.split()
        while len(found) < len(TARGETS) and float(cells[2]) <= TARGETS[len(found)]:
            found.append(int(cells[0]))
    return found


def ours() -> Iterator[dict[str, Any]]:
    """The default's rows."""
    with gzip.open(EVIDENCE / "bbob" / "pyswarmopt-d05.jsonl.gz", "rt") as lines:
        for line in lines:
            kept = json.loads(line)
            yield row("default", int(kept["f"]), int(kept["i"]), kept["hits"])


def table(rows: list[dict[str, Any]]) -> str:
    """Mean areas by group of functions, on common instances, and functions ahead."""
    wide = pd.DataFrame(rows).pivot(index=["f", "i"], columns="solver", values="area").dropna()
    by_function = wide.groupby(level="f").mean()
    means = pd.DataFrame(
        {name: by_function.loc[list(functions)].mean() for name, functions in GROUPS.items()}
        | {"all": by_function.mean()}
    )
    lines = [f"{len(wide)} runs, instances {sorted(set(wide.index.get_level_values('i')))}"]
    lines.append(means.to_string(float_format="{:.3f}".format))
    for rival in by_function.columns.drop("default"):
        ahead = by_function["default"] > by_function[rival]
        lines.append(f"behind {rival} on: {[f for f, better in ahead.items() if not better]}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--archives", nargs="+", type=Path, help="write the file anew from these")
    args = parser.parse_args()
    if args.archives:
        rows = [*ours(), *(row for archive in args.archives for row in archived(archive))]
        args.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = args.out.read_text(encoding="utf-8").splitlines()
    print(table([json.loads(line) for line in lines]))


if __name__ == "__main__":
    main()
