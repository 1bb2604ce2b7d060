"""Three real models of different architectures: one next-token mixture, each member, their uniform
average, and a vote.

    python research/benchmarks/unlike_real.py runs/unlike --data DATA --models SMOLLM2 QWEN GEMMA \\
        --tasks intent --outcomes research/evidence/unlike-real.jsonl

A line for each task and method holds 1 for a right answer of a test item, 0 for a wrong one, the
models that run for an answer, and the seconds that all test items took on this machine. Tasks to
choose on: `banking`; to claim on: `intent`, `science`, `commonsense`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.searching.prepare import Job, prepare

LABELS = 50
TEST = 100

Outcome = tuple[str, str, int, float]
"""Method, 1 or 0 for each test item, models run for an answer, seconds of all test items."""


def config_of(task: str, options: argparse.Namespace) -> SearchConfig:
    """The search of a mixture on a task."""
    items = json.loads((options.data / "tasks" / f"{task}.json").read_text(encoding="utf-8"))
    file = options.folder / f"{task}.json"
    splits = {"dev": items["dev"][:LABELS], "test": items["test"][:TEST]}
    file.write_text(json.dumps(splits), encoding="utf-8")
    out = str(options.folder / task)
    more: dict[str, Any] = {"space": "token", "dev": LABELS, "test": TEST, "threads": 1}
    return SearchConfig("", tuple(options.models), (str(file),), out, scoring="likelihood", **more)


def outcomes(config: SearchConfig) -> Iterator[Outcome]:
    """Each member, their uniform average, a vote and the search's mixture."""
    run = Path(config.out)
    result = (resume(run) if (run / "run.json").exists() else search(config)).result
    job = prepare(replace(config, out=f"{config.out}-alone"))
    vertices = job.pool.space.vertices()
    names = job.pool.space.expert_names
    answers = []
    took = 0.0
    for name, vertex in zip(names, vertices, strict=True):
        right, seconds, chosen = answered(job, vertex)
        answers.append(chosen)
        took += seconds
        yield name, right, 1, seconds
    yield "vote", voted(job, answers), len(names), took
    uniform, seconds, _ = answered(job, vertices.mean(0))
    yield "uniform", uniform, len(names), took + seconds
    best = result["models"]["best"]["test"]
    weights = [result["coefficients"].get(name, 0.0) for name in names]
    used = sum(weight > 0 for weight in weights)
    yield "search", next(iter(best["tasks"].values()))["items"], used, took


def answered(job: Job, position: torch.Tensor) -> tuple[str, float, list[str]]:
    """1 or 0 for each test item that a mixture answers, its seconds, and its answers. A member's
    predictions are kept, so a mixture of members that have answered takes next to nothing.
    """
    start = time.perf_counter()
    (task,) = job.tasks
    utility = job.utilities("test", {task: "likelihood"})[task]
    job.engine.load(job.pool.space.realise(position))
    score = utility(job.engine)
    right = "".join(str(int(value)) for value in score.per_item)
    return right, round(time.perf_counter() - start, 1), list(score.answers)


def voted(job: Job, answers: list[list[str]]) -> str:
    """1 or 0 for each test item by the majority; without one, the first member's answer counts."""
    (task,) = job.tasks.values()
    right = []
    for item, given in zip(task.test, zip(*answers, strict=True), strict=True):
        kinds, counts = np.unique(given, return_counts=True)
        chosen = str(kinds[counts.argmax()]) if counts.max() > 1 else given[0]
        right.append(str(int(chosen == item.answer)))
    return "".join(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--tasks", nargs="+", default=["intent"])
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for task in options.tasks:
        rows = list(outcomes(config_of(task, options)))
        with options.outcomes.open("a", encoding="utf-8") as out:
            for method, items, models, seconds in rows:
                key = {"task": task, "method": method, "models": models, "seconds": seconds}
                out.write(json.dumps({**key, "test": items}) + "\n")
        print(task, {method: items.count("1") for method, items, *_ in rows}, flush=True)


if __name__ == "__main__":
    main()
