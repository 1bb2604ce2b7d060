"""Adding an expert to a finished search and removing one, and two tasks at once, in the laboratory.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/modular.py --lab runs/lab --out runs/modular \\
        --outcomes research/evidence/modular.jsonl
    python research/benchmarks/lab/modular.py --lab runs/lab --out runs/modular --joint \\
        --outcomes research/evidence/joint.jsonl

Searches are by labels and train nothing. The expert in question is the one that is best on a task's
dev items. Adding: a search among the nine others, and then among two adapters, its result and the
newcomer; beside it a search among all ten. Removing: the result of all ten with that expert's
weight set to zero; beside it the search among the nine. A line of the outcomes is a task, a method
and a seed, with the evaluations of dev items that the step took.

Two tasks at once: the harmonic mean of t4 and t6, its result and the points of its front; beside it
a search for each alone. A line is a method and a seed with both tasks' answers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from systems import config_of, searched

from pyswarmopt_llm import SearchConfig, load_task, open_model
from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.scores.metrics.by_name import METRICS

CLAIMED, PAIR = ("t4", "t5", "t6"), ("t4", "t6")
HOW: Mapping[str, Any] = {"preset": "auto", "space": "auto", "no_rivals": True, "train": "off"}
Row = dict[str, Any]


class Tester:
    """Answers of adapters of one base to the test items of tasks."""

    def __init__(self, lab: Path) -> None:
        self._lab = lab
        self._engine: Any = open_model(str(lab / "base"), None, "float32", "cpu", 1)
        self._base = resolve_base(str(lab / "base"))
        self._utilities: dict[str, Any] = {}

    def mixed(self, adapters: Sequence[Path], weights: Sequence[float], task: str) -> str:
        """1 for each right answer of a weighted sum of weight changes."""
        if task not in self._utilities:
            test = load_task(str(self._lab / "tasks" / f"{task}.json")).test
            build = METRICS["accuracy"].build
            self._utilities[task] = build(test, "likelihood", self._engine.chat, None)
        experts = inspect_experts(list(map(str, adapters)), self._base).experts
        space = DeltaSpace(list(map(load_adapter, experts)))
        self._engine.load(space.realise(torch.tensor(list(weights), dtype=torch.float64)))
        values = self._utilities[task](self._engine).per_item
        return "".join(str(int(value)) for value in values)

    def one(self, adapter: Path, task: str) -> str:
        """The same of an adapter as it is."""
        return self.mixed([adapter], [1.0], task)


def all_ten(lab: Path, out: Path, task: str, seed: int) -> SearchConfig:
    """A search among all experts."""
    return config_of(lab, out / f"{task}-{seed}-ten", task, seed=seed, **HOW)


def changed_pool(lab: Path, out: Path, tester: Tester, task: str, seed: int) -> Iterator[Row]:
    """An expert is added, and removed."""
    config = all_ten(lab, out, task, seed)
    ten = searched(config)
    single = ten["best_single"]
    names = [Path(expert).name for expert in config.experts]
    others = tuple(expert for expert in config.experts if Path(expert).name != single)
    nine_config = replace(config, out=str(out / f"{task}-{seed}-nine"), experts=others)
    nine = searched(nine_config)
    found, newcomer = Path(nine_config.out) / "best", lab / "experts" / single
    warm_config = replace(
        config, out=str(out / f"{task}-{seed}-added"), experts=(str(found), str(newcomer))
    )
    warm = searched(warm_config)
    weights = [0.0 if name == single else ten["coefficients"][name] for name in names]
    experts = list(map(Path, config.experts))
    made = {
        "nine experts": (tester.one(found, task), nine["item_evaluations"]),
        "the tenth added": (
            tester.one(Path(warm_config.out) / "best", task),
            warm["item_evaluations"],
        ),
        "ten, from the start": (
            tester.one(Path(config.out) / "best", task),
            ten["item_evaluations"],
        ),
        "the tenth removed": (tester.mixed(experts, weights, task), 0),
        "the tenth alone": (tester.one(newcomer, task), 0),
    }
    for method, (test, items) in made.items():
        yield {"task": task, "seed": seed, "method": method, "test": test, "items": items}


def together(lab: Path, out: Path, tester: Tester, seed: int) -> Iterator[Row]:
    """Two tasks at once, and each alone."""
    files = tuple(str(lab / "tasks" / f"{task}.json") for task in PAIR)
    config = config_of(lab, out / f"joint-{seed}", PAIR[0], tasks=files, seed=seed, **HOW)
    joint = searched(config)
    alone = {task: all_ten(lab, out, task, seed) for task in PAIR}
    for single in alone.values():
        searched(single)
    found = {
        "joint search": Path(config.out) / "best",
        "best single expert": lab / "experts" / joint["best_single"],
        **{f"search for {task} alone": Path(alone[task].out) / "best" for task in PAIR},
    }
    for number, folder in enumerate(sorted((Path(config.out) / "front").iterdir()), start=1):
        if (folder / "adapter_config.json").exists():
            found[f"front, point {number}"] = folder
    for method, adapter in found.items():
        tests = {task: tester.one(adapter, task) for task in PAIR}
        yield {"seed": seed, "method": method, **tests}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--joint", action="store_true", help="two tasks at once")
    parser.add_argument("--tasks", nargs="+", default=list(CLAIMED))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    tester = Tester(options.lab)
    rows: list[Row] = []
    for seed in options.seeds:
        if options.joint:
            rows += together(options.lab, options.out, tester, seed)
        else:
            for task in options.tasks:
                rows += changed_pool(options.lab, options.out, tester, task, seed)
        print(seed, [(row["method"], _rates(row)) for row in rows], flush=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    options.outcomes.write_text(text, encoding="utf-8")


def _rates(row: Row) -> list[float]:
    tests = [row[key] for key in ("test", *PAIR) if key in row]
    return [test.count("1") / len(test) for test in tests]


if __name__ == "__main__":
    main()
