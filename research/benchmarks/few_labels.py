"""Few labels: what a search hands over beside fine-tuning and fixed mixtures.

    python research/benchmarks/few_labels.py runs/few --jobs desks:32:20 desks:32:21 \\
        --outcomes research/evidence/few-labels.jsonl

A job is TASK:LABELS:DRAW. A draw picks the labels (and, for `desks`, the demo's questions) and seeds
the search, which trains although there are few labels. A line for each job and method holds the
name of the base, the score on dev and 1 for a right answer of a test item, 0 for a wrong one. Jobs
with outcomes are skipped, so a run can be continued. `--controls` adds simple ways to finished runs
(`few_controls.py`). `python research/tools/tables.py` writes the table. `--data` and `--experts` are
the folders of real tasks and of adapters for `--base`; `desks` needs neither.

`CHOOSE` is for looking and `CLAIM` for claims; both were named before the first job ran.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from demo_table import FOUND, TUNED, trained
from few_controls import CONTROLS, Outcome, controls

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.cli.demo import demo_search
from pyswarmopt_llm.common.config import SearchConfig

CHOOSE = ("desks:LABELS:0 to 19", "banking", "graph")
CLAIM = ("desks:LABELS:20 and above", "science", "completion", "intent")
TEST = 300
SEARCH = "search"
METHODS = {"best": SEARCH, **FOUND, **TUNED}
SMALL = "smollm2-135m"  # the base, where a stored line names none


def config_of(job: str, folder: Path, options: argparse.Namespace) -> SearchConfig:
    """The search of a job."""
    task, labels, draw = job.split(":")
    out = folder / job.replace(":", "-")
    desks = demo_search(int(draw), out)
    base = options.base or desks.base
    config = replace(desks, dev=int(labels), test=200, train="on", threads=1, base=base)
    if task == "desks":
        return config
    file = folder / f"{job.replace(':', '-')}.json"
    file.write_text(json.dumps(drawn(options.data, task, int(labels), int(draw))), encoding="utf-8")
    experts = sorted(str(path) for path in options.experts.iterdir() if path.is_dir())
    return replace(config, experts=tuple(experts), tasks=(str(file),), test=TEST)


def drawn(data: Path, task: str, labels: int, draw: int) -> dict[str, Any]:
    """Labels drawn from a task's dev split, and the same test items for every draw."""
    splits = json.loads((data / "tasks" / f"{task}.json").read_text(encoding="utf-8"))
    dev = random.Random(1000 + draw).sample(splits["dev"], labels)
    return {"dev": dev, "test": random.Random(1).sample(splits["test"], TEST)}


def outcomes(config: SearchConfig, result: dict[str, Any]) -> Iterator[Outcome]:
    """What a finished search holds, by method; what it left out as clearly behind is trained here."""
    models = result["models"]
    for name, method in METHODS.items():
        test = models[name].get("test")
        if test:
            items = next(iter(test["tasks"].values()))["items"]
        else:
            items = next(iter(trained(config, result, name).values()))
        yield method, items, models[name]["dev"]["value"]


def read(path: Path) -> list[dict[str, Any]]:
    """The stored lines; none without the file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def run(options: argparse.Namespace) -> None:
    """Every job's search and simple ways, where they have no outcomes yet."""
    options.folder.mkdir(parents=True, exist_ok=True)
    base = Path(options.base).name if options.base else SMALL
    for job in options.jobs:
        task, labels, draw = job.split(":")
        key = {"base": base, "task": task, "labels": int(labels), "draw": int(draw)}
        stored = [
            row for row in read(options.outcomes) if {"base": SMALL, **row}.items() >= key.items()
        ]
        done = {row["method"] for row in stored}
        config = config_of(job, options.folder, options)
        out = Path(config.out)
        result = (resume(out) if (out / "run.json").exists() else search(config)).result
        if SEARCH not in done:
            append(options.outcomes, key, outcomes(config, result))
        for name in options.controls:
            if name not in done:
                append(options.outcomes, key, controls(config, result, name))


def append(path: Path, key: dict[str, Any], rows: Iterator[Outcome]) -> None:
    """Store outcomes, and print their scores."""
    found = list(rows)
    with path.open("a", encoding="utf-8") as out:
        for method, items, dev in found:
            known = {} if math.isnan(dev) else {"dev": round(dev, 4)}
            out.write(json.dumps({**key, "method": method, **known, "test": items}) + "\n")
    scores = {method: round(items.count("1") / len(items), 3) for method, items, _ in found}
    print(*key.values(), scores, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", nargs="+", default=[])
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--base")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--experts", type=Path)
    parser.add_argument("--controls", nargs="*", default=[], choices=CONTROLS)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
