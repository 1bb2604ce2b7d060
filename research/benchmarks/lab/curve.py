#!/usr/bin/env python3
"""How much do labels bring, from 8 to 400, in the laboratory?

Of a task and a seed, more examples hold the fewer. With each number of them the default search
runs, and the base and the best expert are fine-tuned; what the search finds is trained even below
40 examples, where it would not be by default. There it is also trained with a pull to where it
started (a multiple of the squared norm of the weights' change is added to the loss) and for more
epochs. The base is prompted with 8 examples, too.

Dev items come from the laboratory's generator (seed 0: the first 100 are its own dev items), test
items are its own. A line of --out is the outcome of a method; what is there is not run again.
Whether to train was chosen on t1 to t3; t4 to t6 are to claim on.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/curve.py --lab runs/lab --work runs/curve \\
        --out research/evidence/curve.jsonl
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from lab import TASKS
from lab_skills import items
from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.regular import AppendLog, write_json
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.report.run import search
from pyswarmopt_llm.scores.choices import EPOCHS, RATE, Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scoring.record import pack, unpack
from pyswarmopt_llm.searching.training.trainer import Lora, choice_losses, shuffled, train
from pyswarmopt_rivals.methods.ensembles.few_shot import FewShot

SIZES = (8, 16, 32, 64, 128, 200, 400)
SHOTS = 8
PLAIN = ("best-single", "finetune-once", "finetune-best-once", "item-model", "item-model+dev")
FEW_SHOT = "few-shot"
# name -> strength of the pull, epochs; of what the search found, where examples are few
TRAINED = {
    "trained": (0.0, EPOCHS),
    "pull 0.001": (1e-3, EPOCHS),
    "pull 0.01": (1e-2, EPOCHS),
    "pull 0.1": (1e-1, EPOCHS),
    "12 epochs": (0.0, 12),
}
MADE = "also with the expert that was made for the task (lab.py make --made)"
FEW = 40  # examples below which nothing is trained by default


def experts(lab: Path, made_for: str | None) -> tuple[str, ...]:
    """The laboratory's ten, and the one that was made for a task, if one is named."""
    made = [lab / "made" / made_for] if made_for else []
    return tuple(map(str, (*sorted((lab / "experts").iterdir()), *made)))


class Bench:
    """A task and a seed.

    Args:
        lab: folder that lab.py made.
        work: folder of the searches.
        task: t1 to t6.
        seed: of the examples, the search and the training.
        made: whether the expert that was made for the task is among them.
    """

    def __init__(self, lab: Path, work: Path, task: str, seed: int, made: bool = False) -> None:
        self._lab, self._folder = lab, work / f"{task}-{seed}"
        self._task, self._seed, self._made = task, seed, made
        self._examples = items(TASKS[task], "dev", max(SIZES), 7 + seed)
        self._job = prepare(self._config(max(SIZES)))
        self._engine, self._space = self._job.engine, self._job.pool.space
        self._choices = self._job.choices({task: "likelihood"})
        self._test = self._job.utilities("test", {task: "likelihood"})[task]
        self._experts: dict[str, str] = {}

    def _config(self, examples: int) -> SearchConfig:
        folder = self._folder / f"{examples}"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self._task}.json"
        test = json.loads((self._lab / "tasks" / f"{self._task}.json").read_text())["test"]
        write_json(file, {"dev": self._examples[:examples], "test": test})
        return SearchConfig(
            base=str(self._lab / "base"),
            experts=experts(self._lab, self._task if self._made else None),
            tasks=(str(file),),
            out=str(folder / "search"),
            scoring="likelihood",
            dtype="float32",
            threads=1,
            seed=self._seed,
            train="on",
        )

    def cell(self, examples: int) -> Cell:
        """The bench with so many examples; their search has run."""
        config = self._config(examples)
        run = Path(config.out)
        if not (run / "result.json").exists():
            shutil.rmtree(run, ignore_errors=True)
            search(replace(config, test=0))
        return Cell(self, examples, run)

    def tested(self, patch: Patch) -> str:
        """Outcomes of the base with a change on test."""
        self._engine.load(patch)
        return str(pack(self._test(self._engine).per_item))

    def expert(self, name: str) -> Patch:
        """An expert's change of weights."""
        return self._space.realise(self._space.vertices()[self._space.expert_names.index(name)])

    def expert_tested(self, name: str) -> str:
        """Outcomes of an expert on test, scored once."""
        if name not in self._experts:
            self._experts[name] = self.tested(self.expert(name))
        return self._experts[name]

    def mixture(self, weights: dict[str, float]) -> Patch:
        """The change of weights of a mixture."""
        position = [weights[name] for name in self._space.expert_names]
        return self._space.realise(torch.tensor(position, dtype=torch.float64))

    def read(self, folder: Path) -> Patch:
        """The change of weights in a folder."""
        return self._space.read(folder)

    def trained(self, start: Patch, examples: int, pull: float, epochs: int) -> dict[str, Any]:
        """Outcomes on test after training, and the squared norm of the change."""
        self._engine.load(start)
        lora = Lora.like(self._job.pool.experts[0], self._seed)
        choices = self._choices[:examples]
        rounds = shuffled(choices, epochs, self._seed)
        train(self._engine, lora, rounds, RATE, partial(_pulled_losses, lora, pull))
        changed = start.with_low_rank(lora.patch().low_rank)
        norm = float(squared_norm(lora).detach())
        return {"test": self.tested(changed), "norm": round(norm, 3)}

    def prompted(self, examples: int) -> str:
        """Outcomes on test of the base after some examples."""
        shown = self._job.tasks[self._task].dev[:examples]
        asked = self._job.tasks[self._task].test
        like, test = (Accuracy(part, "likelihood", self._engine.chat) for part in (shown, asked))
        return str(pack(test.judge(FewShot(self._engine, shown, like).answers(test))))


class Cell:
    """A bench with so many examples, and the run of their search."""

    def __init__(self, bench: Bench, examples: int, run: Path) -> None:
        self._bench, self._examples, self._run = bench, examples, run
        self._result = json.loads((run / "result.json").read_text())

    @cached_property
    def _mixture(self) -> Patch:
        return self._bench.mixture(self._result["coefficients"])

    def outcome(self, method: str) -> dict[str, Any]:
        """Outcomes of a method on test, and what is worth knowing about it."""
        bench, single = self._bench, str(self._result["best_single"])
        if method == FEW_SHOT:
            return {"test": bench.prompted(self._examples)}
        if method in TRAINED:
            return bench.trained(self._mixture, self._examples, *TRAINED[method])
        if method == "best-single":
            return {"test": bench.expert_tested(single), "expert": single}
        if method == "finetune-once":
            return bench.trained(Patch(), self._examples, 0.0, EPOCHS)
        if method == "finetune-best-once":
            return bench.trained(bench.expert(single), self._examples, 0.0, EPOCHS)
        if method == "item-model":
            return {"test": bench.tested(self._mixture)}
        facts = {name: self._result[name] for name in ("passes", "trained")}
        return {"test": bench.tested(bench.read(self._run / "best")), **facts}


def _pulled_losses(
    lora: Lora, pull: float, engine: Any, examples: Sequence[Choices]
) -> Iterator[Tensor]:
    yield from choice_losses(engine, examples)
    if pull:
        yield (pull * len(examples) * squared_norm(lora))[None]


def squared_norm(lora: Lora) -> Tensor:
    """Of the change of all weights: the Frobenius norm of scale B A, a scalar with its graph."""
    half = len(lora.tensors) // 2
    pairs = zip(lora.tensors[:half], lora.tensors[half:], strict=True)
    norms = [((b.T @ b) * (a @ a.T)).sum() for a, b in pairs]
    return lora.scale**2 * torch.stack(norms).sum()


def methods(examples: int, few: bool) -> Iterator[str]:
    """The methods to run with so many examples; `few`: those for few examples, too."""
    yield from PLAIN
    if few and examples == SHOTS:
        yield FEW_SHOT
    if few and examples < FEW:
        yield from TRAINED


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder that lab.py made")
    parser.add_argument("--work", type=Path, required=True, help="folder of the searches")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--plain", action="store_true", help="without the methods for few examples")
    parser.add_argument("--made", action="store_true", help=MADE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = AppendLog(args.out)
    done = {(row["method"], row["task"], row["seed"], row["examples"]) for row in log.repaired()}
    for seed in args.seeds:
        for task in args.tasks:
            missing = [
                (size, method)
                for size in args.sizes
                for method in methods(size, not args.plain)
                if (method, task, seed, size) not in done
            ]
            bench = Bench(args.lab, args.work, task, seed, args.made) if missing else None
            for size, method in missing:
                row = {"task": task, "method": method, "seed": seed, "examples": size}
                outcome = bench.cell(size).outcome(method)
                log.append({**row, **outcome})
                print(*row.values(), f"{mean(unpack(outcome['test'])):.3f}", flush=True)


if __name__ == "__main__":
    main()
