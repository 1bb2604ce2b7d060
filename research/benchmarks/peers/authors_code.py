#!/usr/bin/env python3
"""The released code of the Model Swarms paper and ours, side by side: what an iteration of each
takes on this machine.

Takes a checkout of github.com/BunsenFeng/model_swarm, which is copied into a work folder outside
any repository and run there unmodified: what it imports and this measurement does not need (wandb,
trl, Vertex AI, the Perspective API, tenacity) are stand-ins of a few lines, and where there is no
GPU its `cuda:0` means the CPU. Both sides search the same experts on the same items with the same
base, one after the other in every round, so that noise of the machine hits both. An iteration is
from one report of a swarm's scores to the next: theirs by its calls of `wandb.log`, ours by its
events. Wall time, CPU time of all processes, and the tokens that went through the model (padding
included, counted where they are embedded).

    python research/benchmarks/peers/authors_code.py --authors CHECKOUT --experts EXPERTS \\
        --task EVAL/hellaswag.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from authors_stand_ins import PROBE, STAND_INS

# The dtype their evaluate.py loads models in is written there; `bfloat16` replaces it at run time,
# for CPUs that multiply in it but not in float16.
BFLOAT16, FLOAT16 = "authors' code, bfloat16", "authors' code, float16 as released"
THEIRS = {BFLOAT16: "bfloat16", FLOAT16: "float16"}
OURS: dict[str, dict[str, Any]] = {
    "ours, letter, every item": {"scoring": "letter"},
    "ours, likelihood, every item": {"scoring": "likelihood"},
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--authors", type=Path, help="a checkout of their repository")
    parser.add_argument("--experts", type=Path, help="folder with one adapter directory per expert")
    parser.add_argument("--task", type=Path, help="multiple-choice task in their format")
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("--particles", type=int, default=6, help="so many of the experts, by name")
    parser.add_argument("--items", type=int, default=20, help="the first dev items")
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16", help="of our models")
    parser.add_argument(
        "--float16",
        action="store_true",
        help="theirs in float16 too: minutes an iteration on a CPU",
    )
    parser.add_argument(
        "--work", type=Path, help="work folder to keep and go on with (default: a temporary one)"
    )
    # run one search of ours with this configuration, for main()
    parser.add_argument("--ours", help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(args: argparse.Namespace, work: Path) -> None:
    """Fill the work folder: their code, the cut task, the experts with a base that is here, the
    stand-ins.
    """
    from pyswarmopt_llm.experts.base import resolve_base

    authors = work / "authors"
    shutil.copytree(
        args.authors, authors, ignore=shutil.ignore_patterns(".git", "data", "initial_experts")
    )
    task = json.loads(args.task.read_text(encoding="utf-8"))
    cut = {"dev": task["dev"][: args.items], "test": task["test"][:5]}
    (authors / "data" / "eval").mkdir(parents=True)
    (authors / "data" / "eval" / args.task.name).write_text(json.dumps(cut), encoding="utf-8")
    base = str(resolve_base(args.base).path)
    for expert in experts(args):
        own = authors / "initial_experts" / expert.name
        own.mkdir(parents=True)
        shutil.copyfile(expert / "adapter_model.safetensors", own / "adapter_model.safetensors")
        config = json.loads((expert / "adapter_config.json").read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base
        (own / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, text in STAND_INS.items():
        file = work / "stand_ins" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (work / "probe").mkdir()
    (work / "probe" / "probe.py").write_text(PROBE, encoding="utf-8")


def experts(args: argparse.Namespace) -> list[Path]:
    """The first experts by name, one for each particle."""
    found = sorted(path for path in args.experts.resolve().iterdir() if path.is_dir())
    if len(found) < args.particles:
        raise SystemExit(f"{args.experts}: {len(found)} experts for {args.particles} particles")
    return found[: args.particles]


def measure(
    args: argparse.Namespace, work: Path, run: str, name: str, seed: int
) -> list[dict[str, float]]:
    """One search in a process of its own, unless it was done before; what each of its iterations
    took.
    """
    from pyswarmopt_llm.experts.base import resolve_base

    marks = work / f"{run}.jsonl"
    if marks.exists():
        if len(earlier := iterations(marks)) == args.iterations:
            return earlier
        marks.unlink()  # stopped halfway
        shutil.rmtree(work / run, ignore_errors=True)
    threads = {key: str(args.threads) for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    env = os.environ | threads | {"PROBE": str(marks), "TOKENIZERS_PARALLELISM": "false"}
    paths = [os.environ.get("PYTHONPATH", "")]
    cwd = work / "authors"
    if name in THEIRS:
        paths.insert(0, str(work / "stand_ins"))
        env |= {
            "AUTHORS_DTYPE": THEIRS[name],
            "ITERATIONS": str(args.iterations),
            "HF_HUB_OFFLINE": "1",
        }
        command = [
            sys.executable,
            "search.py",
            "-n",
            run,
            "-e",
            "multiple_choice",
            "-d",
            args.task.stem,
            "-g",
            "0",
        ]
        command += ["-b", str(resolve_base(args.base).path), "-m", str(args.iterations)]
        command += ["-p", str(args.iterations + 10)]
        (cwd / "search").mkdir(exist_ok=True)
    else:
        paths.insert(0, str(work / "probe"))
        config = {
            "base": args.base,
            "experts": [str(path) for path in experts(args)],
            "tasks": [str(cwd / "data" / "eval" / args.task.name)],
            "out": str(work / run),
            "preset": "none",
            "particles": args.particles,
            "max_iter": args.iterations,
            "patience": args.iterations + 10,
            "seed": seed,
            "threads": args.threads,
            "dtype": args.dtype,
            **OURS[name],
        }
        command = [sys.executable, str(Path(__file__).resolve()), "--ours", json.dumps(config)]
    env["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-3000:]}")
    return iterations(marks)


def iterations(file: Path) -> list[dict[str, float]]:
    """Seconds, CPU seconds, forward passes and tokens from one mark to the next; not before the
    first.
    """
    found: list[dict[str, float]] = []
    last: dict[str, float] | None = None
    tokens: list[int] = []
    for line in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        if "tokens" in line:
            tokens.append(line["tokens"])
            continue
        if last is not None:
            spent = {key: line[key] - last[key] for key in ("wall", "cpu")}
            found.append(spent | {"tokens": sum(tokens), "passes": len(tokens)})
        last, tokens = line, []
    return found


def run_ours(config: dict[str, Any]) -> None:
    """One search of ours, marked at the end of every iteration."""
    import probe  # from the work folder

    from pyswarmopt_llm.common.config import SearchConfig
    from pyswarmopt_llm.report.run import search

    probe.count_tokens()
    for several in ("experts", "tasks"):
        config[several] = tuple(config[several])
    search(
        SearchConfig(**config), lambda event: probe.mark() if event.kind == "iteration" else None
    )


def table(taken: dict[str, list[list[dict[str, float]]]]) -> str:
    """Markdown, a row per way. Noise only adds: each iteration's fastest round counts, and the mean
    over iterations.
    """

    def fastest(name: str, what: str) -> float:
        return statistics.mean(
            min(spent[what] for spent in same) for same in zip(*taken[name], strict=True)
        )

    def middle(name: str, what: str) -> float:
        return statistics.median(spent[what] for own in taken[name] for spent in own)

    reference = min(
        (name for name in taken if name in THEIRS), key=lambda name: fastest(name, "cpu")
    )
    lines = [
        "| an iteration | passes | tokens | wall s, fastest round / median | CPU s, the same "
        f"| {reference} / this: wall | CPU |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in taken:
        wall, cpu = (
            f"{fastest(name, what):.1f} / {middle(name, what):.1f}" for what in ("wall", "cpu")
        )
        ratios = (
            f"{fastest(reference, what) / fastest(name, what):.1f}" for what in ("wall", "cpu")
        )
        counts = f"{middle(name, 'passes'):,.0f} | {middle(name, 'tokens'):,.0f}"
        lines.append(f"| {name} | {counts} | {wall} | {cpu} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def main() -> None:
    args = parse_args()
    if args.ours:
        run_ours(json.loads(args.ours))
        return
    names = [BFLOAT16, *OURS] + [FLOAT16] * args.float16
    taken: dict[str, list[list[dict[str, float]]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary) / "work").resolve()
        if not (work / "probe").exists():
            prepare(args, work)
        for turn in range(args.rounds):
            for i, name in enumerate(names):
                taken[name].append(measure(args, work, f"round{turn}-{i}", name, turn))
                spent = ", ".join(
                    f"{s['wall']:.2f} s ({s['cpu']:.2f} CPU)" for s in taken[name][-1]
                )
                print(f"round {turn + 1}, {name}: {spent}", flush=True)
    print(
        f"\n{args.particles} particles x {args.items} items, {args.threads} "
        f"threads\n\n{table(taken)}"
    )


if __name__ == "__main__":
    main()
