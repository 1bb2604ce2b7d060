"""House style on the embedded base: a search by a program that checks eight rules, and the same trained.

    python benchmarks/scores/house_style.py --out runs/house-style --outcomes docs/evidence/house-style.jsonl

Five experts, of which four keep two of the rules each (`examples/house_style`); 50 dev and 150 test prompts, 40
evaluations for every method. A line of the outcomes is a method and a seed, with the share of the rules that the reply
to each test prompt keeps. A run that has finished is read, another one resumed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm import SearchConfig, resume, search
from pyswarmopt_llm.evaluation.record import unpack
from pyswarmopt_llm.jobs.search.rivals import FILE as RIVALS

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "house_style"
DEV, TEST = 50, 150
SWARM = {"preset": "none", "particles": 10, "max_iter": 3, "patience": 10, "space": "factor", "start": "segments"}
METHODS: Mapping[str, Mapping[str, Any]] = {"default": {}, "model-swarms": {**SWARM, "no_rivals": True}}
MODELS = {"best_single": "best-single", "uniform": "uniform", "mixture": "default", "trained": "trained"}


def outcomes(config: SearchConfig, method: str) -> Iterator[tuple[str, list[float]]]:
    """(method, value of each test prompt) of what a run compares."""
    run = Path(config.out)
    result = (resume(run, allowed=config.metrics) if (run / "run.json").exists() else search(config)).result
    if method != "default":
        (values,) = result["outcomes"]["best"].values()
        yield method, unpack(values)
        return
    for model, name in MODELS.items():
        (values,) = result["outcomes"][model].values()
        yield name, unpack(values)
    for line in (run / RIVALS).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["phase"] == "test":
            (values,) = row["items"].values()
            yield row["key"], unpack(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    lines = []
    for seed in options.seeds:
        for method in options.methods:
            config = SearchConfig(
                base="embedded:smollm2-135m",
                experts=tuple(sorted(map(str, (FOLDER / "experts").iterdir()))),
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
            for name, values in outcomes(config, method):
                lines.append(json.dumps({"method": name, "task": "house-style", "seed": seed, "test": values}))
                print(seed, name, f"{sum(values) / len(values):.3f}", flush=True)
    options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
