"""Fronts of style and length on a base that people use, with five style experts.

    python research/benchmarks/scores/fronts_style.py --out runs/fronts-style --seeds 3 4 5 \\
        --outcomes research/evidence/style-fronts.jsonl
    python research/benchmarks/scores/fronts_style.py --out runs/fronts-gemma --seeds 3 \\
        --outcomes runs/gemma.jsonl --base GEMMA --experts EXPERTS

The experts and prompts of `examples/house_style`: 50 dev and 150 test prompts, replies of at most 48
tokens, 40 evaluations. `examples/house_style/make.py OUT --base GEMMA` trains OUT/experts for another
base. Seeds 0 to 2 are to look at, 3 to 5 to claim on, as was said before the first run. A line of the
outcomes is a base, a seed and a model: a point of the front, or a strength of the best expert from 0
(the base) to 1; with its scores on dev, and for each test prompt how many of the eight rules its reply
keeps and its tokens. A run that has finished is read, another one resumed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runs import adapters, finished, parser, write_lines

from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.run.record import unpack

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "house_style"
SMALL = "embedded:smollm2-135m"
RULES = 8
SCORES = ("style", "tokens")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--base", default=SMALL)
    arguments.add_argument("--experts", type=Path, default=FOLDER / "experts")
    options = arguments.parse_args()
    lines: list[str] = []
    for seed in options.seeds:
        result = finished(asked(options, seed))
        lines += of_models(result, seed, Path(options.base).name.removeprefix("embedded:"))
        write_lines(options.outcomes, lines)


def asked(options: argparse.Namespace, seed: int) -> SearchConfig:
    """The search of a seed."""
    return SearchConfig(
        base=options.base,
        experts=adapters(options.experts),
        tasks=(),
        prompts=str(FOLDER / "prompts.jsonl"),
        metrics=(f"{FOLDER / 'style.py'}:style", "tokens"),
        front=True,
        dev=50,
        test=150,
        max_new_tokens=48,
        seed=seed,
        threads=1,
        out=str(options.out / str(seed)),
    )


def of_models(result: Mapping[str, Any], seed: int, base: str) -> Iterator[str]:
    """A line for each point of the front and each strength of the best expert."""
    for name, model in result["models"].items():
        if not name.startswith(("front/", "knob/")):
            continue
        kept, lengths = (unpack(model["test"]["tasks"][score]["items"]) for score in SCORES)
        line = {
            "base": base,
            "seed": seed,
            "model": name,
            "chosen": name == f"front/{result['chosen']}",
            "dev": [abs(model["dev"]["tasks"][score]["value"]) for score in SCORES],
            "style": "".join(str(round(RULES * share)) for share in kept),
            "tokens": [round(abs(length)) for length in lengths],
        }
        yield json.dumps(line)


if __name__ == "__main__":
    main()
