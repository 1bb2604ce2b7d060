#!/usr/bin/env python3
"""How much of a swarm's gain on dev is left on test, from 50 to 1,000 dev items?

Per task, seed and number of dev items (more hold the fewer) each method has the same number of
evaluations, `EVALUATIONS`, each of all dev items: the published algorithm in its own space, the
same update on weight changes, CMA-ES and random points there; beside them the default's mixture,
which nothing is trained on. Nothing is chosen here, so all six tasks count. `ABLATIONS` are the
published algorithm but for one thing each.

A line of --out is a method: values of the best single expert and of what was found, on dev and
item by item on test. What is there is not run again.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/dev_size.py --lab runs/lab --work runs/dev-size \\
        --out research/evidence/dev-size.jsonl
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from lab import TASKS
from lab_skills import items

from pyswarmopt_llm import SearchConfig, search

SIZES = (50, 200, 1000, 100, 400)
EVALUATIONS = 200
_SWARM: Mapping[str, Any] = {
    "paper": True,
    "draws": 1,
    "particles": 10,
    "max_iter": 19,
    "patience": 19,
}
_DELTA: Mapping[str, Any] = {**_SWARM, "space": "delta", "start": "segments"}
_PUBLISHED: Mapping[str, Any] = {**_SWARM, "space": "factor", "start": "segments"}
NEVER = 1_000_000  # evaluations without a new best before a particle is sent back
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "no p": {"settings": ("cognitive=0",)},
    "no g": {"settings": ("social=0",)},
    "no repel": {"settings": ("repel=0",)},
    "no inertia": {"settings": ("inertia=0",)},
    "no randomness": {"settings": ("randomness=none",)},
    "no restart": {"settings": (f"restart_patience={NEVER}",)},
    "no schedule": {"settings": ("step_decay=1",)},
    "crossover": {"particles": 20, "max_iter": 9},
}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "model-swarms": _PUBLISHED,
    **{name: {**_PUBLISHED, **other} for name, other in ABLATIONS.items()},
    "model-swarms, weight changes": _DELTA,
    "cma-es": {**_DELTA, "optimizer": "pycma"},
    "random": {**_DELTA, "optimizer": "nevergrad:RandomSearch"},
    "default, untrained": {"train": "off"},
}


def task_file(lab: Path, work: Path, task: str, size: int) -> Path:
    """The task with so many dev items of the laboratory's generator."""
    splits = json.loads((lab / "tasks" / f"{task}.json").read_text(encoding="utf-8"))
    splits["dev"] = items(TASKS[task], "dev", size, 7)
    path = work / "tasks" / f"{task}-{size}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(splits), encoding="utf-8")
    return path


def outcome(lab: Path, file: Path, run: Path, seed: int, settings: Mapping[str, Any]) -> Any:
    """A search's values: of the best single expert and of what it found."""
    shutil.rmtree(run, ignore_errors=True)
    config = SearchConfig(
        base=str(lab / "base"),
        experts=tuple(sorted(map(str, (lab / "experts").iterdir()))),
        tasks=(str(file),),
        out=str(run),
        scoring="likelihood",
        threads=1,
        dtype="float32",
        seed=seed,
        no_rivals=True,
        **settings,
    )
    result = search(config).result
    shutil.rmtree(run)
    found: dict[str, Any] = {"evaluations": result["evaluations"]}
    for name in ("best_single", "best"):
        (test,) = result["models"][name]["test"]["tasks"].values()
        found[name] = {"dev": result[f"{name}_dev"], "test": test["items"]}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    options = parser.parse_args()
    done = set()
    if options.out.exists():
        rows = map(json.loads, options.out.read_text(encoding="utf-8").splitlines())
        done = {(row["method"], row["task"], row["seed"], row["size"]) for row in rows}
    for seed, size, task, method in product(options.seeds, options.sizes, TASKS, options.methods):
        if (method, task, seed, size) in done:
            continue
        file = task_file(options.lab, options.work, task, size)
        found = outcome(options.lab, file, options.work / "run", seed, METHODS[method])
        line = {"method": method, "task": task, "seed": seed, "size": size, **found}
        with options.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        gain = (found["best"]["dev"] - found["best_single"]["dev"]) * 100
        print(seed, size, task, method, f"dev +{gain:.1f}", flush=True)


if __name__ == "__main__":
    main()
