#!/usr/bin/env python3
"""Which members and which strategy, under a budget of tokens: a group that is designed by dev scores.

Six of the members of `ruled.py`: the four careless ones, and two that write wrong letters in half of
their replies. A design is one to three of them and a strategy: one member alone, `majority`,
`self-consistency` of three samples, `refine` of one round or of up to three. All designs answer 60
dev and 500 test questions, three draws. Under a budget of tokens (as spent on dev) the design that
is most often right on dev, of equals the cheapest, is taken (`best_within` of
`research/tools/task_tables.py`).

Controls under the same budget: the strategy of all six members that is best on dev, the mean on test
of all designs (one by lot), of those that spend at least half of the budget (one by lot that does not
save), and the best design on test (who knows its answers). All follow from the outcomes, which hold
every design. What is in the outcomes is not computed again.

    python research/benchmarks/groups/design.py --outcomes research/evidence/design.jsonl
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
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
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.scores.tasks import Item, Task

STRATEGIES = ("majority", "self-consistency:3", "refine:1", "refine:3")
LARGEST, DEV = 3, 60


@dataclass(frozen=True)
class Design:
    """Numbers of members, and a strategy."""

    members: tuple[int, ...]
    strategy: str


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
    return load_strategy(design.strategy).decide(context, items)


def row_of(design: Design, task: Task, seed: int) -> dict[str, Any]:
    """A line of the outcomes: answers and tokens on test, and on dev."""
    on_dev = decided(design, task, seed, task.dev)
    right = [is_right(i, v.answer) for i, v in zip(task.dev, on_dev, strict=True)]
    row = line(design.strategy, seed, task, decided(design, task, seed, task.test))
    return row | {
        "members": design.members,
        "dev": "".join(map(str, map(int, right))),
        "dev_tokens": fmean(verdict.tokens for verdict in on_dev),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    log = AppendLog(args.outcomes)
    done = {(tuple(row["members"]), row["method"], row["seed"]) for row in log.repaired()}
    count = len(everybody())
    made = [*designs(count, LARGEST), *(Design(tuple(range(count)), name) for name in STRATEGIES)]
    for seed in args.seeds:
        task = Task("design", items("dev", DEV, seed), items("test", TEST, seed), TEMPLATE)
        for design in made:
            if (design.members, design.strategy, seed) not in done:
                log.append(row_of(design, task, seed))
        print(seed, "done", flush=True)


if __name__ == "__main__":
    main()
