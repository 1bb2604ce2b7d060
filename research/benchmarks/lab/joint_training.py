#!/usr/bin/env python3
"""Joint training beside mixing, in the laboratory: mixture coefficients as shares of data, and
fine-tuning from what a search found.

**ratios** (OptiMer, arXiv 2603.28858, section 3: a mixture of models tells how to mix their data).
One adapter is trained as the experts were, on as many examples as each of them, drawn from their ten
sources: in equal shares, in 20 random shares (Dirichlet), of which dev chooses one per task, and in the
shares that the swarm's coefficients say (those below 0 count as 0).

**steps** (Mashup Learning, arXiv 2603.10156: training from a merged start reaches the accuracy of
training from the base in fewer steps). The base, the best expert and the mixture that a search found
are fine-tuned on dev for 1 to 5 epochs, each with a learning rate that is planned for so many.

Builds, tasks and coefficients are those of `trial.py`, whose lines --trial names. What is in --out is
not run again. `real_steps.py` has the second of a real model.

    python research/benchmarks/lab/joint_training.py ratios runs/lab-0 --build 0 \\
        --trial research/evidence/trial.jsonl --work runs/joint-0 --out research/evidence/joint-training.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lab import EXPERT_EXAMPLES, TASKS, make_expert
from trial import bench_of, built, line_of, lines_of, shares, task_file

from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.scores.choices import EPOCHS
from pyswarmopt_llm.searching.training.trainer import fit
from pyswarmopt_rivals.bench import Bench, as_patch

RANDOM = 20
FORM = "choices"
SWARM = "swarm delta segments"
ITEM_MODEL = "default without training"


def drawn_shares(sources: int) -> Iterator[tuple[str, list[float]]]:
    """Name -> random shares of the sources."""
    rng = np.random.default_rng(0)
    for number in range(RANDOM):
        yield f"random {number}", rng.dirichlet(np.ones(sources)).tolist()


def read_shares(coefficients: Sequence[float]) -> list[float]:
    """The shares that a mixture's coefficients say.

    Example:
        >>> read_shares([0.5, -1.0, 1.5])
        [0.25, 0.0, 0.75]
    """
    positive = [max(value, 0.0) for value in coefficients]
    return [value / sum(positive) for value in positive]


def mixed(data: Path, parts: Sequence[float]) -> list[dict[str, Any]]:
    """As many chats as an expert has, in these shares of the sources."""
    counts = [round(part * EXPERT_EXAMPLES) for part in parts]
    counts[counts.index(max(counts))] += EXPERT_EXAMPLES - sum(counts)
    rng = random.Random(0)
    chosen = []
    for file, count in zip(sorted(data.glob("*.jsonl")), counts, strict=True):
        chats = [json.loads(text) for text in file.read_text("utf-8").splitlines()]
        chosen += rng.sample(chats, count)
    return rng.sample(chosen, len(chosen))


def ratios(options: argparse.Namespace, benches: Mapping[str, Bench]) -> Iterator[dict[str, Any]]:
    """The lines of every adapter that is trained jointly, on every task that it is for."""
    sources = len(list((options.lab / "data").glob("*.jsonl")))
    jointly = partial(trained_jointly, options)
    for task, bench in benches.items():
        yield jointly(bench, task, "equal", [1 / sources] * sources, folder="equal")
    for task, bench in benches.items():
        parts = read_shares(coefficients_of(options, task, SWARM))
        yield jointly(bench, task, "read", parts, folder=f"read {task}")
    for name, parts in drawn_shares(sources):
        for task, bench in benches.items():
            yield jointly(bench, task, name, parts, folder=name)


def trained_jointly(
    options: argparse.Namespace,
    bench: Bench,
    task: str,
    name: str,
    parts: Sequence[float],
    folder: str,
) -> dict[str, Any]:
    """The line of an adapter; it is trained unless it is there."""
    if line := known(options, task, name):
        return line
    adapter = options.work / "joint" / folder.replace(" ", "-")
    if not adapter.exists():
        make_expert(options.lab / "base", adapter, mixed(options.lab / "data", parts))
    patch = as_patch(load_adapter(read_adapter(adapter)))
    return said(options, task, line_of(bench, name, patch, shares=parts))


def steps(options: argparse.Namespace, benches: Mapping[str, Bench]) -> Iterator[dict[str, Any]]:
    """The lines of every start, task and number of epochs."""
    for task, bench in benches.items():
        space = DeltaSpace(bench.experts)
        alone = [bench.score(space.realise(unit), "dev").value for unit in space.vertices()]
        found = torch.tensor(coefficients_of(options, task, ITEM_MODEL), dtype=torch.float64)
        starts = {
            "base": torch.zeros_like(found),
            "best expert": space.vertices()[alone.index(max(alone))],
            "mixture": found,
        }
        for name, position in starts.items():
            for epochs in range(EPOCHS + 1):
                row = f"{name}, {epochs} epochs"
                yield known(options, task, row) or tuned(
                    options, bench, task, row, position, epochs
                )


def tuned(
    options: argparse.Namespace, bench: Bench, task: str, row: str, position: Any, epochs: int
) -> dict[str, Any]:
    """The line of a start that was fine-tuned on dev."""
    patch = DeltaSpace(bench.experts).realise(position)
    if epochs:
        pattern = bench.experts[0].info
        lora = fit(bench.engine, patch, bench.choices, pattern, seed=0, epochs=epochs)
        patch = patch.with_low_rank(lora.low_rank)
    return said(options, task, line_of(bench, row, patch))


def coefficients_of(options: argparse.Namespace, task: str, row: str) -> list[float]:
    """What a row of the trial found."""
    job = {**options.of_trial, "task": task, "seed": 0, "row": row}
    (line,) = [line for line in lines_of(options.trial) if job.items() <= line.items()]
    coefficients: list[float] = line["coefficients"]
    return coefficients


def known(options: argparse.Namespace, task: str, row: str) -> dict[str, Any] | None:
    """The line that is there."""
    job = {**options.job, "task": task, "row": row}
    return next((line for line in lines_of(options.out) if job.items() <= line.items()), None)


def said(options: argparse.Namespace, task: str, line: Mapping[str, Any]) -> dict[str, Any]:
    """A line, written."""
    whole = {**options.job, "task": task, **line}
    with options.out.open("a", encoding="utf-8") as out:
        out.write(json.dumps(whole) + "\n")
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("ratios", "steps"))
    parser.add_argument("lab", type=Path)
    parser.add_argument("--build", type=int, required=True)
    parser.add_argument("--trial", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.job = {"build": options.build}
    options.of_trial = {**options.job, "form": FORM}
    torch.set_num_threads(1)
    pool = built(options.lab)
    benches = {task: bench_of(pool, task_file(options.work, FORM, task), FORM) for task in TASKS}
    show(ratios(options, benches) if options.what == "ratios" else steps(options, benches))


def show(lines: Iterable[Mapping[str, Any]]) -> None:
    """Print what is found."""
    for line in lines:
        accuracy = f"dev {line['dev']:.3f} test {shares(line['test']):.3f}"
        print(line["task"], line["row"], accuracy, flush=True)


if __name__ == "__main__":
    main()
