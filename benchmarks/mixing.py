#!/usr/bin/env python3
"""The time of a candidate: merged into the weights, and added at run time.

Prints milliseconds per candidate through some layers of the base, the least of interleaved rounds
(of processor time on a CPU, which other processes lengthen little): `merged` and `runtime` put the
candidate in and pass a batch; `nf4` is the same on four-bit weights. With `--replies`, seconds per
candidate of written replies through the whole base.

    python benchmarks/mixing.py --ranks 16 64 256
    python benchmarks/mixing.py --replies 12x32 --ranks 32 --base nf4:embedded:smollm2-135m
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.hardware import pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.added_outputs import AddedOutputs
from pyswarmopt_llm.engine.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.scores.tasks import load_task

Run = Callable[[], object]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--layers", type=int, default=2, help="of the base; the rest is left out")
    parser.add_argument(
        "--ranks", type=int, nargs="+", default=[16, 64, 256], help="sums over the experts"
    )
    parser.add_argument(
        "--batches", nargs="+", default=["2x16", "4x64"], help="ROWSxTOKENS of one candidate"
    )
    parser.add_argument("--replies", help="PROMPTSxTOKENS of one candidate")
    parser.add_argument("--candidates", type=int, default=6, help="that write replies")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-nf4", action="store_true")
    return parser.parse_args()


def loaded(spec: str, n_layers: int, device: torch.device) -> Any:
    model, _ = load_model(resolve_base(spec), pick_dtype("auto", device), device)
    model.model.layers = model.model.layers[:n_layers]
    return model


def random_change(model: Any, rank: int) -> dict[str, LowRank]:
    """Of all linear layers of the blocks."""
    changes = {}
    for name, layer in model.named_modules():
        if ".layers." in name and hasattr(layer, "out_features"):
            b, a = torch.randn(layer.out_features, rank), torch.randn(rank, layer.in_features)
            changes[f"{name}.weight"] = LowRank(b=b / 100, a=a / 100)
    return changes


@torch.inference_mode()
def passed(model: Any, ids: Tensor) -> object:
    return model.model(input_ids=ids)


def candidate(model: Any, mixing: Mixing, changes: Mapping[str, LowRank], ids: Tensor) -> object:
    """Put in a new candidate, which shares its A with the former one, and pass its batch."""
    mixing.load(
        Patch({name: LowRank(b=change.b * 1.01, a=change.a) for name, change in changes.items()})
    )
    return passed(model, ids)


def put_in(
    kind: Callable[[Any], Mixing], model: Any, changes: Mapping[str, LowRank], ids: Tensor
) -> Run:
    """`candidate` on a copy of the model."""
    copied = copy.deepcopy(model)
    return partial(candidate, copied, kind(copied), changes, ids)


def milliseconds(run: Run) -> float:
    clock = time.process_time
    if torch.cuda.is_available():
        clock = time.perf_counter
    start = clock()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (clock() - start)


def replies(args: argparse.Namespace) -> None:
    """Print seconds per candidate of written replies."""
    engine = load_engine(resolve_base(args.base), "auto", args.device, args.threads, mix="runtime")
    n_prompts, new = map(int, args.replies.split("x"))
    questions = load_task("builtin:mixture", allow_overlap=True).dev[:n_prompts]
    prompts = [engine.chat(item.question) for item in questions]
    changes = random_change(engine.model, args.ranks[0])
    patches = []
    for k in range(args.candidates):
        of_candidate = {
            name: LowRank(b=change.b * k / 100, a=change.a) for name, change in changes.items()
        }
        patches.append(Patch(of_candidate))

    def write() -> None:
        for patch in patches:
            engine.load(patch)
            engine.generate(prompts, new)

    per_candidate = milliseconds(write) / args.candidates / 1000
    print(
        f"{args.base}, {engine.dtype}, {args.threads} threads, {n_prompts} prompts of {new} new tokens, "
        f"rank sum {args.ranks[0]}, {args.candidates} candidates: {per_candidate:.2f} s per candidate"
    )


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.replies:
        replies(args)
        return
    device = pick_device(args.device)
    model = loaded(args.base, args.layers, device)
    packed = None if args.no_nf4 else loaded(f"nf4:{args.base}", args.layers, device)
    print(
        f"{args.layers} layers of {args.base}, {model.dtype}, {device}, {args.threads} threads; "
        "ms per candidate"
    )
    for batch in args.batches:
        n_rows, length = map(int, batch.split("x"))
        ids = torch.randint(100, 1000, (n_rows, length), device=device)
        for rank in args.ranks:
            changes = random_change(model, rank)
            runs: dict[str, Run] = {
                "base alone": partial(passed, model, ids),
                "merged": put_in(PatchedWeights, model, changes, ids),
                "runtime": put_in(AddedOutputs, model, changes, ids),
            }
            if packed is not None:
                runs["nf4"] = put_in(AddedOutputs, packed, changes, ids)
            best = dict.fromkeys(runs, float("inf"))
            for _ in range(args.rounds):
                for name, run in runs.items():
                    best[name] = min(best[name], milliseconds(run))
            shown = [f"{name} {best[name]:.0f}" for name in runs]
            print(f"{batch} tokens, rank sum {rank}: {', '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
