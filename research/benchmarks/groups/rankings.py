#!/usr/bin/env python3
"""What rankings add to a vote of first choices: Borda and Condorcet among models of texts.

The members and texts of `adverse_texts.py`; of ten members the first 3, 5 or all. `majority` counts
first choices, `borda` and `condorcet` (cycles by Schulze) read the whole ranking of six intents. The
control has the same first choices, and all places below them by lot. 500 test texts, three draws.

    python research/benchmarks/groups/rankings.py --outcomes research/evidence/rankings.jsonl
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from adverse_texts import everybody
from by_seed import write_rows
from objectives import TEST, items

from pyswarmopt_groups import voting
from pyswarmopt_groups.voting.rankings import Ranking

SIZES = (3, 5, 10)
RULES: dict[str, Callable[[Sequence[Ranking]], voting.Outcome]] = {
    "`borda`": voting.borda,
    "`condorcet`": voting.condorcet,
}


def by_lot(ranking: Ranking, rng: random.Random) -> Ranking:
    """The same first place, the others in any order."""
    return (ranking[0], *rng.sample(ranking[1:], len(ranking) - 1))


def answers(rankings: Sequence[Ranking], rng: random.Random) -> dict[str, str | None]:
    """What each way to vote says of one item.

    Example:
        >>> three = [("A", "B", "C"), ("C", "B", "A"), ("B", "A", "C")]
        >>> found = answers(three, random.Random(0))
        >>> found["`majority`"], found["`borda`"], found["`condorcet`"]
        ('A', 'B', 'B')
    """
    shuffled = [by_lot(ranking, rng) for ranking in rankings]
    found = {"`majority`": voting.majority([ranking[0] for ranking in rankings]).answer}
    for name, rule in RULES.items():
        found[name] = rule(rankings).answer
        found[f"{name}, below the first by lot"] = rule(shuffled).answer
    return found


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each number of members and way to vote."""
    asked = items(TEST, f"test {seed}")
    said = [member.answer(asked, "likelihood") for member in everybody(seed)]
    for size in SIZES:
        rng = random.Random(f"rankings {seed} {size}")
        right: dict[str, list[bool]] = {}
        for i, item in enumerate(asked):
            scores = [member[i].scores for member in said[:size]]
            rankings = [tuple(sorted(s, key=lambda letter, s=s: -s[letter])) for s in scores]
            for name, answer in answers(rankings, rng).items():
                right.setdefault(name, []).append(answer == item.answer)
        for name, flags in right.items():
            test = "".join(str(int(flag)) for flag in flags)
            yield {"method": name, "task": f"{size} members", "seed": seed, "test": test}


if __name__ == "__main__":
    write_rows(__doc__, rows)
