#!/usr/bin/env python3
"""Unlabelled inputs beside 100 labels, in the laboratory: do several experts teach more from them
than one start, or other seeds of it?

Teachers are LoRAs trained on dev on top of the base, of the best experts and of the default
search's mixture. The mean of their log-probabilities of a pool item's options, at the temperature
that is best on dev by cross-fitting, is its soft label. A student is trained on dev and the labels
of the pool, on top of a start that was not trained on dev yet (PET: Schick & Schuetze 2021, arXiv
2001.07676, has prompts in place of experts). Rivals: what a search and its fine-tuned rivals have
without the pool; self-training from one start; copies of a start with other seeds.

Dev, pool and test have no question in common. A line of --out is the outcome of a method, task and
seed; what is there is not run again. Methods were chosen on t1 to t3; t4 to t6 are to claim on.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/unlabelled.py --lab runs/lab --work runs/pool --out runs/pool.jsonl \\
        --tasks t4 t5 t6
    python research/benchmarks/lab/unlabelled.py --out runs/pool.jsonl --table --tasks t4 t5 t6
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, mean
from typing import Any

import torch
from cross_fit import cross_fit
from lab import DEV, TASKS
from lab_skills import items
from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.files.regular import AppendLog, write_json
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.report.run import search
from pyswarmopt_llm.scores.choices import EPOCHS, PASSES, RATE, Choices
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.fitting import Fitting
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scoring.record import pack, unpack
from pyswarmopt_llm.searching.training.trainer import ITEMS_PER_STEP, Lora, loglikelihoods, train

POOL = 4000  # inputs of which a method takes the first ones
TEMPERATURES = [2 ** (k / 4) for k in range(-8, 17)]
WITHOUT_POOL = {  # in result.json of the default search
    "best-single": "best_single",
    "finetune-once": "base_tuned",
    "finetune-best-once": "expert_tuned",
    "item-model": "mixture",
    "item-model+dev": "best",
}


@dataclass(frozen=True)
class Method:
    """How the pool is labelled, and who learns from it.

    Attributes:
        teachers: starts of what is trained on dev: `base`, `expertK` and `mixtureK`, the K-th best
            on dev of the experts and of the search's candidates; ``START#K`` has another seed.
        student: whether one is trained, on top of the best of the teachers' starts (the least
            cross-fitted loss on dev); else the teachers answer together.
        labels: `soft`, `hard` (the likeliest option of items that the teachers are sure of at
            `confidence`), or `true` (a bound: all labels of the pool).
        pool: number of inputs.
        epochs: of the student.
        rounds: the student of a round is the teacher of the next one.
    """

    teachers: tuple[str, ...]
    student: bool = True
    labels: str = "soft"
    pool: int = 1000
    epochs: int = EPOCHS
    confidence: float = 0.9
    rounds: int = 1


def copies(start: str) -> tuple[str, ...]:
    """Four teachers from one start."""
    return (start, *(f"{start}#{k}" for k in (1, 2, 3)))


TEACHERS = {
    "base": ("base",),
    "best expert": ("expert1",),
    "mixture": ("mixture1",),
    "four copies of the base": copies("base"),
    "four copies of the mixture": copies("mixture1"),
    "three experts": ("expert1", "expert2", "expert3"),
    "several starts": ("base", "expert1", "expert2", "expert3", "mixture1"),
    "experts and mixture": ("expert1", "expert2", "expert3", "mixture1"),
    "four mixtures": ("mixture1", "mixture2", "mixture3", "mixture4"),
}
WAYS = {
    "soft": Method(()),
    "hard": Method((), labels="hard"),
    "hard, twice": Method((), labels="hard", rounds=2),
    "hard, 12 epochs": Method((), labels="hard", epochs=12),
    "hard, 4,000": Method((), labels="hard", pool=4000),
    "together": Method((), student=False),
    "true": Method((), labels="true"),
}
METHODS = {
    f"{who}: {how}": replace(way, teachers=teachers)
    for who, teachers in TEACHERS.items()
    for how, way in WAYS.items()
}
COMPARED = ("base", "best expert", "mixture", "four copies of the mixture", "several starts")


@dataclass(frozen=True)
class Labelled:
    """An item with the probability of each option, (options,) float64."""

    item: Choices
    target: Tensor


def option_logits(item: Choices, totals: Tensor) -> Tensor:
    """What `choice_loss` takes the softmax of, (options,)."""
    return totals / torch.tensor(item.lengths, dtype=totals.dtype) * fmean(item.lengths)


def soft_losses(engine: Any, labelled: Sequence[Labelled]) -> Iterator[Tensor]:
    """Cross-entropies against the targets in nats, (items of a batch,) with their graphs."""
    owners = [number for number, example in enumerate(labelled) for _ in example.item.pairs]
    pairs = [pair for example in labelled for pair in example.item.pairs]
    for indices, values in loglikelihoods(engine, pairs):
        counts = Counter(owners[index] for index in indices)
        losses = []
        for number, totals in zip(counts, values.split(list(counts.values())), strict=True):
            logits = option_logits(labelled[number].item, totals)
            losses.append(-(labelled[number].target * logits.log_softmax(0)).sum())
        yield torch.stack(losses)


def log_probabilities(engine: Any, choices: Sequence[Choices]) -> Tensor:
    """Of the options of each item by the model that is loaded, (items, options) float64."""
    totals = iter(engine.loglikelihood([pair for item in choices for pair in item.pairs]))
    rows = []
    for item in choices:
        values = torch.tensor([next(totals) for _ in item.pairs], dtype=torch.float64)
        rows.append(option_logits(item, values).log_softmax(0))
    return torch.stack(rows)


def right_options(choices: Sequence[Choices]) -> Tensor:
    """(items,) int64."""
    return torch.tensor([item.right for item in choices])


def together(log_probs: Sequence[Tensor], temperature: float) -> Tensor:
    """Log-probabilities of the mean of several teachers' log-probabilities, (items, options)."""
    return (torch.stack(list(log_probs)).mean(0) / temperature).log_softmax(1)


def negative_log_likelihood(log_probs: Tensor, right: Tensor) -> float:
    """Mean over items, in nats."""
    return float(-log_probs.gather(1, right[:, None]).mean())


def certain(item: Choices, option: int) -> Labelled:
    """All probability on one option."""
    target = torch.zeros(len(item.pairs), dtype=torch.float64)
    target[option] = 1.0
    return Labelled(item, target)


def labels(pool: Sequence[Choices], probabilities: Tensor, method: Method) -> list[Labelled]:
    """The labelled items of a pool, of (items, options) probabilities."""
    if method.labels == "true":
        return [certain(item, item.right) for item in pool]
    if method.labels == "soft":
        return [Labelled(item, row) for item, row in zip(pool, probabilities, strict=True)]
    sure = (probabilities.max(1).values >= method.confidence).tolist()
    options = probabilities.argmax(1).tolist()
    return [
        certain(item, option)
        for item, option, kept in zip(pool, options, sure, strict=True)
        if kept
    ]


class Cell:
    """A task and a seed: data, starts, and the teachers that were trained so far.

    Args:
        lab: folder that lab.py made.
        work: folder of the searches and of the teachers' log-probabilities.
        task: t1 to t6.
        seed: of dev, pool, search and training; with 0 dev is the task's own.
    """

    def __init__(self, lab: Path, work: Path, task: str, seed: int) -> None:
        self._folder, self._seed = work / f"{task}-{seed}", seed
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{task}.json"
        kinds = TASKS[task]
        dev = items(kinds, "dev", DEV, 7 + seed)
        seen = {item["question"] for item in dev}
        drawn = items(kinds, "dev", POOL + DEV, 1000 + seed)
        pool = [item for item in drawn if item["question"] not in seen][:POOL]
        test = json.loads((lab / "tasks" / f"{task}.json").read_text())["test"]
        write_json(file, {"dev": dev, "test": test})
        write_json(self._folder / "pool.json", {"dev": pool, "test": test})
        config = SearchConfig(
            base=str(lab / "base"),
            experts=tuple(map(str, sorted((lab / "experts").iterdir()))),
            tasks=(str(file),),
            out=str(self._folder / "search"),
            scoring="likelihood",
            dtype="float32",
            threads=1,
            seed=seed,
        )
        run = self._folder / "search"
        if not (run / "result.json").exists():
            search(config)
        self._result = json.loads((run / "result.json").read_text())
        self._rows = AppendLog(run / "history.jsonl").read()
        self._job = prepare(config)
        self._engine, self._task = self._job.engine, task
        scored = self._job.choices({task: "likelihood"})
        self.dev = scored
        self.test = self._choices(file, "test")
        self.pool = self._choices(self._folder / "pool.json", "dev")

    def _choices(self, file: Path, split: str) -> list[Choices]:
        loaded = getattr(load_task(str(file)), split)
        return Accuracy(loaded, "likelihood", self._engine.chat).choices()

    def without_pool(self, name: str) -> str:
        """Outcomes on test of one of `WITHOUT_POOL`."""
        model = self._result["models"][WITHOUT_POOL[name]]
        return str(model["test"]["tasks"][self._task]["items"])

    def start(self, name: str) -> Patch:
        """The change that a teacher or student is trained on top of."""
        space = self._job.pool.space
        if name == "base":
            return Patch()
        if name.startswith("mixture"):
            return space.realise(self._mixture(int(name.removeprefix("mixture"))))
        experts = self._result["experts"]
        ranked = sorted(space.expert_names, key=lambda name: -experts[name]["dev"]["value"])
        expert = ranked[int(name.removeprefix("expert")) - 1]
        return space.realise(space.vertices()[space.expert_names.index(expert)])

    def _mixture(self, place: int) -> Tensor:
        """Coefficients, (experts,), of the candidate at this place: the first is the one that the
        search has trained, the others are the next best by accuracy on dev.
        """
        names = self._job.pool.space.expert_names
        first = [self._result["coefficients"][name] for name in names]
        rows = [row for row in self._rows if row["phase"] == "search" and "bounds" not in row]
        rows.sort(key=lambda row: -row["value"])
        others = [row["coefficients"] for row in rows if row["coefficients"] != first]
        return torch.tensor([first, *others][place - 1], dtype=torch.float64)

    def teacher(self, name: str, pool: int) -> Mapping[str, Tensor]:
        """Log-probabilities of a start that was trained on dev: of dev by what was trained without
        an item, of so many pool items and test by what was trained on all.
        """
        file = self._folder / f"{name}-{pool}.pt"
        if not file.exists():
            torch.save(self._taught(name, pool), file)
        loaded: Mapping[str, Tensor] = torch.load(file, weights_only=True)
        return loaded

    def _taught(self, name: str, pool: int) -> dict[str, Tensor]:
        start, _, copy = name.partition("#")
        patch = self.start(start)
        seed = self._seed + 100 * int(copy or 0)
        fitting = Fitting(self._engine, patch, self.dev, self._job.pool.experts[0], seed)

        def score(places: Sequence[int]) -> Sequence[Tensor]:
            items = [self.dev[place] for place in places]
            return log_probabilities(self._engine, items).unbind()

        dev = torch.stack(cross_fit(fitting, score))
        self._engine.load(fitting.whole())
        scored = {"pool": self.pool[:pool], "test": self.test}
        return {
            "dev": dev,
            **{key: log_probabilities(self._engine, value) for key, value in scored.items()},
        }

    def run(self, method: Method) -> dict[str, Any]:
        """Outcomes on test and what is worth knowing about the labels."""
        teachers = {name: self.teacher(name, method.pool) for name in method.teachers}
        right = right_options(self.dev)
        on_dev = [teacher["dev"] for teacher in teachers.values()]
        temperature = min(
            TEMPERATURES, key=lambda t: negative_log_likelihood(together(on_dev, t), right)
        )
        facts: dict[str, Any] = {"temperature": temperature}
        if not method.student:
            answers = together([teacher["test"] for teacher in teachers.values()], temperature)
            return {**facts, "test": self._outcomes(answers)}
        pool = self.pool[: method.pool]
        on_pool = [teacher["pool"] for teacher in teachers.values()]
        probabilities = together(on_pool, temperature).exp()
        loss = {
            name: negative_log_likelihood(teacher["dev"], right)
            for name, teacher in teachers.items()
        }
        start = min(loss, key=loss.__getitem__).partition("#")[0]
        answers = torch.empty(0)
        passes = 0.0
        for _ in range(method.rounds):
            labelled = labels(pool, probabilities, method)
            facts["labelled"] = len(labelled)
            facts["right"] = sum(int(x.target.argmax()) == x.item.right for x in labelled)
            passes += PASSES * method.epochs * (len(labelled) + len(self.dev))
            items = [*(certain(item, item.right) for item in self.dev), *labelled]
            self._train(self.start(start), items, method.epochs)
            answers = log_probabilities(self._engine, self.test)
            if method.rounds > 1:
                log_probs = log_probabilities(self._engine, pool)
                probabilities = together([log_probs], temperature).exp()
        return {
            **facts,
            "start": start,
            "passes": round(passes),
            "test": self._outcomes(answers),
        }

    def _train(self, start: Patch, labelled: Sequence[Labelled], epochs: int) -> None:
        """Load what is trained on these items."""
        generator = torch.Generator().manual_seed(self._seed)
        rounds = []
        for _ in range(epochs):
            order = torch.randperm(len(labelled), generator=generator).tolist()
            steps = [order[k : k + ITEMS_PER_STEP] for k in range(0, len(order), ITEMS_PER_STEP)]
            rounds.append([[labelled[place] for place in step] for step in steps])
        self._engine.load(start)
        lora = Lora.like(self._job.pool.experts[0], self._seed)
        train(self._engine, lora, rounds, RATE, soft_losses)
        self._engine.load(start.with_low_rank(lora.patch().low_rank))

    def _outcomes(self, log_probs: Tensor) -> str:
        right = log_probs.argmax(1) == right_options(self.test)
        return str(pack(right.double().tolist()))


def run(args: argparse.Namespace) -> None:
    """Run what is missing, a seed after the other."""
    log = AppendLog(args.out)
    done = {(row["method"], row["task"], row["seed"]) for row in log.repaired()}
    for seed in args.seeds:
        for task in args.tasks:
            names = [*WITHOUT_POOL, *args.methods]
            missing = [name for name in names if (name, task, seed) not in done]
            if not missing:
                continue
            cell = Cell(args.lab, args.work, task, seed)
            for name in missing:
                result: dict[str, Any] = (
                    {"test": cell.without_pool(name)}
                    if name in WITHOUT_POOL
                    else cell.run(METHODS[name])
                )
                log.append({"task": task, "method": name, "seed": seed, **result})
                accuracy = mean(unpack(result["test"]))
                about = {key: value for key, value in result.items() if key != "test"}
                print(task, seed, name, f"{accuracy:.3f}", about, flush=True)


def table(rows: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> str:
    """Markdown: test accuracy per method and task, means over seeds."""
    scores: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        by_task = scores.setdefault(row["method"], {})
        by_task.setdefault(row["task"], []).append(mean(unpack(row["test"])))
    lines = [f"| test | {' | '.join(tasks)} | mean |", "|---" * (len(tasks) + 2) + "|"]
    for method, by_task in scores.items():
        if all(task in by_task for task in tasks):
            means = [mean(by_task[task]) for task in tasks]
            cells = " | ".join(f"{value:.3f}" for value in [*means, mean(means)])
            lines.append(f"| {method} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, help="folder that lab.py made")
    parser.add_argument("--work", type=Path, help="folder of searches and teachers")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--tasks", nargs="+", default=["t1", "t2", "t3"], choices=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--methods", nargs="*", default=[f"{who}: hard" for who in COMPARED], choices=METHODS
    )
    parser.add_argument("--table", action="store_true", help="only print the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if not args.table:
        run(args)
    print(table(AppendLog(args.out).read(), args.tasks))


if __name__ == "__main__":
    main()
