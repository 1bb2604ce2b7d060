#!/usr/bin/env python3
"""How well `swarm-llm find` finds the best start among the 80 adapters of `pool.py`.

The truth is the test score after training on a task's 100 dev items. It is known for the starts
that any method picks and for the first four of `find` and of the accuracy on all items; points are
lost against the best start that was trained. Three seeds are three draws of dev. Methods are chosen
on t1 to t3 and claims tested on t4 to t6.

    python research/benchmarks/lab/find.py measure --lab runs/lab --pool runs/pool --out runs/find
    python research/benchmarks/lab/find.py train --lab runs/lab --pool runs/pool --out runs/find
    python research/benchmarks/lab/find.py outcomes --out runs/find

`measure` scores every adapter on all dev items, from which each method is replayed; on t1 to t3 it
also takes the inner product of each adapter with the gradient of an item's loss at the base. What
is there is not done again. `outcomes` writes a line for each task and seed: what each method picks,
its test score after training, and its accuracy as it is, on the dev items of the other two draws.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, product
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from lab import DEV, TASKS, TEST
from lab_skills import items
from pool import BASE, engine_of
from torch import Tensor

from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.experts.adapter import load_factors, read_adapter
from pyswarmopt_llm.scores.choices import PASSES, Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.training.trainer import Addition, choice_losses, fit, training
from pyswarmopt_llm.tools.find import ItemAnswer, halved, halvings, passes, right

FIND, ALL = "find (8 items first)", "accuracy on all items"  # whose first four are trained
PATTERN = "reverse-next"  # its modules, rank and scale has what is trained
TOP = 4  # adapters that `find` ends with
GRADIENTS = 32  # items whose gradients are taken
CHOICE = ("t1", "t2", "t3")
FIRST_SEED = 7  # of the laboratory's own draw of dev

Key = tuple[str, int, str]  # task, seed, start
Rows = Mapping[str, Mapping[str, Any]]  # start -> what was measured
Tensors = Mapping[str, Tensor]
Order = tuple[list[str], int]  # starts, the best first, and the passes that this took


class Bench:
    """A task of the laboratory with one draw of dev, and its base."""

    def __init__(self, engine: Any, task: str, seed: int) -> None:
        kinds = TASKS[task]
        self.engine, self.seed = engine, seed
        self.dev = _as_items(items(kinds, "dev", DEV, FIRST_SEED + seed))
        self._dev = Accuracy(self.dev, "likelihood", engine.chat)
        test = _as_items(items(kinds, "test", TEST, FIRST_SEED))
        self._test = Accuracy(test, "likelihood", engine.chat)
        self.choices = self._dev.choices()

    def measured(self, start: Patch) -> dict[str, Any]:
        """The answers of a start to all dev items."""
        self.engine.load(start)
        score = self._dev(self.engine)
        pairs = zip(self.dev, score.margins, strict=True)
        return {
            "right": [int(value) for value in score.per_item],
            "probability": [round(right(item, of, "likelihood"), 4) for item, of in pairs],
        }

    def trained(self, start: Patch, lab: Path) -> float:
        """The test score after training on dev from a start."""
        pattern = read_adapter(lab / "experts" / PATTERN)
        lora = fit(self.engine, start, self.choices, pattern, self.seed)
        self.engine.load(start.with_low_rank(lora.low_rank))
        return self._test(self.engine).value


def _as_items(rows: Sequence[Mapping[str, Any]]) -> list[Item]:
    return [Item(row["id"], row["question"], row["choices"], row["answer"]) for row in rows]


def starts(pool: Path) -> dict[str, Patch]:
    """The base and the different adapters of a pool that can be read."""
    patches = {BASE: Patch()}
    for folder in sorted(pool.iterdir()):
        if not folder.name.startswith(("copy", "broken")):
            patches[folder.name] = Patch(low_rank=load_factors(read_adapter(folder)))
    return patches


# The cosine of an adapter with the gradient of the loss at the base


def gradients(engine: Any, patches: Mapping[str, Patch], chosen: Sequence[Choices]) -> Tensors:
    """Parameter -> gradients of items' losses by its weights at the base, (items, out, in)."""
    shapes = {}
    for patch in patches.values():
        shapes |= {name: change.dense().shape for name, change in patch.low_rank.items()}
    zeros = {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}
    added: dict[str, Addition] = {
        name.removesuffix(".weight"): partial(_product, zero) for name, zero in zeros.items()
    }
    engine.load(Patch())
    by_item = []
    with training(engine.model, added):
        for item in chosen:
            (loss,) = choice_losses(engine, [item])
            by_item.append(torch.autograd.grad(loss.sum(), list(zeros.values())))
    return dict(zip(zeros, map(torch.stack, zip(*by_item, strict=True)), strict=True))


def _product(change: Tensor, x: Tensor) -> Tensor:
    return x @ change.T


def cosine(by_item: Tensors, changes: Mapping[str, LowRank]) -> float:
    """The mean inner product with minus the gradients, by the length of the adapter's change."""
    if not changes:
        return 0.0
    inner, square = 0.0, 0.0
    for name, change in changes.items():
        inner -= float(((change.b.T @ by_item[name].mean(0)) * change.a).sum())
        square += float(((change.b.T @ change.b) * (change.a @ change.a.T)).sum())
    return inner / math.sqrt(square) if square else 0.0


# Methods: what was measured of the adapters, seed -> their order, and what it cost


def _halving(kind: str, first: int, rows: Rows, seed: int) -> Order:
    """Successive halving by a kind of measurement; all items of all adapters if `first` is all."""
    names = random.Random(seed).sample(sorted(rows), len(rows))  # ties are broken at random
    order = random.Random(seed).sample(range(DEV), DEV)

    def answers_of(number: int, places: range) -> list[ItemAnswer]:
        values = rows[names[number]][kind]
        return [ItemAnswer(0.0, values[order[place]]) for place in places]

    rounds = halvings(len(names), DEV, TOP, first)
    return [names[number] for number in halved(rounds, answers_of)], passes(rounds)


def _random(rows: Rows, seed: int) -> Order:
    return random.Random(seed).sample(sorted(rows), len(rows)), 0


def _by_names(task: str, rows: Rows, seed: int) -> Order:
    """By the share of dev items whose skills the name tells."""
    kinds = TASKS[task]
    names, _ = _random(rows, seed)
    told = {
        name: sum(not set(kind).isdisjoint(name.split("-")) for kind in kinds) for name in names
    }
    return sorted(names, key=lambda name: -told[name]), 0


def _by_cosine(rows: Rows, seed: int) -> Order:
    names = sorted(rows, key=lambda name: -rows[name].get("cosine", 0.0))
    return names, round(PASSES * GRADIENTS)


def methods(task: str) -> dict[str, Callable[[Rows, int], Order]]:
    """Name -> method."""
    listed: dict[str, Callable[[Rows, int], Order]] = {
        FIND: partial(_halving, "probability", 8),
        "4 items first": partial(_halving, "probability", 4),
        "2 items first": partial(_halving, "probability", 2),
        "by accuracy, 8 items first": partial(_halving, "right", 8),
        "probability of all items": partial(_halving, "probability", DEV),
        ALL: partial(_halving, "right", DEV),
        "names alone": partial(_by_names, task),
        "random": _random,
    }
    return listed | ({"cosine with the gradient": _by_cosine} if task in CHOICE else {})


# Commands


def _key(row: Mapping[str, Any]) -> Key:
    return row["task"], row["seed"], row["start"]


def read_measured(out: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Task and seed -> start -> what was measured."""
    measured: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for row in AppendLog(out / "measured.jsonl").read():
        measured[row["task"], row["seed"]][row["start"]] = row
    return measured


def measure(args: argparse.Namespace) -> None:
    """Measure whatever is missing before training."""
    log = AppendLog(args.out / "measured.jsonl")
    done = set(map(_key, log.repaired()))
    engine, patches = engine_of(args.lab / "base"), starts(args.pool / "adapters")
    for seed, task in product(args.seeds, args.tasks):
        missing = [name for name in patches if (task, seed, name) not in done]
        if not missing:
            continue
        bench = Bench(engine, task, seed)
        by_item = {}
        if task in CHOICE:
            by_item = gradients(engine, patches, bench.choices[:GRADIENTS])
        for name in missing:
            row = bench.measured(patches[name])
            if by_item:
                row["cosine"] = float(f"{cosine(by_item, patches[name].low_rank):.4g}")
            log.append({"task": task, "seed": seed, "start": name, **row})
        print(task, seed, len(missing), flush=True)


def train(args: argparse.Namespace) -> None:
    """Train from whatever is missing: all picks of a task and seed before all second places."""
    measured = read_measured(args.out)
    log = AppendLog(args.out / "trained.jsonl")
    done = set(map(_key, log.repaired()))
    engine, patches = engine_of(args.lab / "base"), starts(args.pool / "adapters")
    for place, seed, task in product(range(args.places), args.seeds, args.tasks):
        for name in in_turns(task, measured[task, seed], seed)[place]:
            if (task, seed, name) in done:
                continue
            test = Bench(engine, task, seed).trained(patches[name], args.lab)
            log.append({"task": task, "seed": seed, "start": name, "test": test})
            done.add((task, seed, name))
            print(task, seed, name, test, flush=True)


def in_turns(task: str, rows: Rows, seed: int) -> list[set[str]]:
    """Place -> starts to train from: the base and every method's pick, then the next of two."""
    adapters = {name: row for name, row in rows.items() if name != BASE}
    orders = {name: method(adapters, seed)[0] for name, method in methods(task).items()}
    picks = {order[0] for order in orders.values()}
    return [picks | {BASE}, *map(set, zip(orders[FIND][1:], orders[ALL][1:], strict=True))]


def outcomes(args: argparse.Namespace) -> None:
    """Write what each method picks, and what became of it."""
    measured = read_measured(args.out)
    trained: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for row in AppendLog(args.out / "trained.jsonl").read():
        trained[row["task"], row["seed"]][row["start"]] = row["test"]
    lines = []
    for (task, seed), rows in sorted(measured.items()):
        adapters = {name: row for name, row in rows.items() if name != BASE}
        others = [measured[task, other] for other in args.seeds if other != seed]
        as_is = {}
        for name in adapters:
            right = chain.from_iterable(other[name]["right"] for other in others)
            as_is[name] = round(fmean(right), 4)
        test = trained[task, seed]
        line = {"task": task, "seed": seed, "base": test[BASE], "trained": len(test)}
        line |= {"best": max(test, key=test.__getitem__), "best_test": max(test.values())}
        line |= {"best_as_is": max(as_is.values()), "mean_as_is": round(fmean(as_is.values()), 4)}
        picks = {}
        for name, method in methods(task).items():
            order, cost = method(adapters, seed)
            pick = {"passes": cost, "start": order[0], "test": test[order[0]]}
            top = order[:TOP]
            pick |= {"as_is": as_is[top[0]], "top_as_is": max(as_is[start] for start in top)}
            if test.keys() >= set(top):
                pick["top_test"] = max(test[start] for start in top)
            picks[name] = pick
        lines.append(json.dumps(line | {"methods": picks}) + "\n")
    (args.out / "find.jsonl").write_text("".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = {"measure": measure, "train": train, "outcomes": outcomes}
    parser.add_argument("what", choices=commands)
    parser.add_argument("--lab", type=Path, help="folder of the laboratory")
    parser.add_argument("--pool", type=Path, help="folder of pool.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--places", type=int, default=TOP, help="train: places of each method")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    commands[args.what](args)


if __name__ == "__main__":
    main()
