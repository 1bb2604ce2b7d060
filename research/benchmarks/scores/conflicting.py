"""Preferences in conflict: replies that are right and short, or right and long.

    python research/benchmarks/lab/records.py --out runs/records
    python research/benchmarks/scores/conflicting.py runs/records --out runs/conflicting \\
        --outcomes research/evidence/conflicting.jsonl

The scores are the package's `concise:MODEL` and `verbose:MODEL`, as in Feng et al. 2024 (section 3,
objective 3): the mean of the logistic function of a reward, and of the length of a reply in tokens
over 200 or what is left of it. The reward model has seen what base, experts and mixtures write, and
replies that repeat themselves. A line of the outcomes is a method, a preference and a seed, with the
value of each of 500 test prompts; of models whose replies are read also their tokens, and how many
of the three facts that were asked for they state. Nothing is trained after a search.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from runs import METHODS, adapters, finished, methods_parser, outcomes, write_lines

from pyswarmopt_llm import SearchConfig, load_task, open_model
from pyswarmopt_llm.external.classifiers import RewardModel
from pyswarmopt_llm.scores.tasks import Item

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from records import LONGEST, stated_rightly

PREFERENCES = ("concise", "verbose")


def asked(lab: Path) -> Sequence[Item]:
    """The test prompts."""
    return load_task(f"prompts:{lab / 'questions.jsonl'}").test


@cache
def replies(lab: Path, adapter: Path | None) -> list[str]:
    """What a model writes to them."""
    where = None if adapter is None else str(adapter)
    engine = open_model(str(lab / "base"), where, "float32", "cpu", 1)
    prompts = [engine.chat(item.question) for item in asked(lab)]
    return [text.strip() for text in engine.generate(prompts, max_new_tokens=LONGEST)]


def read(reward: Any, preference: str, items: Sequence[Item], said: list[str]) -> dict[str, Any]:
    """Values, tokens and facts of replies; a word of the laboratory is a token."""
    values = getattr(reward, preference)(items, said)
    return {
        "test": [round(value, 4) for value in values],
        "tokens": [len(text.split()) for text in said],
        "facts": stated_rightly(items, said),
    }


def searched(options: argparse.Namespace, preference: str, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of one preference and seed."""
    lab = options.lab
    items = asked(lab)
    reward = RewardModel(str(lab / "reward"))
    for method in options.methods:
        out = options.out / f"{preference}-{method}-{seed}"
        config = SearchConfig(
            base=str(lab / "base"),
            experts=adapters(lab / "experts"),
            tasks=(f"prompts:{lab / 'questions.jsonl'}",),
            metrics=(f"{preference}:{lab / 'reward'}",),
            max_new_tokens=LONGEST,
            out=str(out),
            seed=seed,
            threads=1,
            dtype="float32",
            **{"no_rivals": True, "train": "off", **METHODS[method]},
        )
        result = finished(config)
        models: dict[str, Path | None] = {method: out / "best"}
        if method == "default":
            models |= {"base": None, "best-single": lab / "experts" / result["best_single"]}
            for label, values in outcomes(result, {"uniform": "uniform"}):
                yield {"method": label, "test": [round(value, 4) for value in values]}
        for name, adapter in models.items():
            said = replies(lab, adapter)
            print(said[0], flush=True)
            yield {"method": name, **read(reward, preference, items, said)}


def main() -> None:
    arguments = methods_parser(__doc__)
    arguments.set_defaults(seeds=[0, 1, 2])
    arguments.add_argument("lab", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    lines = []
    for seed in options.seeds:
        for preference in PREFERENCES:
            for row in searched(options, preference, seed):
                lines.append(json.dumps({"preference": preference, "seed": seed, **row}))
                mean = sum(row["test"]) / len(row["test"])
                tokens = row.get("tokens", [0])
                print(
                    preference,
                    seed,
                    row["method"],
                    f"{mean:.3f}, {sum(tokens) / len(tokens):.1f} tokens",
                    flush=True,
                )
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
