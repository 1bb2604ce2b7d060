#!/usr/bin/env python3
"""Tokens a second of the engine beside transformers' `generate`, and beside the matrix products
alone, in one run.

Both write greedily on the same prompts, so many tokens each whatever they say, then until the model
stops. With one thread seconds are of CPU time, which a busy machine disturbs less; each figure is
the fastest of so many rounds.

    python research/benchmarks/generation.py --rows 1 4 16 32 64 --threads 1
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from pyswarmopt_llm.engine.generation import write
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.scores.tasks import load_task


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument(
        "--task", default="builtin:mixture", help="its dev questions are the prompts"
    )
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[1, 4, 16, 32, 64], help="prompts in a batch"
    )
    parser.add_argument("--new", type=int, default=48, help="maximum new tokens")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def fastest(work: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest round."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times = []
    for _ in range(rounds):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


class Contest:
    """One batch of prompts, written by either."""

    def __init__(
        self, engine: TransformersEngine, prompts: Sequence[tuple[int, ...]], new: int
    ) -> None:
        self.engine, self.prompts, self.new = engine, prompts, new
        width = max(map(len, prompts))
        self.width = width
        self.ids = torch.tensor(
            [[engine.tokenizer.pad_token_id] * (width - len(ids)) + list(ids) for ids in prompts]
        )
        self.mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts])

    def ours(self, new: int, stops: frozenset[int]) -> list[list[int]]:
        decoder = self.engine.decoder(self.prompts, new)
        return write(decoder, len(self.prompts), stops, new)

    @torch.inference_mode()
    def transformers(self, new: int, least: int) -> list[list[int]]:
        written: Any = self.engine.model.generate(
            input_ids=self.ids,
            attention_mask=self.mask,
            max_new_tokens=new,
            min_new_tokens=least,
            do_sample=False,
            pad_token_id=self.engine.tokenizer.pad_token_id,
        )
        return written[:, self.width :].tolist()

    @torch.inference_mode()
    def products(self) -> None:
        """The matrix products of the linear layers for one token of each row."""
        layers = [
            module for module in self.engine.model.modules() if isinstance(module, torch.nn.Linear)
        ]
        for layer in layers:
            rows = torch.ones(len(self.prompts), layer.in_features, dtype=self.engine.dtype)
            torch.nn.functional.linear(rows, layer.weight)


def report(contest: Contest, rounds: int) -> str:
    """A row of the table."""
    rows, new, stops = len(contest.prompts), contest.new, contest.engine.stops()
    none: frozenset[int] = frozenset()
    ours = fastest(lambda: contest.ours(new, none), rounds)
    theirs = fastest(lambda: contest.transformers(new, new), rounds)
    products = fastest(contest.products, 3 * rounds)
    until_stop = fastest(lambda: contest.ours(new, stops), rounds)
    theirs_until_stop = fastest(lambda: contest.transformers(new, 0), rounds)
    ended = [[i for i in row if i not in stops] for row in contest.transformers(new, 0)]
    same = sum(a == b for a, b in zip(contest.ours(new, stops), ended, strict=True))
    n = rows * new
    figures = [n / ours, n / theirs, rows / products]
    return (
        f"| {rows} | "
        + " | ".join(f"{value:.0f}" for value in figures)
        + f" | {theirs / ours:.2f} | {theirs_until_stop / until_stop:.2f} | {same} |"
    )


def main() -> None:
    args = parse_args()
    engine = load_engine(resolve_base(args.base), args.dtype, "cpu", args.threads)
    questions = [
        engine.chat(item.question) for item in load_task(args.task, allow_overlap=True).dev
    ]
    prompts = [engine.encode_prompt(question) for question in questions]
    dtype = str(engine.dtype).removeprefix("torch.")
    load = os.getloadavg()[0]
    print(
        f"{dtype}, {args.threads} threads, {args.new} new tokens, load of the machine at the "
        f"start {load:.1f}\n"
    )
    print(
        "| rows | engine, tokens/s | `generate` | products alone | engine / `generate` | until "
        "the end | same text |"
    )
    print("|---|---|---|---|---|---|---|")
    Contest(engine, prompts[:1], 2).ours(2, frozenset())
    for rows in args.rows:
        if rows > len(prompts):
            raise SystemExit(f"the task has {len(prompts)} dev questions; --rows {rows} needs more")
        print(report(Contest(engine, prompts[:rows], args.new), args.rounds), flush=True)


if __name__ == "__main__":
    main()
