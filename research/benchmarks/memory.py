#!/usr/bin/env python3
"""Most resident memory of a search against what it has to hold: base + experts' adapters (float32)
+ a batch.

Runs the stages of a search one after another in this process and prints what each adds to the
resident memory. "Batch" is what loading and scoring the bare base take beyond its weights, before
any expert is read (the weights' pages become resident when they are first used). The bound is base
+ 1.2 x experts + batch, above what Python and its libraries take.

    python research/benchmarks/memory.py --experts EXPERTS --task TASKS/banking.json

With `--commands` it runs whole commands instead, each in a process of its own, with two random
adapters on all linear layers in bfloat16: most resident memory above Python and its libraries, beside
the base's size.

    python research/benchmarks/memory.py --commands --items 16
    python research/benchmarks/memory.py --commands --items 16 --wide 8 --width 4096

`--wide 8` takes a base of random weights, 0.5 B of them, with the tokenizer of `--base`, `--width 4096` layers
of the width of a 7B: a batch is small beside it, as it is beside the bases that people use. With
`--device cuda` it is the most memory that torch holds on the GPU, and `--nf4` the same base in four bits.

    python research/benchmarks/memory.py --commands --device cuda --items 200 --wide 32 --width 4096 --nf4
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import Adapter
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.experts.files import write_adapter
from pyswarmopt_llm.mix import build_space
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import load_task

HERE = Path(__file__).resolve().parents[2] / "examples"
MIB = 2**20
Commands = dict[str, list[str]]
ALL_LINEAR = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
# Linux counts what the parent held when it forked, so a small process starts the command.
LAUNCH = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(used.ru_maxrss)
sys.exit(bool(status))
"""
START = """
import atexit, os, sys
from pyswarmopt.cli.start import swarm_llm
@atexit.register
def tell():
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        open(os.environ["GPU_PEAK"], "w").write(str(torch.cuda.max_memory_reserved()))
swarm_llm()
"""


def _bytes(info: Any) -> int:
    """Size of an adapter in float32."""
    return sum(4 * math.prod(tensor.shape) for tensor in info.tensors.values())


def peak() -> float:
    """Most resident memory so far, MiB."""
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / MIB
    )


def wide_base(spec: str, layers: int, width: int, device: str, out: Path) -> str:
    """A random model of wide layers, shaped as Llama's, with the tokenizer of a base; a device draws it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

    path = resolve_base(spec, weights=False).path
    sizes = {
        "hidden_size": width,
        "intermediate_size": width * 11 // 4,
        "num_hidden_layers": layers,
    }
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": width // 32}
    config = LlamaConfig.from_pretrained(path, **sizes, **heads, dtype=torch.bfloat16)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(path).save_pretrained(out)
    return str(out)


def random_adapter(base: Any, model: Any, out: Path, seed: int, rank: int) -> str:
    """A LoRA on all linear layers but the output, small enough to leave the base's answers."""
    draws = torch.Generator().manual_seed(seed)
    output = model.get_output_embeddings()
    factors = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and layer is not output:
            a = torch.randn(rank, layer.in_features, generator=draws) / layer.in_features**0.5
            b = 0.01 * torch.randn(layer.out_features, rank, generator=draws)
            factors[name] = (b.bfloat16(), a.bfloat16())
    write_adapter(out, factors, base_model_name=base.name)
    return str(out)


def peak_of(*command: str, device: str = "cpu") -> tuple[float, float]:
    """Most memory of a command on the device, MiB, and its seconds; it has one thread.

    Raises:
        SystemExit: it failed.
    """
    start = time.perf_counter()
    with tempfile.NamedTemporaryFile("r") as gpu:
        process = subprocess.run(
            [sys.executable, "-c", LAUNCH, *command],
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "GPU_PEAK": gpu.name},
            text=True,
            check=False,
        )
        taken = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{' '.join(command)}: ended with status {process.returncode}")
        if device == "cuda":
            return int(gpu.read() or 0) / MIB, taken
    return float(process.stdout) * (1 if sys.platform == "darwin" else 1024) / MIB, taken


def commands_of(args: argparse.Namespace, spec: str, experts: list[str], out: Path) -> Commands:
    """Name -> a command: search, check, predict and training."""
    machine = ["--dtype", "bfloat16", "--threads", "1"]
    placed = [*machine, "--device", args.device]
    data = ["--task", args.task or "builtin:requests", "--dev", str(args.items)]
    search = ["search", "--experts", *experts, *placed, *data, "--test", "0", "--quiet"]
    search += ["--set", "no-rivals", "--set", "allow-overlap"]
    of_base = [*search, "--base", spec]
    scored = ["--set", "train=off"]
    commands = {
        "search (scoring)": [*of_base, *scored, "--out", f"{out}/scored"],
        "search (scoring, --mix runtime)": [
            *of_base, *scored, "--mix", "runtime", "--out", f"{out}/runtime"
        ],
        "search (training)": [*of_base, "--set", "train=on", "--out", f"{out}/trained"],
        # training alone, of one epoch, on as many items: as a search trains, but for the folds
        "train-expert": [
            "train-expert", "--base", spec, *machine,
            *("--data", "builtin:requests", "--examples", str(args.items)),
            *("--loss", "options", "--epochs", "1", "--rank", str(args.rank)),
            *("--targets", ALL_LINEAR, "--out", f"{out}/expert"),
        ],
        "check": ["check", *experts, "--base", spec, "--threads", "1"],
        "predict": [
            "predict", "--run", f"{out}/scored", str(HERE / "new_requests.csv"),
            "--out", f"{out}/labelled.csv", *machine,
        ],
    }  # fmt: skip
    if args.nf4:
        four = [*search, "--base", f"nf4:{spec}"]
        commands["search in four bits (scoring)"] = [*four, *scored, "--out", f"{out}/scored-nf4"]
        commands["search in four bits (training)"] = [
            *four, "--set", "train=on", "--out", f"{out}/trained-nf4"
        ]  # fmt: skip
    return commands


def measure_commands(args: argparse.Namespace) -> None:
    """The commands, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        spec = args.base
        if args.wide:
            spec = wide_base(args.base, args.wide, args.width, args.device, out / "base")
        base = resolve_base(spec)
        model, _ = load_model(base, torch.bfloat16)
        weights = sum(p.numel() * p.element_size() for p in model.parameters()) / MIB
        experts = [
            random_adapter(base, model, out / name, seed, args.rank)
            for seed, name in enumerate(("a", "b"))
        ]
        del model
        size = sum(map(_bytes, inspect_experts(experts, base).experts)) / MIB
        imports = "import pyswarmopt_llm, transformers.models.llama.modeling_llama"
        libraries, _ = peak_of("-c", imports, device=args.device)
        print(f"base {weights:.0f} MiB, adapters in float32 {size:.0f}, libraries {libraries:.0f}")
        for name, command in commands_of(args, spec, experts, out).items():
            if not any(word in name for word in args.only):
                continue
            most, taken = peak_of("-c", START, *command, device=args.device)
            used = most - libraries
            print(
                f"{name:<31} {used:6.0f} MiB above libraries: {used / weights:.2f} x the base, "
                f"{taken:.0f} s",
                flush=True,
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
    parser.add_argument("--task", help="builtin:mixture; of commands builtin:requests")
    parser.add_argument("--space", default="factor")
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--commands", action="store_true", help="measure commands")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of commands")
    parser.add_argument("--nf4", action="store_true", help="commands in four bits, too")
    parser.add_argument(
        "--wide", type=int, default=0, help="a base of so many random layers of 50 M weights"
    )
    parser.add_argument("--width", type=int, default=2048, help="of a wide layer; 4096: 185 M")
    parser.add_argument("--only", nargs="+", default=[""], help="commands that have such a word")
    parser.add_argument("--rank", type=int, default=16, help="of their adapters")
    args = parser.parse_args()
    if args.commands:
        measure_commands(args)
        return
    torch.set_num_threads(1)
    base = resolve_base(args.base)
    infos = inspect_experts(
        [str(p) for p in sorted(args.experts.iterdir()) if p.is_dir()], base
    ).experts
    task = load_task(args.task or "builtin:mixture", dev=args.items, allow_overlap=True)
    import transformers.models.llama.modeling_llama  # noqa: F401  # what libraries take is not ours to count

    stages = {"Python and libraries": peak()}
    engine = load_engine(base, "auto", "cpu", 1)
    stages["base"] = peak()
    asked = Accuracy(task.dev, "likelihood", engine.chat, task.prompt)
    asked(engine)
    stages["batch"] = peak()
    space = build_space(args.space, [Adapter(info) for info in infos])
    stages["experts"] = peak()
    n = len(infos)
    for k in range(args.candidates):
        x = torch.softmax(torch.arange(n, dtype=torch.float64) * k, 0)
        engine.load(space.realise(x.repeat(space.size // n)))
        asked(engine)
    engine.load(Patch())
    stages["candidates"] = peak()

    weights = sum(p.numel() * p.element_size() for p in engine.model.parameters()) / MIB
    adapters = sum(map(_bytes, infos)) / MIB
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
