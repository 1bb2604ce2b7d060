"""House style on the embedded base: a search by a program that checks eight rules, and the same trained.

    python benchmarks/scores/house_style.py --out runs/house-style --outcomes docs/evidence/house-style.jsonl

Five experts, of which four keep two of the rules each (`examples/house_style`); 50 dev and 150 test prompts, 40
evaluations for every method. A line of the outcomes is a method and a seed, with the share of the rules that the reply
to each test prompt keeps. A run that has finished is read, another one resumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runs import MODEL_SWARMS, Outcome, adapters, finished, line, outcomes, parser, write_lines

from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.evaluation.record import unpack
from pyswarmopt_llm.jobs.search.rivals import FILE as RIVALS

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "house_style"
DEV, TEST = 50, 150
METHODS: Mapping[str, Mapping[str, Any]] = {"default": {}, "model-swarms": {**MODEL_SWARMS, "no_rivals": True}}
MODELS = {"best_single": "best-single", "uniform": "uniform", "mixture": "default", "trained": "trained"}


def rivals(run: Path) -> Iterator[Outcome]:
    """What a run compares its result with."""
    for text in (run / RIVALS).read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        if row["phase"] == "test":
            (values,) = row["items"].values()
            yield row["key"], unpack(values)


def main() -> None:
    arguments = parser(__doc__)
    arguments.set_defaults(seeds=[0])
    arguments.add_argument("--methods", nargs="+", default=list(METHODS))
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    lines = []
    for seed in options.seeds:
        for method in options.methods:
            config = SearchConfig(
                base="embedded:smollm2-135m",
                experts=adapters(FOLDER / "experts"),
                tasks=(),
                prompts=str(FOLDER / "prompts.jsonl"),
                metrics=(f"{FOLDER / 'style.py'}:style",),
                out=str(options.out / f"{method}-{seed}"),
                dev=DEV,
                test=TEST,
                max_new_tokens=48,
                seed=seed,
                threads=options.threads,
                **METHODS[method],
            )
            result = finished(config)
            if method == "default":
                scored = [*outcomes(result, MODELS), *rivals(Path(config.out))]
            else:
                scored = [*outcomes(result, {"best": method})]
            lines += [line(outcome, "house-style", seed) for outcome in scored]
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
