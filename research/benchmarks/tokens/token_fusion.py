"""Token mixtures measured: every fusion method, and a token search against its best member and a
vote, 3 seeds.

    python research/benchmarks/tokens/token_fusion.py --models models --adapters examples/experts \\
        --out runs/token-fusion
    python research/benchmarks/tokens/token_fusion.py --out runs/token-fusion --table

Two pools of three members (one architecture: adapters of SmolLM2; three: GPT-2, Gemma 3 and an
adapter of SmolLM2) on two tasks that both pools know: generated ones, or, with `--tasks`, `--one`
and `--three`, others. Models that `--models` lacks are trained on generated skills first
(`train_small_models.py`).

* A search for each pool, task and seed: each seed has other dev items, dev alone chooses the
  mixture, and all are asked the same test items.
* Each fusion for each pool and task: all members weigh alike and write short answers; the share
  that is right, tokens per second of CPU time, and, where all have one tokenizer, the share of
  answers equal to the exact mixture's.

Every line of results.jsonl is one finished measurement, so a stopped benchmark goes on where it
was. Expect three quarters of an hour on an idle core, half of it training.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pyswarmopt as pso
from pyswarmopt_groups import voting
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item, Task, load_task
from pyswarmopt_llm.tokens.engine import FUSIONS, MixtureEngine
from pyswarmopt_llm.tokens.members import find_members, load_members
from pyswarmopt_llm.tokens.mixing import mixing_weights

TASKS = ("builtin:kinship:1", "builtin:sentiment:1")
ONE, THREE = ("kinship", "sentiment", "tables"), ("gpt2", "gemma3", "tables")
TRAINED = ("gpt2", "gemma3")
MAX_NEW_TOKENS = 8
Row = dict[str, Any]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models",
        type=Path,
        default=Path("models"),
        help="gpt2 and gemma3, or where to train them",
    )
    parser.add_argument("--adapters", type=Path, default=Path("examples/experts"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument(
        "--one", nargs="+", default=ONE, metavar="ADAPTER", help="members of one architecture"
    )
    parser.add_argument(
        "--three", nargs="+", default=THREE, metavar="NAME", help="members of three"
    )
    parser.add_argument("--dev", type=int, default=60, help="items of each seed")
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--items", type=int, default=40, help="answers that each fusion writes")
    parser.add_argument(
        "--table", action="store_true", help="only print the tables of what has finished"
    )
    return parser.parse_args()


# A token search against its best member and a vote


def one_search(engine: MixtureEngine, dev: Accuracy, seed: int) -> torch.Tensor:
    """The weights that a swarm of the default setting finds on dev."""
    n = len(engine.members)
    recipe = pso.recipes.model_swarms(patience=10, max_iter=50)
    start = torch.eye(n, dtype=torch.float64)
    swarm = pso.Swarm(positions=start, population=20, recipe=recipe, maximize=True, seed=seed)
    while not swarm.stop():
        positions = swarm.ask()
        values = []
        for position in positions:
            engine.load(Patch(mixture=tuple(mixing_weights(position).tolist())))
            values.append(dev(engine).value)
        swarm.tell(positions, values)
    return mixing_weights(swarm.best.x)


def answers_of(engine: MixtureEngine, weights: Sequence[float], asked: Accuracy) -> list[str]:
    engine.load(Patch(mixture=tuple(weights)))
    return list(asked(engine).answers)


def right(items: Sequence[Item], answers: Sequence[str | None]) -> list[float]:
    return [float(item.answer == answer) for item, answer in zip(items, answers, strict=True)]


def measure_search(engine: MixtureEngine, task: Task, seed: int, size: int) -> Row:
    """Test values of the swarm's mixture, of the best member on this dev set, of the vote and of
    equal weights.
    """
    n = len(engine.members)
    one_hot = np.eye(n).tolist()
    test = Accuracy(task.test, "likelihood", engine.chat, task.prompt)
    members = [answers_of(engine, weights, test) for weights in one_hot]
    items = task.dev[seed * size : (seed + 1) * size]
    dev = Accuracy(items, "likelihood", engine.chat, task.prompt)
    scores = [sum(right(items, answers_of(engine, weights, dev))) for weights in one_hot]
    best = scores.index(max(scores))
    start = time.process_time()
    weights = one_search(engine, dev, seed).tolist()
    seconds = time.process_time() - start
    vote = [voting.majority(list(votes)).answer for votes in zip(*members, strict=True)]
    return {
        "weights": dict(zip(engine.members, weights, strict=True)),
        "seconds": round(seconds, 1),
        "best member": right(task.test, members[best]),
        "majority vote": right(task.test, vote),
        "uniform mixture": right(task.test, answers_of(engine, [1 / n] * n, test)),
        "token swarm": right(task.test, answers_of(engine, weights, test)),
    }


# Fusions


def measure_fusion(engine: MixtureEngine, task: Task, name: str, items: int) -> Row:
    """Short answers by one fusion with equal weights, several at once where the fusion can."""
    try:
        mixture = MixtureEngine(engine.members, name)
    except UserError as error:
        return {"refused": str(error)}
    questions = task.test[:items]
    users = [f"Question: {item.question}" for item in questions]
    tokenizer = next(iter(engine.members.values())).tokenizer
    start = time.process_time()
    texts = [text.strip() for text in mixture.generate(users, MAX_NEW_TOKENS)]
    seconds = time.process_time() - start
    tokens = sum(len(tokenizer(text)["input_ids"]) + 1 for text in texts)
    correct = [
        float(text.lower() == item.answer_text.lower())
        for text, item in zip(texts, questions, strict=True)
    ]
    return {"right": correct, "tokens_per_second": round(tokens / seconds, 1), "answers": texts}


# All of it


def measurements(args: argparse.Namespace) -> Iterator[tuple[Row, Callable[[], Row]]]:
    """What each measurement is called, and how it is made."""
    tasks = {
        spec: load_task(spec, dev=args.dev * args.seeds, test=args.test) for spec in args.tasks
    }
    for pool, names in {"one": args.one, "three": args.three}.items():
        engine = cache(
            lambda names=names: MixtureEngine(load_members(find_members(places(args, names))))
        )
        for spec, task in tasks.items():
            for seed in range(args.seeds):
                key = {"kind": "search", "pool": pool, "task": spec, "seed": seed}
                yield key, lambda e=engine, t=task, s=seed: measure_search(e(), t, s, args.dev)
            for name in FUSIONS:
                key = {"kind": "fusion", "pool": pool, "task": spec, "fusion": name}
                yield key, lambda e=engine, t=task, n=name: measure_fusion(e(), t, n, args.items)


def places(args: argparse.Namespace, names: Sequence[str]) -> list[str]:
    return [str((args.models if name in TRAINED else args.adapters) / name) for name in names]


def train(models: Path) -> None:
    script = Path(__file__).with_name("train_small_models.py")
    subprocess.run([sys.executable, str(script), "--out", str(models)], check=True)


def known_rows(file: Path) -> list[Row]:
    """What has been measured; a line that was cut off when the benchmark was stopped is taken
    away.
    """
    text = file.read_text() if file.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def run_all(args: argparse.Namespace) -> None:
    file = args.out / "results.jsonl"
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(args, name) for name in ("dev", "test", "items")}
    settings |= {"one": list(args.one), "three": list(args.three)}
    if any(row["settings"] != settings for row in known_rows(file)):
        sys.exit(
            f"{file}: holds other --dev, --test, --items, --one or --three; choose another --out"
        )
    if not all((args.models / name / "config.json").exists() for name in TRAINED):
        train(args.models)
    done = [row["key"] for row in known_rows(file)]
    for key, measure in measurements(args):
        if key not in done:
            row = {"key": key, "settings": settings, **measure()}
            with file.open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(*key.values(), flush=True)


# Tables


def score(values: Sequence[float]) -> str:
    low, high = interval(values)
    return f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}]"


def print_tables(rows: Sequence[Row]) -> None:
    labels = ("best member", "majority vote", "uniform mixture", "token swarm")
    print(
        "| members | task | seed | "
        + " | ".join(labels)
        + " |\n|---|---|---|"
        + "---|" * len(labels)
    )
    for row in (row for row in rows if row["key"]["kind"] == "search"):
        key = row["key"]
        print(
            f"| {key['pool']} | {key['task']} | {key['seed']} | "
            + " | ".join(score(row[k]) for k in labels)
            + " |"
        )
    print(
        "\n| members | task | fusion | right | tokens/s | as the exact mixture "
        "|\n|---|---|---|---|---|---|"
    )
    exact = {}
    for row in (row for row in rows if row["key"]["kind"] == "fusion" and "right" in row):
        pool, task, name = (row["key"][k] for k in ("pool", "task", "fusion"))
        if name == "exact":
            exact[pool, task] = row["answers"]
        reference = exact.get((pool, task))
        pairs = [] if reference is None else list(zip(row["answers"], reference, strict=True))
        same = f"{np.mean([a == b for a, b in pairs]):.2f}" if pairs else "-"
        print(
            f"| {pool} | {task} | {name} | {score(row['right'])} | {row['tokens_per_second']} | "
            f"{same} |"
        )


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    if not args.table:
        run_all(args)
    print_tables(known_rows(args.out / "results.jsonl"))


if __name__ == "__main__":
    main()
