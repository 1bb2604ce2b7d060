"""Facts: replies of three statements about a table, by the share of their statements that
hold.

    python research/benchmarks/lab/records.py --out runs/records
    python research/benchmarks/scores/factuality.py runs/records --out runs/factuality \\
        --outcomes research/evidence/factuality.jsonl

The score is `examples/objectives/facts.py`, FActScore's precision (Min et al. 2023). A line of the
outcomes is a method and a seed, with the value of each of 500 test prompts. The two controls know
the form of a reply and nothing of the table: `any value` states a value by lot, `one value` the same
of all entries. Nothing is trained after a search.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from runs import adapters, compared, line, methods_parser, write_lines

from pyswarmopt_llm import load_task
from pyswarmopt_llm.scores.metrics.external.score_function import ScoreFunction

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from records import LONGEST, VALUES, facts_of, reply

FACTS = Path(__file__).resolve().parents[3] / "examples" / "objectives" / "facts.py"
TASK = "facts"


def controls(file: Path) -> Iterator[str]:
    """Lines of replies that need no model."""
    items = load_task(f"prompts:{file}").test
    prompts = [item.question for item in items]
    score = ScoreFunction(f"{FACTS}:score")
    for seed in (0, 1, 2):
        rng = random.Random(seed)
        named = [{name: rng.choice(VALUES) for name in facts_of(item)} for item in items]
        said = [reply("brief", row) for row in named]
        yield line(("any value", _values(score, prompts, said, items)), TASK, seed)
    named = [{name: VALUES[0] for name in facts_of(item)} for item in items]
    said = [reply("brief", row) for row in named]
    yield line(("one value", _values(score, prompts, said, items)), TASK, 0)
    said = [reply("brief", facts_of(item)) for item in items]
    yield line(("the table", _values(score, prompts, said, items)), TASK, 0)


def _values(
    score: ScoreFunction, prompts: list[str], said: list[str], items: object
) -> list[float]:
    return [row[""] for row in score.parts(prompts, said, items)]  # type: ignore[arg-type]


def main() -> None:
    arguments = methods_parser(__doc__)
    arguments.set_defaults(seeds=[0, 1, 2], threads=1)
    arguments.add_argument("lab", type=Path)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    file = options.lab / "questions.jsonl"
    lines = list(controls(file))
    lines += compared(
        options,
        TASK,
        {"no_rivals": True, "train": "off"},
        base=str(options.lab / "base"),
        experts=adapters(options.lab / "experts"),
        tasks=(f"prompts:{file}",),
        metrics=(f"{FACTS}:score",),
        max_new_tokens=LONGEST,
        dtype="float32",
    )
    write_lines(options.outcomes, lines)


if __name__ == "__main__":
    main()
