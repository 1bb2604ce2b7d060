#!/usr/bin/env python3
"""The halving of `swarm-llm find` on public adapters: 960 LoRAs of Llama 3.1 8B from the hub.

Its outcomes were published with "The Appeal and Reality of Recycling LoRAs with Adaptive Merging"
(github.com/r-three/realistic-adaptive-merging, MIT): the accuracy of every adapter on 100 examples
and on the test set of each task. An adapter's 100 answers are drawn again as so many right and
wrong ones in a random order, independently of the other adapters', so that the items are not paired
as they are in `find`, and there are no probabilities: both make this the harder case. The truth is
the test accuracy of the adapter as it is.

    python research/benchmarks/lab/find_public.py --tables public/results/tables \\
        --models public/results/model_lists/refiltered_model_ids_new.txt \\
        --out runs/find-public.jsonl
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyswarmopt_llm.tools.find import ItemAnswer, halved, halvings, passes

TOP = 4  # adapters that `find` ends with
EXAMPLES = 100
LEAST_KNOWN = 800  # adapters that a task needs outcomes of
Accuracies = Mapping[str, Mapping[str, float]]  # adapter -> task -> accuracy
SCORED, TESTED, BASE = (
    "hub_model_evaluation_train_valid.csv",
    "hub_model_evaluation_test.csv",
    "zero_shot_performance.csv",
)
# in the name of every other adapter
_COMMON = {"llama", "meta", "lora", "instruct", "finetuned", "model", "3", "1", "8b"}


def read(file: Path) -> Accuracies:
    """A table of adapters by tasks."""
    accuracies = {}
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            name = row.pop("Model ID")
            others = {task: text for task, text in row.items() if task not in ("idx", "Mean")}
            accuracies[name] = {task: float(text) for task, text in others.items() if text}
    return accuracies


def read_base(file: Path) -> dict[str, float]:
    """Task -> test accuracy of the base without an adapter."""
    with file.open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["zero_shot"]]
    return {row["task"]: float(row["zero_shot"]) for row in rows}


def words(text: str) -> set[str]:
    """The words of a name."""
    return set(re.findall(r"[a-z]+|\d+", text.lower())) - _COMMON


def orders(scored: Sequence[float], names: Sequence[str], task: str, seed: int) -> Iterator[Any]:
    """Method, numbers of the adapters, the best first, and passes."""
    rng = random.Random(f"{task}:{seed}")
    answers = []
    for accuracy in scored:
        right = round(accuracy * EXAMPLES)
        values = [1.0] * right + [0.0] * (EXAMPLES - right)
        rng.shuffle(values)
        answers.append([ItemAnswer(value, value) for value in values])
    for first in (2, 4, 8, EXAMPLES):
        rounds = halvings(len(names), EXAMPLES, TOP, first)
        ranking = halved(rounds, lambda number, places: answers[number][places.start : places.stop])
        label = "all items" if first == EXAMPLES else f"{first} items first"
        yield label, list(ranking), passes(rounds)
    shuffled = rng.sample(range(len(names)), len(names))
    yield "random", shuffled, 0
    told = words(task)
    yield "names alone", sorted(shuffled, key=lambda k: -len(words(names[k]) & told)), 0


def outcomes(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A line for each task; of each method a pick, and the best of its first four, per seed."""
    scored, tested = read(args.tables / SCORED), read(args.tables / TESTED)
    base = read_base(args.tables / BASE)
    models = [name for name in args.models.read_text().split() if name in scored.keys() & tested]
    for task in sorted(base):
        names = [name for name in models if task in scored[name] and task in tested[name]]
        hundredths = [scored[name][task] * EXAMPLES for name in names]
        if len(names) < LEAST_KNOWN or any(abs(x - round(x)) > 1e-6 for x in hundredths):
            continue
        test = [tested[name][task] for name in names]
        dev = [scored[name][task] for name in names]
        methods: dict[str, dict[str, Any]] = {}
        for seed in range(args.seeds):
            for method, order, cost in orders(dev, names, task, seed):
                row = methods.setdefault(method, {"passes": cost, "test": [], "top": []})
                row["test"].append(round(test[order[0]], 4))
                row["top"].append(round(max(test[k] for k in order[:TOP]), 4))
        line = {"task": task, "adapters": len(names), "base": round(base[task], 4)}
        yield {**line, "best": round(max(test), 4), "methods": methods}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, required=True, help="folder with the three tables")
    parser.add_argument("--models", type=Path, required=True, help="list of the adapters")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    lines = [json.dumps(line) + "\n" for line in outcomes(args)]
    args.out.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
