"""House style, all rules or nothing: how often base and adapters keep every rule in eight tries.

    python research/benchmarks/scores/all_or_nothing.py --prompts 12 \\
        --outcomes research/evidence/all-or-nothing.jsonl

A line for each model holds, for each prompt, how many of eight sampled replies keep all eight rules.
The same function is the score of a search for which neither may begin:

    swarm-llm search --base embedded:smollm2-135m --experts examples/house_style/experts/* \\
        --metric research/benchmarks/scores/all_or_nothing.py:style \\
        --prompts examples/house_style/prompts.jsonl --max-new-tokens 48 --out runs/all-or-nothing
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from runpy import run_path

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "house_style"
BASE = "embedded:smollm2-135m"
SAMPLES = 8
TOKENS = 48


def rules(prompt: str, reply: str) -> dict[str, float]:
    """The example's rules."""
    kept: dict[str, float] = run_path(str(FOLDER / "style.py"))["style"](prompt, reply)
    return kept


def style(prompt: str, reply: str) -> float:
    """1 if the reply keeps every rule, else 0."""
    return float(all(rules(prompt, reply).values()))


def successes(prompts: list[str], adapter: Path | None) -> list[int]:
    """For each prompt, how many sampled replies keep every rule."""
    from pyswarmopt_llm.common.interfaces import Patch
    from pyswarmopt_llm.engine.generation import Draw
    from pyswarmopt_llm.engine.transformers import load_engine
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_rivals.bench import as_patch, load_pool

    engine = load_engine(resolve_base(BASE), "auto", "cpu", 1)
    engine.load(
        Patch() if adapter is None else as_patch(load_pool(BASE, [str(adapter)], "delta")[1][0])
    )
    counts = [0] * len(prompts)
    for seed in range(SAMPLES):
        draw = Draw(1.0, tuple(range(seed * len(prompts), (seed + 1) * len(prompts))))
        replies = engine.generate([engine.chat(text) for text in prompts], TOKENS, draw)
        kept = [style(text, reply) for text, reply in zip(prompts, replies, strict=True)]
        counts = [count + int(right) for count, right in zip(counts, kept, strict=True)]
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--adapters", nargs="*", default=["steps", "courteous"])
    parser.add_argument("--outcomes", type=Path, required=True)
    options = parser.parse_args()
    lines = (FOLDER / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines[: options.prompts]]
    for name in (None, *options.adapters):
        counts = successes(prompts, name and FOLDER / "experts" / name)
        with options.outcomes.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"model": name or "base", "right": counts}) + "\n")
        share = sum(count > 0 for count in counts) / len(counts)
        print(name or "base", f"pass@8 {share:.2f}", counts, flush=True)


if __name__ == "__main__":
    main()
