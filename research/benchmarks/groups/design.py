#!/usr/bin/env python3
"""Which members and which strategy, under a budget of tokens: a group that is designed by dev scores.

Six of the members of `ruled.py`: the four careless ones, and two that write wrong letters in half of
their replies. A design is one to three of them and a strategy: one member alone, `majority`,
`self-consistency` of three samples, `refine` of one round or of up to three. All designs are scored
on 60 dev questions; under each budget the one that is most often right on dev, of equals the
cheapest, answers 500 test questions. Controls under the same budget: the mean of three designs drawn
by lot, and the strategy of all six members that is best on dev; three draws.

    python research/benchmarks/groups/design.py --outcomes research/evidence/design.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ruled import TEST, Ruled
from talk import KNOWN, TEMPLATE, items, line

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.scores.tasks import Item, Task

STRATEGIES = ("majority", "self-consistency:3", "refine:1", "refine:3")
BUDGETS = (30, 100, 300, 700)
LARGEST, BY_LOT, DEV = 3, 3, 60


@dataclass(frozen=True)
class Design:
    """Numbers of members, a strategy, and what they had and cost on dev."""

    members: tuple[int, ...]
    strategy: str
    dev: float = 0.0
    tokens: float = 0.0


def everybody() -> list[Member]:
    """The six members."""
    careless: list[Member] = [Ruled(f"careless {k}", known, 0.1) for k, known in enumerate(KNOWN)]
    return [*careless, *(Ruled(f"bad {k}", known, 0.5) for k, known in enumerate(KNOWN[:2]))]


def designs(members: int, largest: int) -> list[Design]:
    """All groups of up to so many members with all strategies; one member alone has no others to
    read.
    """
    groups = [
        group
        for size in range(1, largest + 1)
        for group in itertools.combinations(range(members), size)
    ]
    pairs = itertools.product(groups, STRATEGIES)
    return [Design(*pair) for pair in pairs if len(pair[0]) > 1 or "refine" not in pair[1]]


def decided(design: Design, task: Task, seed: int, items: Sequence[Item]) -> list[Verdict]:
    """The verdicts of a design."""
    members = everybody()
    context = GroupContext([members[k] for k in design.members], task, "generate", seed)
    return load_strategy(design.strategy).fit(context)(items)


def scored(design: Design, task: Task, seed: int) -> Design:
    """The design with its accuracy and tokens on dev."""
    verdicts = decided(design, task, seed, task.dev)
    right = fmean(is_right(i, v.answer) for i, v in zip(task.dev, verdicts, strict=True))
    return Design(design.members, design.strategy, right, fmean(v.tokens for v in verdicts))


def best_within(designs: Sequence[Design], budget: float) -> Design | None:
    """The most accurate design on dev of at most so many tokens, of equals the cheapest.

    Example:
        >>> three = [Design((0,), "a", 0.5, 9), Design((1,), "a", 0.7, 30), Design((2,), "a", 0.7, 20)]
        >>> best_within(three, 25).members, best_within(three, 10).members, best_within(three, 1)
        ((2,), (0,), None)
    """
    affordable = [design for design in designs if design.tokens <= budget]
    return max(affordable, key=lambda design: (design.dev, -design.tokens), default=None)


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each budget and way to design."""
    task = Task("design", items("dev", DEV, seed), items("test", TEST, seed), TEMPLATE)
    count = len(everybody())
    small = [scored(design, task, seed) for design in designs(count, LARGEST)]
    whole = [scored(Design(tuple(range(count)), name), task, seed) for name in STRATEGIES]
    for budget in BUDGETS:
        name = f"{budget} tokens"
        drawn = (
            random.Random(f"{budget} {seed}").sample(
                [design for design in small if design.tokens <= budget], k=BY_LOT
            )
            if sum(design.tokens <= budget for design in small) >= BY_LOT
            else []
        )
        chosen = {"designed on dev": best_within(small, budget)}
        chosen |= {"all six members": best_within(whole, budget)}
        chosen |= {f"by lot, {k}": design for k, design in enumerate(drawn, start=1)}
        for method, design in chosen.items():
            if design is None:
                continue
            verdicts = decided(design, task, seed, task.test)
            row = line(method, seed, Task(name, (), task.test, TEMPLATE), verdicts)
            yield row | {"members": design.members, "strategy": design.strategy, "dev": design.dev}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    made = []
    for seed in args.seeds:
        for row in rows(seed):
            made.append(row)
            right = row["test"].count("1") / TEST
            print(
                row["task"],
                row["method"],
                right,
                row["tokens"],
                row["members"],
                row["strategy"],
                flush=True,
            )
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
