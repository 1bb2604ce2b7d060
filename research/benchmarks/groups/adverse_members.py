#!/usr/bin/env python3
"""What privacy, a member that lies, and typos cost a group of models: voting, weighting, trust and
stacking beside each other.

Members answer every item once (and once more with typos); their responses are kept in --out,
everything else is computed from them, so a stopped benchmark goes on where it was. Means over
tasks:

- privacy: every vote randomised at a few epsilons, mean over draws of the noise;
- a liar: the best member, or the last, wrong on purpose, always or on test alone; and the group
  without it;
- typos: in the questions of test (`--typos`), on members whose vocabulary has letters.

    python research/benchmarks/groups/adverse_members.py --base runs/lab/base --members runs/lab/experts/* \\
        --task runs/lab/tasks/t4.json runs/lab/tasks/t5.json runs/lab/tasks/t6.json --out
        runs/adverse
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from cached import cached_members

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import is_right
from pyswarmopt_groups.run import voters
from pyswarmopt_llm.scores.tasks import Task, load_task
from pyswarmopt_rivals.perturbed import with_typos

PLAIN = CouncilConfig(())
STRATEGIES = ("majority", "weighted", "trust", "confidence", "stacked")
VOTES_ONLY = ("majority", "weighted", "trust", "stacked")  # what randomised votes leave
SINGLE = "best member"


@dataclass(frozen=True)
class Setting:
    """A row of the table: its name, what is changed of the members, and the strategies that can be
    measured.
    """

    name: str
    config: CouncilConfig = PLAIN
    without: str | None = None
    strategies: Sequence[str] = STRATEGIES


def settings_of(best: str, last: str, epsilons: Sequence[float], draws: int) -> Iterator[Setting]:
    """All rows; several of one name are averaged."""
    yield Setting("as they are")
    for epsilon in epsilons:
        for seed in range(draws):
            private = replace(PLAIN, epsilon=epsilon, seed=seed)
            yield Setting(f"epsilon {epsilon:g}", private, strategies=VOTES_ONLY)
    for who, name in (("best", best), ("last", last)):
        yield Setting(f"the {who} lies", replace(PLAIN, liar=name))
        yield Setting(f"the {who} lies on test alone", replace(PLAIN, liar=f"{name}:test"))
        yield Setting(f"without the {who}", without=name)


def answered(members: Sequence[Member], task: Task, setting: Setting) -> dict[str, list[bool]]:
    """Which test items every strategy gets right in a setting, and the member that is best on dev."""
    kept = [member for member in members if member.name != setting.without]
    context = GroupContext(voters(kept, setting.config, task), task, "likelihood")
    right = {SINGLE: context.collect(task.test).right[context.order[0]].tolist()}
    for name in setting.strategies:
        verdicts = load_strategy(name).decide(context, task.test)
        pairs = zip(task.test, verdicts, strict=True)
        right[name] = [is_right(item, verdict.answer) for item, verdict in pairs]
    return right


def accuracies(members: Sequence[Member], task: Task, setting: Setting) -> dict[str, float]:
    """The shares of `answered`."""
    return {name: fmean(right) for name, right in answered(members, task, setting).items()}


def with_typed(task: Task, share: float) -> Task:
    """The task with typos in this share of the letters of test questions."""
    changed = [with_typos(item, random.Random(f"0 {item.question}"), share) for item in task.test]
    return replace(task, test=tuple(changed))


def rows_of(
    members: Sequence[Member], task: Task, args: argparse.Namespace
) -> Iterator[tuple[str, dict[str, float]]]:
    """Setting -> accuracies on one task."""
    context = GroupContext(members, task, "likelihood")
    best, last = (members[context.order[place]].name for place in (0, -1))
    for setting in settings_of(best, last, args.epsilon, args.draws):
        yield setting.name, accuracies(members, task, setting)
    if args.typos:
        yield (
            f"typos {args.typos:g}",
            accuracies(members, with_typed(task, args.typos), Setting("")),
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", required=True)
    parser.add_argument("--members", nargs="+", required=True)
    parser.add_argument("--task", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dev", type=int)
    parser.add_argument("--test", type=int)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--epsilon", type=float, nargs="*", default=[6.0, 4.0, 3.0, 2.0, 1.0])
    parser.add_argument("--draws", type=int, default=3, help="of the noise")
    parser.add_argument("--typos", type=float, help="share of letters, 0.05 say")
    args = parser.parse_args()
    members = cached_members(args.members, args.base, args.out, args.dtype)
    table: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for spec in args.task:
        for setting, row in rows_of(members, load_task(spec, dev=args.dev, test=args.test), args):
            for strategy, value in row.items():
                table[setting][strategy].append(value)
            print(spec, setting, {name: round(value, 3) for name, value in row.items()}, flush=True)
    columns = (SINGLE, *STRATEGIES)
    print("| |" + "".join(f" {name} |" for name in columns) + "\n|---|" + "---:|" * len(columns))
    for setting, of in table.items():
        cells = (f" {fmean(of[name]):.3f} |" if name in of else " |" for name in columns)
        print(f"| {setting} |" + "".join(cells))


if __name__ == "__main__":
    main()
