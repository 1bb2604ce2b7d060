"""Scores that a model gives: does the published swarm keep the truth where the default loses it?

    python research/benchmarks/lab/records.py --out runs/records
    python research/benchmarks/scores/cheated.py runs/records --out runs/cheated \\
        --outcomes research/evidence/cheated.jsonl

Experts of the laboratory of statements are searched by a judge's ratings (`lab/ratings.py`), and by
`concise:MODEL` and `verbose:MODEL`, with 40 evaluations each. Nothing is trained afterwards. A line is
a score, a method and a seed: the score of each of 500 test prompts, how many of the three facts that
were asked for each reply states, and the coefficients. A line that is there is not made again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from conflicting import asked, replies
from runs import MODEL_SWARMS, SWARM, adapters, finished, parser

from pyswarmopt_llm import SearchConfig, load_reward
from pyswarmopt_llm.published.judge import load_local_judge

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from ratings import train_judge
from records import LONGEST, stated_rightly

METHODS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "model-swarms factor": MODEL_SWARMS,
    "model-swarms delta": {**SWARM, "space": "delta", "start": "segments"},
    "model-swarms sums": {**SWARM, "space": "delta", "start": "sums"},
    "default in the hull": {"space": f"{Path(__file__).with_name('hull.py')}:convex"},
}
BEST = "best expert"


def rated(score: str, model: Path, lab: Path, adapter: Path | None) -> dict[str, Any]:
    """The scores and the facts of a model's test replies."""
    items = asked(lab)
    said = replies(lab, adapter)
    if score == "judge":
        values = load_local_judge(str(model)).ratings(items, said)
    else:
        values = getattr(load_reward(str(model)), score)(items, said)
    return {
        "values": [round(float(value), 3) for value in values],
        "facts": stated_rightly(items, said),
    }


def searched(
    lab: Path, out: Path, score: str, model: Path, method: str, seed: int
) -> Iterator[dict[str, Any]]:
    """The line of a search, and of the default that of the best expert by dev."""
    metric = f"local-judge:{model}" if score == "judge" else f"{score}:{model}"
    run = out / f"{score}-{method.replace(' ', '-')}-{seed}"
    config = SearchConfig(
        base=str(lab / "base"),
        experts=adapters(lab / "experts"),
        tasks=(f"prompts:{lab / 'questions.jsonl'}",),
        metrics=(metric,),
        max_new_tokens=LONGEST,
        out=str(run),
        seed=seed,
        threads=1,
        dtype="float32",
        no_rivals=True,
        **{"train": "off", **METHODS[method]},
    )
    result = finished(config)
    weights = [round(value, 3) for value in result["coefficients"].values()]
    found = rated(score, model, lab, run / "best")
    yield {"method": method, "seed": seed, "coefficients": weights, **found}
    if method == "default":
        single = lab / "experts" / result["best_single"]
        yield {"method": BEST, "seed": seed, **rated(score, model, lab, single)}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("lab", type=Path)
    arguments.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    judge = options.out / "judge"
    if not judge.exists():
        train_judge(options.lab, judge)
    models = {"judge": judge, "concise": options.lab / "reward", "verbose": options.lab / "reward"}
    done = set()
    if options.outcomes.exists():
        rows = map(json.loads, options.outcomes.read_text(encoding="utf-8").splitlines())
        done = {(row["score"], row["method"], row["seed"]) for row in rows}
    for seed in options.seeds:
        for score, model in models.items():
            for method in options.methods:
                if (score, method, seed) in done:
                    continue
                for line in searched(options.lab, options.out, score, model, method, seed):
                    with options.outcomes.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"score": score, **line}) + "\n")
                    facts = sum(map(int, line["facts"])) / 3 / len(line["facts"])
                    value = sum(line["values"]) / len(line["values"])
                    print(score, seed, line["method"], f"{value:.3f} facts {facts:.3f}", flush=True)


if __name__ == "__main__":
    main()
