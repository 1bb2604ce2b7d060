"""Eight checkpoints of one training run: which one to use, or what mixture of them?

    python research/benchmarks/checkpoints.py runs/checkpoints --data DATA --pattern EXPERT \\
        --tasks intent science --outcomes research/evidence/checkpoints.jsonl

A LoRA with the modules and rank of EXPERT is trained on 100 labelled items for eight epochs, and kept
after each; the other 100 dev items of the task choose, and 300 test items score. A line for each task,
seed and method holds 1 for a right answer, 0 for a wrong one. `CHOOSE` is for looking and `CLAIM` for
claims; both were named before the first job ran.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from few_controls import LIKELIHOOD, Finished, Outcome

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import AdapterInfo, read_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.mix.coefficients import save_patch
from pyswarmopt_llm.scores.choices import RATE
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks.load import load_task
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.training.trainer import Lora, shuffled, train

CHOOSE = ("banking",)
CLAIM = ("intent", "science", "commonsense")
EPOCHS = 8
TRAINED = 100  # items to train on; as many others choose
TEST = 300
BASE = "embedded:smollm2-135m"


def split(data: Path, task: str, folder: Path) -> tuple[str, str]:
    """Task files: what a checkpoint is trained on, and what chooses and scores."""
    items = json.loads((data / "tasks" / f"{task}.json").read_text(encoding="utf-8"))
    dev, test = items["dev"], items["test"][:TEST]
    files = {"train": dev[:TRAINED], "choose": dev[TRAINED : 2 * TRAINED]}
    for name, part in files.items():
        (folder / f"{name}.json").write_text(json.dumps({"dev": part, "test": test}), "utf-8")
    return str(folder / "train.json"), str(folder / "choose.json")


def checkpoints(file: str, pattern: AdapterInfo, seed: int, folder: Path) -> list[str]:
    """The adapters after each epoch; those that are there are not trained again."""
    made = [folder / f"checkpoint-{epoch}" for epoch in range(1, EPOCHS + 1)]
    if not made[-1].exists():
        engine = load_engine(resolve_base(BASE), "auto", "cpu", 1)
        choices = Accuracy(load_task(file).dev, LIKELIHOOD, engine.chat).choices()
        lora = Lora.like(pattern, seed)
        keep = partial(kept, lora, pattern, folder)
        train(engine, lora, shuffled(choices, EPOCHS, seed), RATE, on_round=keep)
    return [str(path) for path in made]


def kept(lora: Lora, pattern: AdapterInfo, folder: Path, epoch: int, *_: object) -> None:
    """Write the adapter of an epoch."""
    save_patch(lora.patch(), [pattern], folder / f"checkpoint-{epoch}")


def outcomes(config: SearchConfig) -> Iterator[Outcome]:
    """Each way to use the checkpoints."""
    run = Path(config.out)
    result = (resume(run) if (run / "run.json").exists() else search(config)).result
    best = result["models"]["best"]
    yield "search", next(iter(best["test"]["tasks"].values()))["items"], best["dev"]["value"]
    job = prepare(replace(config, out=f"{config.out}-alone"))
    (task,) = job.tasks
    found = Finished(task, job, result)
    vertices = job.pool.space.vertices()
    bench = found.bench()
    losses = [bench.loss(job.pool.space.realise(vertex)) for vertex in vertices]
    yield found.outcome("last", vertices[-1])
    yield found.outcome("lowest-loss", vertices[losses.index(min(losses))])
    yield found.outcome("best-score", found.single())
    yield found.outcome("mean-of-three", vertices[-3:].mean(0))
    yield found.outcome("base", torch.zeros_like(vertices[0]))


def job_of(task: str, seed: int, options: argparse.Namespace) -> SearchConfig:
    """The search over the checkpoints of a task."""
    folder = options.folder / f"{task}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    train_file, choose_file = split(options.data, task, folder)
    experts = checkpoints(train_file, read_adapter(options.pattern), seed, folder)
    more: dict[str, Any] = {"dev": TRAINED, "test": TEST, "train": "off", "scoring": LIKELIHOOD}
    out = str(folder / "run")
    return SearchConfig(BASE, tuple(experts), (choose_file,), out, seed=seed, threads=1, **more)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", nargs="+", default=CLAIM)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pattern", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    for task in options.tasks:
        for seed in options.seeds:
            rows = list(outcomes(job_of(task, seed, options)))
            with options.outcomes.open("a", encoding="utf-8") as out:
                for method, items, dev in rows:
                    key = {"task": task, "seed": seed, "method": method}
                    out.write(json.dumps({**key, "dev": round(dev, 4), "test": items}) + "\n")
            scores = {method: round(items.count("1") / len(items), 3) for method, items, _ in rows}
            print(task, seed, scores, flush=True)


if __name__ == "__main__":
    main()
