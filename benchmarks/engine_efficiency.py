#!/usr/bin/env python3
"""How much of a search is arithmetic that has to be done: one run, all figures interleaved.

Prints, for each scoring and size: tokens per second of bare forward passes with resident weights
over the same batches; the time of a search iteration (realise, merge, score, for every particle)
and its ratio to the bare passes; what realising and merging take; and, for likelihood, what the
options cost: all options against one option per item, and against repeating the question for each
option.

    python benchmarks/engine_efficiency.py --experts EXPERTS --task EVAL/hellaswag.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item, load_task

HERE = Path(__file__).resolve().parent.parent / "examples"


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
    parser.add_argument("--space", default="factor")
    parser.add_argument(
        "--sizes", nargs="+", default=["6x20", "2x200"], help="PARTICLESxITEMS, one iteration each"
    )
    parser.add_argument("--scorings", nargs="+", default=["likelihood", "letter"])
    parser.add_argument(
        "--rounds", type=int, default=3, help="each figure is the fastest of so many rounds"
    )
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=None)
    return parser.parse_args()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.inference_mode()
def bare_passes(engine: TransformersEngine, asked: Accuracy) -> Callable[[], None]:
    """The model's forward passes over the plan's batches and nothing else: inputs made, results
    thrown away.
    """
    plan = engine._planned(asked_pairs(asked), engine.batch_tokens)
    prefix = torch.tensor([plan.prefix], device=engine.model.device)
    cache = engine.passes.prefix(plan.prefix)
    inputs = [engine.passes.inputs(batch, len(plan.prefix)) for batch in plan.batches]

    @torch.inference_mode()
    def work() -> None:
        if plan.prefix:
            engine.model.base_model(input_ids=prefix, use_cache=True)
        for heads, batch_inputs in inputs:
            with engine.passes.vocabulary_only_at(heads):
                engine.model(**batch_inputs, past_key_values=cache, use_cache=cache is not None)

    return work


def products(engine: TransformersEngine) -> Callable[[], None]:
    """The matrix products of the linear layers for a batch, one after the other, without anything
    between them.
    """
    layers = [one for one in engine.model.base_model.modules() if isinstance(one, torch.nn.Linear)]
    inputs = {
        n: torch.randn(engine.batch_tokens, n, dtype=engine.model.dtype, device=engine.model.device)
        for n in {layer.in_features for layer in layers}
    }

    @torch.inference_mode()
    def work() -> None:
        for layer in layers:
            torch.nn.functional.linear(inputs[layer.in_features], layer.weight)

    return work


def asked_pairs(asked: Accuracy) -> list[tuple[str, str]]:
    """Context and continuation of every option."""
    return [pair for row in asked.choices() for pair in row.pairs]


def one_option(item: Item) -> Item:
    """The item with its right option only: what an item costs without the others."""
    return replace(item, choices={item.answer: (item.choices or {})[item.answer]})


def main() -> None:
    args = parse_args()
    paths = [str(p) for p in sorted(args.experts.iterdir()) if p.is_dir()]
    base = resolve_base(args.base)
    engine = load_engine(base, args.dtype, args.device, args.threads)
    start = time.perf_counter()
    infos = inspect_experts(paths, base).experts
    space = build_space(args.space, [load_adapter(info) for info in infos])
    print(f"{len(paths)} adapters checked and read in {time.perf_counter() - start:.3f} s")
    dtype = str(engine.model.dtype).removeprefix("torch.")
    print(
        f"{dtype} on {engine.model.device}, {torch.get_num_threads()} threads, "
        f"{engine.batch_tokens} tokens a batch"
    )
    items = load_task(args.task, allow_overlap=True).dev
    for size in args.sizes:
        n_particles, n_items = (int(part) for part in size.split("x"))
        for scoring in args.scorings:
            report(engine, space, items[:n_items], scoring, n_particles, args.rounds)


def report(
    engine, space, items, answer_format: AnswerFormat, n_particles: int, rounds: int
) -> None:  # type: ignore[no-untyped-def]
    asked = Accuracy(items, answer_format, engine.chat)
    n = len(space.expert_names)
    generator = torch.Generator().manual_seed(0)
    particles = torch.softmax(
        torch.randn(n_particles, n, generator=generator, dtype=torch.float64), 1
    )
    bare = bare_passes(engine, asked)

    def iteration() -> None:
        for x in particles:
            engine.load(space.realise(x))
            asked(engine)

    def merging() -> None:
        for x in particles:
            engine.load(space.realise(x))

    def forwards() -> None:
        for _ in particles:
            bare()

    works: dict[str, Callable[[], object]] = {
        "bare": forwards,
        "iteration": iteration,
        "merging": merging,
    }
    works["products"] = products(engine)
    if answer_format == "likelihood":
        single = Accuracy([one_option(item) for item in items], answer_format, engine.chat)
        repeated = asked_pairs(asked)
        works["one option per item"] = lambda: single(engine)
        works["all options"] = lambda: asked(engine)
        works["question repeated per option"] = lambda: batched_repeats(engine, repeated)
    # the first round also tokenises: not counted
    times = {name: seconds(work) for name, work in works.items()}
    times = {name: min(seconds(work) for _ in range(rounds)) for name, work in works.items()}
    plan = engine._planned(asked_pairs(asked), engine.batch_tokens)
    tokens = (len(plan.prefix) + sum(batch.n_tokens for batch in plan.batches)) * n_particles
    print(
        f"\n{answer_format}, {n_particles} x {len(items)} items, "
        f"{tokens / n_particles / len(items):.1f} tokens an item"
    )
    print(f"  bare forward passes   {times['bare']:8.3f} s  {tokens / times['bare']:8.0f} tokens/s")
    print(
        f"  search iteration      {times['iteration']:8.3f} s  {tokens / times['iteration']:8.0f} "
        "tokens/s"
    )
    possible = engine.batch_tokens / times["products"]
    print(f"  products alone        {'':8}    {possible:8.0f} tokens/s")
    print(f"  bare / products       {tokens / times['bare'] / possible:8.1%} of their speed")
    print(f"  iteration / bare      {times['iteration'] / times['bare']:8.3f}")
    print(f"  realise and merge     {times['merging'] / times['iteration']:8.1%} of the iteration")
    if answer_format == "likelihood":
        print(f"  all options / one     {times['all options'] / times['one option per item']:8.3f}")
        print(
            "  repeated / all        "
            f"{times['question repeated per option'] / times['all options']:8.3f}"
        )
    engine.load(Patch())


def batched_repeats(engine: TransformersEngine, pairs: list[tuple[str, str]]) -> None:
    """Score every (question, option) as a row of its own, in padded batches, as it is done without
    a tree.
    """
    tokenizer, model = engine.tokenizer, engine.model
    rows = [
        tokenizer(context + option, add_special_tokens=False)["input_ids"]
        for context, option in pairs
    ]
    heads = [len(tokenizer(option, add_special_tokens=False)["input_ids"]) for _, option in pairs]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
    while order:
        width = len(rows[order[0]])
        now, order = (
            order[: max(1, engine.batch_tokens // width)],
            order[max(1, engine.batch_tokens // width) :],
        )
        ids = torch.tensor(
            [rows[i] + [tokenizer.pad_token_id] * (width - len(rows[i])) for i in now]
        )
        mask = torch.tensor([[1] * len(rows[i]) + [0] * (width - len(rows[i])) for i in now])
        at = [
            r * width + len(rows[i]) - 1 - k
            for r, i in enumerate(now)
            for k in range(1, heads[i] + 1)
        ]
        with torch.inference_mode(), engine.passes.vocabulary_only_at(torch.tensor(at)):
            model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float().logsumexp(-1)


if __name__ == "__main__":
    main()
