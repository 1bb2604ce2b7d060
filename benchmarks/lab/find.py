#!/usr/bin/env python3
"""How well `swarm-llm find` finds the best start among the 80 adapters of `pool.py`.

The truth is the test score after training on a task's 100 dev items from each of the 64 different
adapters that can be read, and from the base. Three seeds are three draws of dev. Methods are chosen
on t1 to t3 and claims tested on t4 to t6.

    python benchmarks/lab/find.py --lab runs/lab --pool runs/pool --out runs/find.jsonl

A line of --out is a start of a task and a seed: what `find` can measure before training, item by
item, and the test score after it. What is there is not done again.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from lab import DEV, TASKS, TEST
from lab_skills import items
from pool import BASE, engine_of
from torch import Tensor

from pyswarmopt_llm.common.files.append_log import AppendLog
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.training.choice_losses import choice_losses
from pyswarmopt_llm.models.training.folds import train_once
from pyswarmopt_llm.models.training.trainer import Addition, training
from pyswarmopt_llm.tasks import Item

PATTERN = "reverse-next"  # its modules, rank and scale has what is trained
BYTES = 7  # of an option
GRADIENTS = 32  # items whose gradients are taken
FIRST_SEED = 7  # of the laboratory's own draw of dev


class Gradient:
    """The gradients of items' losses by the weights of the linear layers, at the base."""

    def __init__(self, engine: Any, shapes: Mapping[str, tuple[int, int]]) -> None:
        self._engine = engine
        self._changes = {
            name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()
        }

    def additions(self) -> dict[str, Addition]:
        """Module name -> a change of nothing."""
        return {name: partial(_product, change) for name, change in self._changes.items()}

    def of(self, items: Sequence[Choices]) -> dict[str, Tensor]:
        """Parameter -> gradients of the items, (items, out, in)."""
        self._engine.load(Patch())
        changes = list(self._changes.values())
        by_item = []
        with training(self._engine.model, self.additions()):
            for item in items:
                (loss,) = choice_losses(self._engine, [item])
                by_item.append(torch.autograd.grad(loss.sum(), changes))
        names = [f"{name}.weight" for name in self._changes]
        return dict(zip(names, map(torch.stack, zip(*by_item, strict=True)), strict=True))


def _product(change: Tensor, x: Tensor) -> Tensor:
    return x @ change.T


def inner(gradients: Mapping[str, Tensor], changes: Mapping[str, LowRank]) -> Tensor:
    """Minus the inner products of gradients and an adapter: the first-order gains at weight 1.

    Args:
        gradients: parameter -> (items, out, in).
        changes: of the adapter.
    """
    gains = torch.zeros(next(iter(gradients.values())).shape[0], dtype=torch.float64)
    for name, change in changes.items():
        gains -= ((change.b.T @ gradients[name]) * change.a).sum((1, 2))
    return gains


def length(changes: Mapping[str, LowRank]) -> float:
    """The Frobenius norm of an adapter's weight changes."""
    squares = [((c.b.T @ c.b) * (c.a @ c.a.T)).sum() for c in changes.values()]
    return math.sqrt(math.fsum(map(float, squares)))


class Bench:
    """A task of the laboratory with one draw of dev, and its base."""

    def __init__(self, engine: Any, task: str, seed: int) -> None:
        kinds = TASKS[task]
        self.engine, self.task, self.seed = engine, task, seed
        dev = _as_items(items(kinds, "dev", DEV, FIRST_SEED + seed))
        test = _as_items(items(kinds, "test", TEST, FIRST_SEED))
        self._dev = Accuracy(dev, "likelihood", engine.chat)
        self._test = Accuracy(test, "likelihood", engine.chat)
        self.choices = self._dev.choices()

    def measured(self, start: Patch, gradients: Mapping[str, Tensor]) -> dict[str, Any]:
        """What can be known of a start before training, item by item."""
        self.engine.load(start)
        scores = self._dev.score_items(self.engine, range(self._dev.n))
        gains = inner(gradients, start.low_rank).tolist()
        return {
            "right": [int(score.value) for score in scores],
            "margins": [[float(f"{m:.4g}") for m in score.margins] for score in scores],
            "gains": [float(f"{gain:.5g}") for gain in gains],
            "length": float(f"{length(start.low_rank):.5g}"),
        }

    def trained(self, start: Patch, pattern: AdapterInfo) -> dict[str, Any]:
        """The test score after training on dev from a start."""
        begin = time.perf_counter()
        self.engine.load(start)
        lora, _ = train_once(self.engine, self.choices, pattern, self.seed)
        self.engine.load(start.with_low_rank(lora.low_rank))
        seconds = round(time.perf_counter() - begin, 2)
        return {"test": self._test(self.engine).value, "seconds": seconds}


def _as_items(rows: Sequence[Mapping[str, Any]]) -> list[Item]:
    return [Item(row["id"], row["question"], row["choices"], row["answer"]) for row in rows]


def starts(pool: Path) -> dict[str, Patch]:
    """The base and the different adapters of a pool that can be read."""
    patches = {BASE: Patch()}
    for folder in sorted(pool.iterdir()):
        if not folder.name.startswith(("copy", "broken")):
            patches[folder.name] = Patch(low_rank=load_factors(read_adapter(folder)))
    return patches


Key = tuple[str, int, str]  # task, seed, start


def _key(row: Mapping[str, Any]) -> Key:
    return row["task"], row["seed"], row["start"]


def measure(args: argparse.Namespace) -> None:
    """Measure whatever is missing before training."""
    log = AppendLog(args.out / "measured.jsonl")
    done = set(map(_key, log.repaired()))
    engine = engine_of(args.lab / "base")
    patches = starts(args.pool / "adapters")
    pattern = read_adapter(args.lab / "experts" / PATTERN)
    shapes = {name: shape.weight_shape for name, shape in pattern.modules.items()}
    for seed, task in product(args.seeds, args.tasks):
        missing = [name for name in patches if (task, seed, name) not in done]
        if not missing:
            continue
        bench = Bench(engine, task, seed)
        gradient = Gradient(engine, shapes)
        gradients = gradient.of(bench.choices[:GRADIENTS])
        for name in missing:
            row = bench.measured(patches[name], gradients)
            log.append({"task": task, "seed": seed, "start": name, **row})
        print(task, seed, len(missing), flush=True)


def train(args: argparse.Namespace) -> None:
    """Train from whatever is missing, the most promising and a random start in turns."""
    measured: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for row in AppendLog(args.out / "measured.jsonl").read():
        measured[row["task"], row["seed"]][row["start"]] = row
    log = AppendLog(args.out / "trained.jsonl")
    done = set(map(_key, log.repaired()))
    engine = engine_of(args.lab / "base")
    patches = starts(args.pool / "adapters")
    pattern = read_adapter(args.lab / "experts" / PATTERN)
    for place, seed, task in product(range(args.starts), args.seeds, args.tasks):
        name = in_turns(measured[task, seed], seed)[place]
        if (task, seed, name) not in done:
            row = Bench(engine, task, seed).trained(patches[name], pattern)
            log.append({"task": task, "seed": seed, "start": name, **row})
            print(task, seed, name, row["test"], row["seconds"], flush=True)


def in_turns(measured: Mapping[str, Mapping[str, Any]], seed: int) -> list[str]:
    """All starts: the base, then the best by accuracy, a random one, the best by cosine, ..."""
    shuffled = random.Random(seed).sample(list(measured), len(measured))
    orders = [
        sorted(measured, key=lambda name: -sum(measured[name]["right"])),
        shuffled,
        sorted(measured, key=lambda name: -cosine(measured[name])),
        sorted(measured, key=lambda name: -probability(measured[name])),
    ]
    turns = [BASE]
    for names in zip(*orders, strict=True):
        turns += names
    return list(dict.fromkeys(turns))


def cosine(row: Mapping[str, Any]) -> float:
    """The mean inner product with minus the gradient, by the adapter's length."""
    return fmean(row["gains"]) / row["length"] if row["length"] else 0.0


def probability(row: Mapping[str, Any]) -> float:
    """The mean probability of the right option, of log-likelihoods and not per byte."""
    return fmean(1 / (1 + sum(math.exp(-BYTES * m) for m in ms)) for ms in row["margins"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("measure", "train"))
    parser.add_argument("--lab", type=Path, required=True, help="folder of the laboratory")
    parser.add_argument("--pool", type=Path, help="folder of pool.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--starts", type=int, default=65, help="train: of each task and seed")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    {"measure": measure, "train": train}[args.what](args)


if __name__ == "__main__":
    main()
