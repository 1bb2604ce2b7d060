"""House style on the embedded base: a search by a program that checks eight rules, and the same
trained.

    python research/benchmarks/scores/house_style.py --out runs/house-style \\
        --outcomes research/evidence/house-style.jsonl

Five experts, of which four keep two of the rules each (`examples/house_style`); 50 dev and 150 test
prompts, 40 evaluations for every method. A line of the outcomes is a method and a seed, with the
share of the rules that the reply to each test prompt keeps. A run that has finished is read,
another one resumed.
"""

from __future__ import annotations

from pathlib import Path

from runs import adapters, compared, methods_parser, write_lines

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "house_style"
DEV, TEST = 50, 150


def main() -> None:
    options = methods_parser(__doc__).parse_args()
    lines = compared(
        options,
        "house-style",
        {},
        base="embedded:smollm2-135m",
        experts=adapters(FOLDER / "experts"),
        tasks=(),
        prompts=str(FOLDER / "prompts.jsonl"),
        metrics=(f"{FOLDER / 'style.py'}:style",),
        dev=DEV,
        test=TEST,
        max_new_tokens=48,
    )
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
