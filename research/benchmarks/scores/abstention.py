"""Abstention: a right answer counts 1, a wrong one -1, "I do not know" 0 (AbstainQA).

    python research/benchmarks/scores/abstention.py TASKS/intent.json EXPERTS \\
        --out runs/abstention --outcomes research/evidence/abstention.jsonl

The file has questions with options, EXPERTS is a folder of adapters of SmolLM2-135M. The model
chooses by likelihood, then judges whether its answer is true. Who never answers has 0, who never
abstains twice the accuracy less 1. A line of the outcomes is a method and a seed, with the value of
each test item.
"""

from __future__ import annotations

from pathlib import Path

from runs import adapters, compared, methods_parser, write_lines


def main() -> None:
    arguments = methods_parser(__doc__)
    arguments.add_argument("questions", type=Path)
    arguments.add_argument("experts", type=Path)
    arguments.add_argument("--dev", type=int, default=100)
    arguments.add_argument("--test", type=int, default=300)
    options = arguments.parse_args()
    lines = compared(
        options,
        options.questions.stem,
        {},
        base="embedded:smollm2-135m",
        experts=adapters(options.experts),
        tasks=(str(options.questions),),
        metrics=("abstain",),
        scoring="likelihood",
        dev=options.dev,
        test=options.test,
    )
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
