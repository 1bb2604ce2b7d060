#!/usr/bin/env python3
"""What each part of Model Swarms contributes, in the laboratory: ablations, starting velocity,
diversity of the starting experts, dropout, size of the swarm, sensitivity to every hyperparameter,
emergence of correctness, weak to strong.

Every search is the paper's (20 particles from the ten experts, patience 10, at most 50 iterations,
the best on dev handed over) but for one thing, from the same seed as the whole algorithm (`full`),
with which it is paired. Every item is scored: the laboratory's 100 of a task, or with
--paper-sizes 200 drawn anew, and 1,000 of test. When the tables in `factor` were made, a model of
the items spared three of four items, but in `full, every item`. A line of --out holds the outcome
of one search; what is there is not searched again, so a stopped benchmark goes on where it was. The
tables are made from whatever has finished.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/studies.py --lab runs/lab --out runs/studies.jsonl --seeds 0 1
    python research/benchmarks/lab/studies.py --lab runs/lab --out runs/studies-delta.jsonl \
        --space delta --paper-sizes --studies full ablations
    python research/benchmarks/lab/studies.py --out runs/studies.jsonl --table --runs runs/lab-paper
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from studies_table import EVERY_ITEM, FULL, analysed, outcome, outcomes_of, tables
from torch import Tensor
from twelve import write_tasks

import pyswarmopt as pso
from pyswarmopt.parts.initialise import at_rest
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.run.directory import About, RunDirectory
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.searching.optimizers import recipe_options
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scorer import Scorer, position_key
from pyswarmopt_llm.searching.swarm import SwarmProposer

NEVER = 10**9
TASKS = ("t1", "t2", "t3", "t4", "t5", "t6")


@dataclass(frozen=True)
class Variant:
    """In what a search differs from the paper's.

    Attributes:
        settings: coefficients of the recipe, as `--set` takes them.
        velocity: at the start: `random` (to another particle, the paper's), `zero`, or `best` (to
            the best particle).
        experts: those it starts from: `all`, the `weaker half` by dev, or `N x M`: N of them, drawn
            by the seed, M times each.
        drop_k: probability of leaving out an iteration's evaluations.
        drop_n: probability of leaving out a single evaluation.
    """

    settings: tuple[str, ...] = ()
    particles: int = 20
    patience: int = 10
    velocity: str = "random"
    experts: str = "all"
    drop_k: float = 0.0
    drop_n: float = 0.0


def sensitivity(name: str, *values: float) -> dict[str, Variant]:
    """The recipe's coefficient at other values than the library's."""
    return {f"{name} {value:g}": Variant((f"{name}={value}",)) for value in values}


STUDIES: dict[str, dict[str, Variant]] = {
    "full": {FULL: Variant()},
    "ablations": {
        "no p": Variant(("cognitive=0",)),
        "no g": Variant(("social=0",)),
        "no repel": Variant(("repel=0",)),
        "no inertia": Variant(("inertia=0",)),
        "no randomness": Variant(("randomness=none",)),
        "no restart": Variant((f"restart_patience={NEVER}",)),
        "no schedule": Variant(("step_decay=1",)),
        "no crossover": Variant(particles=10),
    },
    "velocity": {
        "velocity zero": Variant(velocity="zero"),
        "velocity best": Variant(velocity="best"),
    },
    "diversity": {f"{n} x {10 // n}": Variant(experts=f"{n} x {10 // n}") for n in (1, 2, 5)},
    "weak": {"weaker half": Variant(experts="weaker half")},
    "dropout": {"drop-k .5": Variant(drop_k=0.5), "drop-n .5": Variant(drop_n=0.5)},
    "size": {
        "15 particles": Variant(particles=15),
        "40 particles": Variant(particles=40),
        "20 particles, no crossover": Variant(experts="10 x 2"),
    },
    "emergence": {EVERY_ITEM: Variant()},
    "patience": {"patience 5": Variant(patience=5), "patience 20": Variant(patience=20)},
    "sensitivity": {
        **sensitivity("inertia", 0.1, 0.3),
        **sensitivity("cognitive", 0.1, 0.5),
        **sensitivity("social", 0.2, 0.6),
        **sensitivity("repel", 0.01, 0.1),
        **sensitivity("step", 0.5, 1.0),
    },
}
VARIANTS = {name: variant for study in STUDIES.values() for name, variant in study.items()}


class Bench:
    """A task of the laboratory, its ten experts and their scores."""

    def __init__(self, lab: Path, file: str, space: str, threads: int) -> None:
        config = SearchConfig(
            base=str(lab / "base"),
            experts=tuple(map(str, sorted((lab / "experts").iterdir()))),
            tasks=(file,),
            out="unused",
            paper=True,
            draws=1,
            space=space,
            scoring="likelihood",
            dtype="float32",
            threads=threads,
        )
        self.job = prepare(config)
        task = Path(file).stem
        self.task, self.vertices = task, self.job.pool.space.vertices()
        self._dev, self._test = (
            self.job.evaluator(split, {task: "likelihood"}) for split in ("dev", "test")
        )
        self._known: dict[str, float] = {}
        # (n,) on dev
        self.experts = np.array([self._dev.answer(x).value for x in self.vertices])

    def scorer(self, run: RunDirectory) -> Scorer:
        """Scores positions on dev."""
        return Scorer(run, self._dev)

    def on_test(self, x: Tensor) -> float:
        """A position's score on test."""
        key = position_key(x)
        if key not in self._known:
            self._known[key] = self._test.answer(x).value
        return self._known[key]

    def start(self, experts: str, seed: int) -> Tensor:
        """The positions that a search is given."""
        n = len(self.vertices)
        if experts == "all":
            return self.vertices
        if experts == "weaker half":
            return self.vertices[np.sort(np.argsort(self.experts, kind="stable")[: n // 2])]
        distinct, times = map(int, experts.split(" x "))
        return self.vertices[sorted(random.Random(seed).sample(range(n), distinct))].repeat(
            times, 1
        )


def make_swarm(
    bench: Bench, variant: Variant, seed: int, values: Callable[[Tensor], Sequence[float]]
) -> pso.Swarm:
    """The paper's swarm on the experts' coefficients, changed as the variant says; `values` scores
    positions.
    """
    recipe = pso.recipes.model_swarms(patience=variant.patience, **recipe_options(variant.settings))
    if variant.velocity == "zero":
        recipe = replace(recipe, launch=at_rest)
    swarm = pso.Swarm(
        positions=bench.start(variant.experts, seed),
        population=variant.particles,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=torch.float64,
    )
    if variant.velocity != "best":
        return swarm
    x = swarm.ask()
    best = x[int(np.argmax(values(x)))]
    return pso.Swarm(
        positions=x,
        velocities=best - x,
        recipe=recipe,
        maximize=True,
        seed=seed,
        dtype=torch.float64,
    )


def search(bench: Bench, variant: Variant, seed: int) -> dict[str, Any]:
    """One search: its outcome as a line of the file, without its names. It goes as `swarm-llm
    search` does, but for the item model's proposals.
    """
    with tempfile.TemporaryDirectory() as folder:
        scorer = bench.scorer(
            RunDirectory.create(Path(folder) / "run", About(bench.job.config, {}))
        )
        experts = list(bench.start(variant.experts, seed).unique(dim=0))
        scorer.score(experts, 0)

        def values(x: Tensor) -> list[float]:
            return [row.value for row in scorer.score(list(x), 0)]

        swarm = make_swarm(bench, variant, seed, values)
        proposer = SwarmProposer(swarm, variant.drop_k or 0.0, variant.drop_n or 0.0, seed)
        rows = loop(proposer, scorer)
    expert = bench.vertices[int(bench.experts.argmax())]
    coefficients, best = bench.job.pool.space.coefficients(swarm.best.x).tolist(), swarm.best.value
    names = map(str, range(len(coefficients)))
    return {
        "dev": best,
        "test": bench.on_test(swarm.best.x),
        "best_expert_dev": float(bench.experts.max()),
        "best_expert_test": bench.on_test(expert),
        "evaluations": len(rows),
        "items": scorer.item_evaluations,
        **analysed(bench.task, rows, outcome(rows, dict(zip(names, coefficients, strict=False)))),
    }


def loop(proposer: SwarmProposer, scorer: Scorer) -> list[Row]:
    """Search until the swarm stops; the rows, numbered by iteration and particle, of all that was
    evaluated.
    """
    evaluated: list[Row] = []
    while not proposer.stop():
        iteration = proposer.iteration
        tickets = proposer.ask(sys.maxsize)
        numbers = [ticket.particle for ticket in tickets]
        rows = scorer.score([ticket.x for ticket in tickets], iteration, numbers)
        for ticket, row in zip(tickets, rows, strict=True):
            proposer.tell(ticket, row)
            evaluated.append(replace(row, iteration=iteration, particle=ticket.particle))
    return evaluated


def missing(
    args: argparse.Namespace, done: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[int, str, list[str]]]:
    """Seed, task and the variants to search: a seed after the other, so that the table fills up
    evenly.
    """
    asked = (args.space, args.paper_sizes)
    if any((row.get("space", "factor"), row.get("paper_sizes", False)) != asked for row in done):
        raise SystemExit(f"{args.out}: has searches of another --space or size; give another --out")
    finished = {(row["variant"], row["task"], row["seed"]) for row in done}
    names = [name for study in args.studies for name in STUDIES[study]]
    for seed in args.seeds:
        for task in args.tasks:
            if names_left := [name for name in names if (name, task, seed) not in finished]:
                yield seed, task, names_left


def run(args: argparse.Namespace) -> None:
    """Search whatever is missing."""
    args.out.parent.mkdir(parents=True, exist_ok=True)
    folder = args.lab / "tasks"
    if args.paper_sizes:
        folder = args.out.with_suffix(".tasks")
        write_tasks(folder, args.tasks, False)
    log = AppendLog(args.out)
    for seed, task, names in missing(args, log.read(repair=True)):
        bench = Bench(args.lab, str(folder / f"{task}.json"), args.space, args.threads)
        for name in names:
            line = {
                **search(bench, VARIANTS[name], seed),
                "variant": name,
                "task": task,
                "seed": seed,
                "space": args.space,
                "paper_sizes": args.paper_sizes,
            }
            log.append(line)
            print(name, task, seed, line["dev"], line["test"], line["items"], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, help="folder that lab.py made")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--studies", nargs="+", default=list(STUDIES), choices=STUDIES)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--space", default="factor", choices=["delta", "factor"])
    parser.add_argument(
        "--paper-sizes", action="store_true", help="200 dev and 1,000 test items of a task"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--runs", type=Path, help="folder of paper.py's runs, whose searches are in the tables, too"
    )
    parser.add_argument(
        "--table", action="store_true", help="only print the tables of what has finished"
    )
    args = parser.parse_args()
    if not args.table:
        run(args)
    rows = [*AppendLog(args.out).read(), *(outcomes_of(args.runs) if args.runs else ())]
    print(tables(rows, {name: list(study) for name, study in STUDIES.items()}))


if __name__ == "__main__":
    main()
