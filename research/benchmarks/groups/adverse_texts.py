#!/usr/bin/env python3
"""What privacy, a member that lies, and typos cost ten models of texts: the settings of
`adverse_members.py`, with every answer kept.

The texts, intents and models of texts (naive Bayes) of `objectives.py`; each of ten members has read
60 texts of its own. 100 dev and 500 test texts, three draws of texts and members, two of the noise.

    python research/benchmarks/groups/adverse_texts.py --outcomes research/evidence/adverse-texts.jsonl
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adverse_members import Setting, answered, settings_of, with_typed
from by_seed import write_rows
from objectives import DEV, TEST, items, model_of_texts, texts

from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_llm.scores.tasks import Task

MEMBERS, READ, NOISES = 10, 60, 2
EPSILONS, TYPOS = (6.0, 4.0, 3.0, 2.0, 1.0), (0.05, 0.1, 0.2)


def everybody(seed: int) -> list[Member]:
    """Ten models of texts."""
    return [
        model_of_texts(f"member {k + 1}", texts(READ, f"member {k + 1} {seed}"))
        for k in range(MEMBERS)
    ]


def rows(seed: int) -> Iterator[dict[str, Any]]:
    """A line for each setting, draw of the noise, and strategy."""
    task = Task("intents", items(DEV, f"dev {seed}"), items(TEST, f"test {seed}"), None)
    members = everybody(seed)
    order = GroupContext(members, task, "likelihood").order
    best, last = (members[order[place]].name for place in (0, -1))
    settings = [(setting, task) for setting in settings_of(best, last, EPSILONS, NOISES)]
    settings += [(Setting(f"typos {share:g}"), with_typed(task, share)) for share in TYPOS]
    for setting, asked in settings:
        for method, right in answered(members, asked, setting).items():
            signs = "".join(map(str, map(int, right)))
            noise = setting.config.seed
            yield {
                "task": setting.name,
                "method": method,
                "seed": seed,
                "noise": noise,
                "test": signs,
            }


if __name__ == "__main__":
    write_rows(__doc__, rows)
