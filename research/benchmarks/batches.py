"""The price of `batch`: how good a search's mixture is if the surrogate proposes q candidates at once.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/batches.py runs/lab runs/batches --jobs items-8:t1:0 scores-16:t1:0 \\
        --outcomes research/evidence/batches.jsonl

A job is METHOD-PROPOSALS:TASK:DRAW: a search of the laboratory's ten adapters, without training, at
each q, with the same starting points and the same number of proposals. A draw picks the 100 dev
examples and seeds the search; the 500 test examples are the same for all. A line for each job and q
holds 1 for a right answer of a dev or test example, 0 for a wrong one. Jobs with outcomes are
skipped, so a run can be continued. `python research/tools/tables.py` writes the table.

`CHOOSE` is for choosing the default and `CLAIM` for claims; both were named before the first job.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig

sys.path.insert(0, str(Path(__file__).parent / "lab"))

CHOOSE = ("t1", "t2", "t3")
CLAIM = ("t4", "t5", "t6")
AT_ONCE = (1, 2, 4, 8)
DEV, TEST = 100, 500
FIRST_SEED = 700  # no other benchmark draws these examples


def task_file(folder: Path, task: str, draw: int) -> Path:
    """A task with dev examples of a draw."""
    from lab_skills import items

    from lab import TASKS

    kinds = TASKS[task]
    file = folder / f"{task}-{draw}.json"
    splits = {
        "dev": items(kinds, "dev", DEV, FIRST_SEED + draw),
        "test": items(kinds, "test", TEST, FIRST_SEED),
    }
    file.write_text(json.dumps(splits), encoding="utf-8")
    return file


def outcome(config: SearchConfig) -> dict[str, Any]:
    """The result of a search, and how long it took."""
    shutil.rmtree(config.out, ignore_errors=True)
    start = time.perf_counter()
    result = search(config).result
    best = result["models"]["best"]
    (dev,), (test,) = (best[split]["tasks"].values() for split in ("dev", "test"))
    return {
        "evaluations": result["evaluations"],
        "dev": dev["items"],
        "test": test["items"],
        "best_single": next(iter(result["models"]["best_single"]["test"]["tasks"].values()))[
            "items"
        ],
        "seconds": round(time.perf_counter() - start, 1),
    }


def run(options: argparse.Namespace) -> None:
    """Search for what is missing."""
    options.folder.mkdir(parents=True, exist_ok=True)
    rows = read(options.outcomes)
    done = {(row["kind"], row["task"], row["draw"], row["batch"]) for row in rows}
    for job in options.jobs:
        kind, task, number = job.split(":")
        method, proposals = kind.split("-")
        file = task_file(options.folder, task, int(number))
        for at_once in AT_ONCE:
            key = (kind, task, int(number), at_once)
            if key in done:
                continue
            config = SearchConfig(
                base=str(options.lab / "base"),
                experts=tuple(sorted(map(str, (options.lab / "experts").iterdir()))),
                tasks=(str(file),),
                out=str(options.folder / "run"),
                method=method,
                proposals=int(proposals),
                batch=at_once,
                seed=int(number),
                train="off",
                no_rivals=True,
                scoring="likelihood",
                dtype="float32",
                device="cpu",
                threads=1,
            )
            line = dict(zip(("kind", "task", "draw", "batch"), key, strict=True))
            found = outcome(config)
            with options.outcomes.open("a", encoding="utf-8") as out:
                out.write(json.dumps({**line, **found}) + "\n")
            print(
                *key,
                found["dev"].count("1"),
                found["test"].count("1"),
                found["seconds"],
                flush=True,
            )


def read(path: Path) -> list[dict[str, Any]]:
    """The stored lines; none without the file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lab", type=Path, help="folder of the laboratory")
    parser.add_argument("folder", type=Path, help="folder for the searches")
    parser.add_argument("--jobs", nargs="+", default=[])
    parser.add_argument("--outcomes", type=Path, required=True)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
