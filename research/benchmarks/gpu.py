#!/usr/bin/env python3
"""What a search costs on a GPU, in one call of under ten minutes; prints JSON.

Three parts: scoring all dev items with candidate after candidate (passes and items per second); one
of these passes under torch.profiler (how long the GPU computes, how many kernels are launched and
what launching takes of the time); and `swarm-llm search` with its defaults. A GPU that computes
during a small share of a pass waits for launches.

    python research/benchmarks/gpu.py --experts EXPERTS --task TASKS/banking.json
    # to try the script
    python research/benchmarks/gpu.py --device cpu --items 4 --candidates 2 --particles 4 --max-iter 1
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.config import MAX_ITER, PARTICLES, SearchConfig
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import load_task

HERE = Path(__file__).resolve().parents[2] / "examples"
Json = dict[str, Any]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument(
        "--experts",
        type=Path,
        default=HERE / "experts",
        help="folder with one directory per expert",
    )
    parser.add_argument("--task", default="builtin:mixture")
    parser.add_argument("--items", type=int, default=200, help="dev items")
    parser.add_argument(
        "--candidates", type=int, default=20, help="that are timed one after another"
    )
    parser.add_argument("--batch-tokens", type=int, default=16_384)
    parser.add_argument("--particles", type=int, default=PARTICLES)
    parser.add_argument("--max-iter", type=int, default=MAX_ITER)
    parser.add_argument("--device", default="cuda")
    return parser.parse_args()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Of the clock, until the device has finished."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def passes(
    engine: TransformersEngine, score: Callable[[int], object], candidates: int, items: int
) -> Json:
    """Candidates merged and scored one after another."""
    score(0)  # tokenises, and compiles what a first call does
    taken = seconds(lambda: [score(k) for k in range(candidates)], engine.model.device)
    return {
        "candidates": candidates,
        "seconds": taken,
        "items_per_second": candidates * items / taken,
    }


def launches(engine: TransformersEngine, score: Callable[[int], object]) -> Json:
    """One pass under the profiler, whose own cost makes the shares of its seconds approximate."""
    device = engine.model.device
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        taken = seconds(lambda: score(1), device)
    events = profiler.key_averages()
    launched = [event for event in events if "launchkernel" in event.key.lower()]
    return {
        "seconds": taken,
        "kernels": sum(event.count for event in launched),
        "share_of_launching": sum(event.self_cpu_time_total for event in launched) / 1e6 / taken,
        "share_of_computing": sum(event.self_device_time_total for event in events) / 1e6 / taken,
        "operators": sum(event.count for event in events if event.key.startswith("aten::")),
    }


def default_search(args: argparse.Namespace, experts: list[str]) -> Json:
    """The defaults but for the size of a batch, on a fresh run directory."""
    with tempfile.TemporaryDirectory() as folder:
        config = SearchConfig(
            args.base, tuple(experts), (args.task,), f"{folder}/run",
            dev=args.items, test=0, allow_overlap=True, device=args.device,
            batch_tokens=args.batch_tokens, particles=args.particles, max_iter=args.max_iter,
        )  # fmt: skip
        start = time.perf_counter()
        result = search(config).result
        kept = (
            "evaluations",
            "item_evaluations",
            "seconds_scoring",
            "best_dev",
            "stop",
        )
        return {"seconds": time.perf_counter() - start, **{key: result[key] for key in kept}}


def engine_costs(args: argparse.Namespace, experts: list[str]) -> Json:
    """What scoring costs: candidates at random between the base and the sum of the experts, in the
    space delta.
    """
    base = resolve_base(args.base)
    engine = load_engine(base, "auto", args.device, None, args.batch_tokens)
    adapters = [load_adapter(info) for info in inspect_experts(experts, base).experts]
    space = build_space("delta", adapters)
    items = load_task(args.task, allow_overlap=True).dev[: args.items]
    accuracy = Accuracy(items, "likelihood", engine.chat)
    draws = torch.Generator().manual_seed(0)
    points = torch.rand(
        max(2, args.candidates), space.size, generator=draws, dtype=torch.float64
    ) / len(experts)

    def score(k: int) -> None:
        engine.load(space.realise(points[k]))
        accuracy(engine)

    device = engine.model.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "dtype": str(engine.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "experts": len(experts),
        "items": len(items),
        "passes": passes(engine, score, args.candidates, len(items)),
        "profile": launches(engine, score),
    }


def main() -> None:
    args = parse_args()
    experts = [str(path) for path in sorted(args.experts.iterdir()) if path.is_dir()]
    found = engine_costs(args, experts)
    print(json.dumps({**found, "search": default_search(args, experts)}, indent=1))


if __name__ == "__main__":
    main()
