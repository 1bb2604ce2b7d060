#!/usr/bin/env python3
"""Tokens per dev item in likelihood scoring: question repeated, question shared, common beginning
shared too.

python research/benchmarks/tokens/tokens_per_item.py TASKS/*.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pyswarmopt_llm.engine.batching import build_plan, build_row, encode_pair
from pyswarmopt_llm.experts.base import load_tokenizer, resolve_base
from pyswarmopt_llm.scores.tasks import load_task, render_prompt


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="embedded:smollm2-135m")
    parser.add_argument("tasks", nargs="+")
    args = parser.parse_args()
    tokenizer = load_tokenizer(resolve_base(args.base))

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    print(
        "| task | question repeated for each option | question shared | and the common beginning "
        "too |"
    )
    print("|---|---|---|---|")
    for spec in args.tasks:
        items = load_task(spec, allow_overlap=True).dev
        pairs, shared = [], 0
        for item in items:
            turn = [{"role": "user", "content": render_prompt(item, "likelihood")}]
            context = tokenizer.apply_chat_template(
                turn, tokenize=False, add_generation_prompt=True
            )
            options = [
                encode_pair(encode, context, option) for option in (item.choices or {}).values()
            ]
            shared += len(
                build_row(
                    options[0][0], [(k, option) for k, (_, option) in enumerate(options)]
                ).tokens
            )
            pairs += options
        repeated = sum(len(context) + len(option) for context, option in pairs)
        plan = build_plan(pairs, 1024)
        n = len(items)
        print(
            f"| {Path(spec).stem} | {repeated / n:.0f} | {shared / n:.0f} | "
            f"{plan.n_tokens / n:.0f} |"
        )


if __name__ == "__main__":
    main()
