#!/usr/bin/env python3
"""Do tasks that need several experts gain from a swarm of them? Six tasks, three to choose on and
three to claim on (`several_tasks.TASKS`; research/notes/search-then-train.md names them).

`make` writes tasks and chats, `train` the experts that are not among the given ones (one per
department, and a harmful one: half an hour on one core), `run` the rows: best single expert; base
and best expert fine-tuned once; fine-tuned on top of the uniform average, the sum and the greedy
soup; the default search; the paper's algorithm with 12 particles and 10 iterations; LoraHub and
data merge by `compare`, which has no harmonic mean of two tasks. Whatever has finished is not run
again: the same command goes on where it stopped. Pass at most 500 chats of an expert to data merge.

    python research/benchmarks/several_experts.py make --data DATA --out runs/several
    python research/benchmarks/several_experts.py train --out runs/several
    python research/benchmarks/several_experts.py run --out runs/several --experts EXPERTS \\
        --tasks intent-banking desk-banking path-then-banking
    python research/benchmarks/several_experts.py table --out runs/several

DATA has tasks/FIELD.json and sft/FIELD.jsonl, EXPERTS a folder per expert.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import harmonic_mean, mean
from typing import Any

import torch
from demo_table import FOUND, TUNED, trained
from several_tasks import TASKS, Items, built_files, expert_chats, read_chats
from torch import Tensor

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import AppendLog, write_json, write_text
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.run.record import Packed, pack, unpack
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.training.examples import TrainingOptions
from pyswarmopt_llm.training.expert import train_expert
from pyswarmopt_llm.training.trainer import fit
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare, outcomes_in
from pyswarmopt_rivals.methods.searching.soups import greedy

CHATS = 500  # of an expert, for data merge
BUDGET = 8000  # dev items of LoraHub
TRAINING = TrainingOptions(batch_tokens=768, heldout=0)

Outcomes = Iterator[tuple[str, Mapping[str, Packed]]]
"""Method, and file name -> 1 or 0 for each test item."""


@dataclass(frozen=True)
class Place:
    """The folder that everything is in, and where the given experts are."""

    out: Path
    experts: Path

    def expert(self, name: str) -> str:
        """Folder of an expert: one that `train` made, else a given one."""
        made = self.out / "experts" / name
        path = made if made.exists() else self.experts / name
        if not path.exists():
            raise UserError(f"{path}: not there; run `train` first, or give its folder")
        return str(path)

    def files(self, task: str) -> tuple[str, ...]:
        """The task files of a task."""
        return tuple(str(self.out / "tasks" / task / f"{file}.json") for file in TASKS[task].files)

    def run(self, method: str, task: str, seed: int) -> str:
        """Run directory of a search."""
        return str(self.out / "runs" / f"{task}-{seed}-{method}")


def make(data: Path, out: Path) -> None:
    """Write tasks and chats."""
    for task in TASKS:
        folder = out / "tasks" / task
        folder.mkdir(parents=True, exist_ok=True)
        for file, splits in built_files(task, data / "tasks").items():
            write_json(folder / f"{file}.json", splits)
    folder = out / "chats"
    made = expert_chats(data / "sft")
    existing = {name for task in TASKS.values() for name in task.experts} - set(made)
    for name, chats in made.items():
        _write_chats(folder / "made" / f"{name}.jsonl", chats)
        _write_chats(folder / "merged" / f"{name}.jsonl", chats[:CHATS])
    for name in sorted(existing):
        chats = read_chats(data / "sft" / f"{name}.jsonl")[:CHATS]
        _write_chats(folder / "merged" / f"{name}.jsonl", chats)


def _write_chats(path: Path, chats: Items) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(json.dumps(chat) + "\n" for chat in chats))


def train(base: str, out: Path) -> None:
    """Train the experts that are not there yet."""
    resolved = resolve_base(base)
    for path in sorted((out / "chats" / "made").iterdir()):
        folder = out / "experts" / path.stem
        if not folder.exists():
            result = train_expert(resolved, read_chats(path), folder, TRAINING, data=path.name)
            print(
                f"{path.stem}: {result.steps} steps, {result.seconds:.0f} s",
                flush=True,
            )


def default_search(config: SearchConfig, place: Place) -> Outcomes:
    """What the search finds before and after training, and its fine-tuned rivals; what it left out
    as clearly behind is trained here.
    """
    result = _searched(config)
    for label, method in {**FOUND, **TUNED}.items():
        missing = label in TUNED and label not in _scored(result)
        yield method, trained(config, result, label) if missing else _scored(result)[label]


def paper(config: SearchConfig, place: Place) -> Outcomes:
    """The paper's algorithm, of the size of real_tasks.py."""
    plain = replace(
        config,
        out=f"{config.out}-paper",
        paper=True,
        draws=1,
        space="factor",
        particles=12,
        max_iter=10,
    )
    yield "model-swarms", _scored(_searched(plain))["best"]


def soups(config: SearchConfig, place: Place) -> Outcomes:
    """Fine-tuned once on top of the uniform average, the sum and the greedy soup."""
    job = prepare(config)
    answer_formats = dict.fromkeys(job.tasks, "likelihood")
    dev = job.evaluator("dev", answer_formats)
    tests = job.utilities("test", answer_formats)
    choices = job.choices(answer_formats)
    vertices = job.pool.space.vertices()
    n = len(vertices)

    def average(chosen: Sequence[int]) -> Tensor:
        return vertices[list(chosen)].mean(0)

    kept = greedy(n, lambda chosen: dev.answer(average(chosen)).value, lambda: n)
    starts = {"uniform": average(range(n)), "sum": vertices.sum(0), "greedy": average(kept)}
    for name, position in starts.items():
        patch = job.pool.space.realise(position)
        lora = fit(job.engine, patch, choices, job.pool.experts[0], config.seed)
        job.engine.load(patch.with_low_rank(lora.low_rank))
        outcomes = {task: pack(test(job.engine).per_item) for task, test in tests.items()}
        yield f"{name} soup, fine-tuned", outcomes


def compared(*methods: str) -> Callable[[SearchConfig, Place], Outcomes]:
    """Methods of `compare`, for one task."""

    def rows(config: SearchConfig, place: Place) -> Outcomes:
        (file,) = config.tasks
        out = place.out / "compare" / Path(file).stem
        merged = place.out / "chats" / "merged"
        names = [Path(expert).name for expert in config.experts]
        compare(
            CompareConfig(
                config.base,
                config.experts,
                config.tasks,
                str(out),
                methods=methods,
                seeds=config.seed + 1,
                budget_items=BUDGET,
                data=tuple((name, str(merged / f"{name}.jsonl")) for name in names),
                scoring="likelihood",
                dtype=config.dtype,
                threads=config.threads,
            )
        )
        for row in outcomes_in(out):
            if row["method"] in methods and row["seed"] == config.seed:
                yield row["method"], {row["task"]: row["test"]}

    return rows


# Name -> its rows; what costs least comes first.
ROWS: dict[str, Callable[[SearchConfig, Place], Outcomes]] = {
    "default": default_search,
    "soups": soups,
    "lorahub": compared("lorahub"),
    "data-merge": compared("data-merge"),
    "paper": paper,
}
ONE_TASK = ("lorahub", "data-merge")


def _searched(config: SearchConfig) -> Mapping[str, Any]:
    """The result of a finished or new search."""
    run = Path(config.out)
    return (resume(run) if (run / "run.json").exists() else search(config)).result


def _scored(result: Mapping[str, Any]) -> dict[str, dict[str, Packed]]:
    """Label -> outcomes on test, of the models that have any."""
    return {
        name: {task: found["items"] for task, found in model["test"]["tasks"].items()}
        for name, model in result["models"].items()
        if model.get("test")
    }


def run(args: argparse.Namespace) -> None:
    """Run the rows that are missing, one seed after the other."""
    place = Place(args.out, args.experts)
    for seed in args.seeds:
        for task in args.tasks:
            config = SearchConfig(
                base=args.base,
                experts=tuple(place.expert(name) for name in TASKS[task].experts),
                tasks=place.files(task),
                out=place.run("default", task, seed),
                scoring="likelihood",
                dtype=args.dtype,
                threads=args.threads,
                seed=seed,
            )
            add_rows(task, config, place, args.rows)


def add_rows(task: str, config: SearchConfig, place: Place, names: Sequence[str]) -> None:
    """Run the rows of a task and the configuration's seed that are not in the outcomes yet."""
    log = AppendLog(place.out / "outcomes.jsonl")
    done = {(row["task"], row["rows"], row["seed"]) for row in log.read(repair=True)}
    for name in names:
        several_files = len(config.tasks) > 1
        if (task, name, config.seed) in done or (name in ONE_TASK and several_files):
            continue
        outcomes = dict(ROWS[name](config, place))
        log.append({"task": task, "rows": name, "seed": config.seed, "outcomes": outcomes})
        scores = (f"{method} {_score(values):.3f}" for method, values in outcomes.items())
        print(task, config.seed, *scores, flush=True)


def _score(outcomes: Mapping[str, Packed]) -> float:
    """Harmonic mean of the files' accuracies."""
    return harmonic_mean([mean(unpack(values)) for values in outcomes.values()])


def table(out: Path) -> str:
    """Markdown: a row per method, a column per task, means over seeds."""
    scores: dict[str, dict[str, list[float]]] = {}
    for row in AppendLog(out / "outcomes.jsonl").read():
        for method, outcomes in row["outcomes"].items():
            by_task = scores.setdefault(method, {})
            by_task.setdefault(row["task"], []).append(_score(outcomes))
    lines = [f"| test | {' | '.join(TASKS)} |", "|---" * (len(TASKS) + 1) + "|"]
    for method, by_task in scores.items():
        cells = [f"{mean(by_task[task]):.3f}" if task in by_task else "" for task in TASKS]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "train", "run", "table"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="make: folder with tasks and sft")
    parser.add_argument("--experts", type=Path, help="run: folder with a folder per expert")
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "make":
        make(args.data, args.out)
    elif args.what == "train":
        train(args.base, args.out)
    else:
        if args.what == "run":
            run(args)
        print(table(args.out))


if __name__ == "__main__":
    main()
