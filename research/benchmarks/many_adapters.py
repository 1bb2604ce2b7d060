"""Screening of many adapters: what it costs, and how often it loses the best one.

    python research/benchmarks/many_adapters.py simulate --outcomes research/evidence/many-adapters.jsonl
    python research/benchmarks/many_adapters.py search --base BASE --experts FOLDER --task TASK \\
        --pool runs/pool --counts 50 200 --outcomes research/evidence/many-adapters.jsonl

`simulate` draws adapters of known accuracy, whose answers share the examples' difficulty, and screens
them by the rule of `pyswarmopt_llm.searching.halving` with McNemar's test: examples scored, adapters left,
how often the best one is lost and how much accuracy that costs. `search` makes a pool of noisy copies of
adapters and searches it, screened and not, without training. A line holds one outcome; what is there is
not done again.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import time
from collections.abc import Mapping
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import binom, norm

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.searching.halving import leaving, rounds

COUNTS = (50, 64, 200)
ITEMS = 200
REPEATS = 200
PROPOSED = 9  # candidates beside the adapters: base, average, sum and six proposals
NOISE = (0.0, 0.5, 1.0, 2.0)  # of a copy, in units of its factors' standard deviation


def accuracies(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Accuracies of adapters: one far ahead, all alike, widely spread, or ten families."""
    if kind == "one ahead":
        drawn = [[0.8], rng.uniform(0.6, 0.75, 9), rng.uniform(0.3, 0.5, count - 10)]
        return np.concatenate(drawn)
    if kind == "alike":
        return rng.normal(0.5, 0.02, count)
    if kind == "spread":
        return rng.uniform(0.3, 0.7, count)
    families = np.tile(rng.uniform(0.3, 0.7, 10), -(-count // 10))[:count]
    return families + rng.normal(0, 0.01, count)


KINDS = ("one ahead", "spread", "ten families", "alike")


def answers(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Right and wrong answers, (adapters, items), with an item's difficulty in common."""
    ability = norm.ppf(np.clip(truth, 0.02, 0.98)) * np.sqrt(2)
    noise = rng.normal(size=(len(truth), ITEMS))
    right: np.ndarray = ability[:, None] + rng.normal(size=ITEMS) + noise > 0
    return right


def screened(right: np.ndarray) -> tuple[list[int], int]:
    """The adapters left, and the examples scored."""
    left = list(range(len(right)))
    scored = 0
    for turn, (start, end) in enumerate(pairwise([0, *rounds(ITEMS)])):
        scored += len(left) * (end - start)
        if end == ITEMS:
            break
        asked = right[:, :end]
        values = {number: float(asked[number].mean()) for number in left}
        best = asked[max(left, key=values.__getitem__)]

        def p_value(other: int, asked: np.ndarray = asked, best: np.ndarray = best) -> float:
            fewer = int((~best & asked[other]).sum())
            more = int((best & ~asked[other]).sum())
            return float(binom.cdf(fewer, more + fewer, 0.5))

        gone = leaving(values, p_value, turn)
        left = [number for number in left if number not in gone]
    return left, scored


def simulate(options: argparse.Namespace) -> None:
    """Screen drawn adapters."""
    done = {(row["kind"], row["count"]) for row in read(options.outcomes) if row["what"] == "drawn"}
    for kind, count in product(KINDS, COUNTS):
        if (kind, count) in done:
            continue
        rng = np.random.default_rng([COUNTS.index(count), KINDS.index(kind)])
        rows = []
        for _ in range(REPEATS):
            truth = accuracies(kind, count, rng)
            left, scored = screened(answers(truth, rng))
            lost = truth.max() - truth[left].max()
            rows.append([scored, len(left), float(lost > 0), lost])
        scored, left_over, lost, loss = np.mean(rows, axis=0)
        line = {
            "what": "drawn",
            "kind": kind,
            "count": count,
            "scored": round(scored + PROPOSED * ITEMS),
            "left": round(left_over, 1),
            "lost": round(lost, 3),
            "loss": round(loss, 5),
            "worst": round(float(np.max(rows, axis=0)[3]), 4),
        }
        append(options.outcomes, line)


def make_pool(experts: Path, pool: Path, count: int) -> list[str]:
    """Copies of adapters in turn, with more and more noise."""
    sources = sorted(path for path in experts.iterdir() if path.is_dir())
    made = []
    for number in range(count):
        source = sources[number % len(sources)]
        noise = NOISE[number // len(sources) % len(NOISE)]
        folder = pool / f"{number:03d}-{source.name}"
        made.append(str(folder))
        if folder.exists():
            continue
        shutil.copytree(source, folder)
        rng = torch.Generator().manual_seed(number)
        file = folder / "adapter_model.safetensors"
        noisy = {}
        for name, factor in load_file(file).items():
            drawn = torch.randn(factor.shape, generator=rng) * float(factor.float().std())
            noisy[name] = (factor + noise * drawn).to(factor.dtype).contiguous()
        save_file(noisy, file, {"format": "pt"})
    return made


def run_searches(options: argparse.Namespace) -> None:
    """Search the pool, screened and not."""
    rows = read(options.outcomes)
    done = {(r["task"], r["count"], r["screen"]) for r in rows if r["what"] == "searched"}
    for count, screen in product(options.counts, options.screen):
        if (options.task.stem, count, screen) in done:
            continue
        config = SearchConfig(
            base=options.base,
            experts=tuple(make_pool(options.experts, options.pool, count)),
            tasks=(str(options.task),),
            out=str(options.pool / "run"),
            dev=options.dev,
            test=options.test,
            screen=screen,
            train="off",
            no_rivals=True,
            scoring=options.scoring,
            device="cpu",
            threads=1,
        )
        append(options.outcomes, outcome(config, options.task.stem))


def outcome(config: SearchConfig, task: str) -> dict[str, Any]:
    """What a search found and cost."""
    shutil.rmtree(config.out, ignore_errors=True)
    start = time.perf_counter()
    began: list[float] = []

    def heard(event: Event) -> None:
        if event.kind == "start":
            began.append(time.perf_counter() - start)

    result: Mapping[str, Any] = search(config, heard).result
    return {
        "what": "searched",
        "task": task,
        "count": len(config.experts),
        "dev": config.dev,
        "screen": config.screen,
        "scored": result["item_evaluations"],
        "left": len(result["experts"]),
        "best_single": round(result["best_single_test"], 4),
        "best": round(result["best_test"], 4),
        "start_seconds": round(began[0], 1),
        "seconds": round(time.perf_counter() - start, 1),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "result_kilobytes": (Path(config.out) / "result.json").stat().st_size // 1024,
    }


def read(path: Path) -> list[dict[str, Any]]:
    """The stored lines; none without the file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Store a line, and show it."""
    text = json.dumps(line)
    with path.open("a", encoding="utf-8") as out:
        out.write(f"{text}\n")
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("simulate", "search"))
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--base")
    parser.add_argument("--experts", type=Path)
    parser.add_argument("--task", type=Path)
    parser.add_argument("--pool", type=Path, help="folder for the copies")
    parser.add_argument("--counts", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--dev", type=int, default=ITEMS)
    parser.add_argument("--screen", nargs="+", default=["on", "off"])
    parser.add_argument("--scoring", default="likelihood")
    parser.add_argument("--test", type=int, default=500)
    options = parser.parse_args()
    {"simulate": simulate, "search": run_searches}[options.what](options)


if __name__ == "__main__":
    main()
