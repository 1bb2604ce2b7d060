#!/usr/bin/env python3
"""Most resident memory of a search against what it has to hold: base + experts' adapters (float32)
+ a batch.

Runs the stages of a search one after another in this process and prints what each adds to the
resident memory. "Batch" is what loading and scoring the bare base take beyond its weights, before
any expert is read (the weights' pages become resident when they are first used). The bound is base
+ 1.2 x experts + batch, above what Python and its libraries take.

    python research/benchmarks/memory.py --experts EXPERTS --task TASKS/banking.json
"""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

import torch

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.metrics import Accuracy
from pyswarmopt_llm.models.adapters.adapter import AdapterFile
from pyswarmopt_llm.models.adapters.compatibility import inspect_experts
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.load import load_engine
from pyswarmopt_llm.spaces import build_space
from pyswarmopt_llm.tasks import load_task

HERE = Path(__file__).resolve().parents[2] / "examples"
MIB = 2**20


def peak() -> float:
    """Most resident memory so far, MiB."""
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / MIB
    )


def main() -> None:
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
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--candidates", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = resolve_base(args.base)
    infos = inspect_experts(
        [str(p) for p in sorted(args.experts.iterdir()) if p.is_dir()], base
    ).experts
    task = load_task(args.task, dev=args.items, allow_overlap=True)
    import transformers.models.llama.modeling_llama  # noqa: F401  # what libraries take is not ours to count

    stages = {"Python and libraries": peak()}
    engine = load_engine(base, "auto", "cpu", 1)
    stages["base"] = peak()
    asked = Accuracy(task.dev, "likelihood", engine.chat, task.prompt)
    asked(engine)
    stages["batch"] = peak()
    space = build_space(args.space, [AdapterFile(info) for info in infos])
    stages["experts"] = peak()
    n = len(infos)
    for k in range(args.candidates):
        x = torch.softmax(torch.arange(n, dtype=torch.float64) * k, 0)
        engine.load(space.realise(x.repeat(space.size // n)))
        asked(engine)
    engine.load(Patch())
    stages["candidates"] = peak()

    weights = sum(p.numel() * p.element_size() for p in engine.model.parameters()) / MIB
    adapters = sum(4 * info.parameters for info in infos) / MIB
    before = 0.0
    for stage, total in stages.items():
        print(f"{stage:<22}{total - before:8.0f} MiB more, {total:8.0f} in all")
        before = total
    batch = max(0.0, stages["batch"] - stages["Python and libraries"] - weights)
    bound = weights + 1.2 * adapters + batch
    used = stages["candidates"] - stages["Python and libraries"]
    print(
        f"base weights {weights:.0f}, {n} adapters in float32 {adapters:.0f}, batch {batch:.0f} MiB"
    )
    print(f"used {used:.0f} MiB, bound {bound:.0f} MiB: {used / bound:.2f} of it")


if __name__ == "__main__":
    main()
