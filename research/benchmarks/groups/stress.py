#!/usr/bin/env python3
"""Groups under stress, beside single models: foreign words in a question, the same question in other
words, members that attack together, how far agreement can be relied on, and how many members a
group needs.

The laboratory's ten experts on four options. Their responses are kept in --work; everything else is
computed from them. What is in the outcomes is not computed again.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/groups/stress.py --lab runs/lab --work runs/stress \\
        --outcomes research/evidence/stress.jsonl

A line of the outcomes is a task, a part, a condition and a method. `inputs`: 1 for each right
answer of a test item, and 1 for each answer that is the one without the change. `agreement`: how
often a right answer has more agreement than a wrong one (AUC), and accuracy where agreement is
highest. `liars`: accuracy, mean over sets of liars. `size`: accuracy of the members that greedy
selection on dev adds one after the other (Caruana et al. 2004).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from cached import lab_members

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Answer, Member
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.common.files.regular import AppendLog
from pyswarmopt_llm.scores.tasks import Item, Scoring, Task, load_task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
from lab_skills import LENGTH

FOREIGN = "foreign"  # no word of the laboratory
# skills -> two skills that do the same, one after the other
OTHER_WORDS = {
    "reverse": "halves pairs",
    "pairs": "reverse halves",
    "halves": "reverse pairs",
    "sort": "reverse sort",
    "fall": "reverse fall",
    "sort reverse": "reverse fall",
    "rotate back": "back rotate",
}
SINGLE = "best member"
STRATEGIES = ("majority", "weighted", "trust", "confidence", "stacked")
LIARS, DRAWS = (1, 2, 4), 2
Change = Callable[[Item], Item | None]
Lie = Callable[[Item, Answer], str]


def foreign_words(count: int) -> Change:
    """Puts a word that nobody knows into the question, `count` times, anywhere."""

    def change(item: Item) -> Item:
        words, rng = item.question.split(), random.Random(f"{count} {item.question}")
        for _ in range(count):
            words.insert(rng.randint(0, len(words)), FOREIGN)
        return replace(item, question=" ".join(words))

    return change


def in_other_words(item: Item) -> Item | None:
    """The same question by `OTHER_WORDS`; None where there are none."""
    words = item.question.split()
    skills, letters = " ".join(words[:-LENGTH]), words[-LENGTH:]
    if skills not in OTHER_WORDS:
        return None
    return replace(item, question=" ".join([OTHER_WORDS[skills], *letters]))


CHANGES: Mapping[str, Change] = {
    "one foreign word": foreign_words(1),
    "two foreign words": foreign_words(2),
    "in other words": in_other_words,
}


class Liar(Member):
    """A `Member` that answers dev items in truth, and others with what `lie` makes of its answer; it
    names an option without scores.
    """

    def __init__(self, member: Member, lie: Lie, truthful: Sequence[Item]) -> None:
        super().__init__(member.name, f"{member.fingerprint} {lie.__name__}")
        self._member, self._lie = member, lie
        self._truthful = {item.question for item in truthful}

    def answer(
        self, items: Sequence[Item], scoring: Scoring, template: str | None = None
    ) -> list[Answer]:
        """See `Member`."""
        truth = self._member.answer(items, scoring, template)
        return [
            answer
            if item.question in self._truthful
            else Answer(self._lie(item, answer), answer.tokens)
            for item, answer in zip(items, truth, strict=True)
        ]

    def refuse(self) -> Any:
        """See `Member`."""
        raise NotImplementedError("a liar votes alone")


def together(item: Item, truth: Answer) -> str:
    """The first wrong option: all liars name the same."""
    return next(letter for letter in item.choices or {} if letter != item.answer)


def alone(item: Item, truth: Answer) -> str:
    """A wrong option, the one that the member finds best."""
    wrong = [letter for letter in item.choices or {} if letter != item.answer]
    return max(wrong, key=lambda letter: truth.scores[letter])


def unknowing(item: Item, truth: Answer) -> str:
    """The option that the member finds worst: nobody told it what is right."""
    return min(truth.scores, key=lambda letter: truth.scores[letter])


def decided(context: GroupContext, name: str, items: Sequence[Item]) -> list[Verdict]:
    """A strategy's verdicts; of `SINGLE` the answers of the member that is best on dev, with its
    calibrated probability for agreement.
    """
    if name != SINGLE:
        return load_strategy(name).decide(context, items)
    best = context.order[0]
    responses = context.collect(items)
    sure = context.beliefs(best, items, responses.answers[best]).max(axis=1)
    return [
        Verdict(ballots[best], (ballots[best],), float(p), int(responses.tokens[best, i]))
        for i, (ballots, p) in enumerate(zip(responses.ballots, sure, strict=True))
    ]


def marks(items: Sequence[Item], verdicts: Sequence[Verdict]) -> list[bool]:
    """Whether each verdict is right."""
    return [is_right(item, verdict.answer) for item, verdict in zip(items, verdicts, strict=True)]


def text_of(flags: Sequence[bool]) -> str:
    """1 and 0 in a text.

    Example:
        >>> text_of([True, False])
        '10'
    """
    return "".join(map(str, map(int, flags)))


def inputs(context: GroupContext, task: Task) -> Iterator[dict[str, Any]]:
    """Right answers, and answers that stay the same, to questions that were changed."""
    for condition, change in CHANGES.items():
        pairs = [(item, change(item)) for item in task.test]
        plain = [item for item, changed in pairs if changed is not None]
        changed_items = [changed for _, changed in pairs if changed is not None]
        for name in (SINGLE, *STRATEGIES):
            before, after = (decided(context, name, part) for part in (plain, changed_items))
            same = [a.answer == b.answer for a, b in zip(before, after, strict=True)]
            row = {"test": text_of(marks(changed_items, after)), "same": text_of(same)}
            row["plain"] = text_of(marks(plain, before))
            yield {"part": "inputs", "condition": condition, "method": name, **row}


def auc(agreement: Sequence[float], right: Sequence[bool]) -> float:
    """The probability that a right answer has more agreement than a wrong one, ties one half.

    Example:
        >>> auc([0.9, 0.5, 0.5, 0.1], [True, True, False, False])
        0.875
    """
    values, flags = np.asarray(agreement), np.asarray(right)
    pairs = np.sign(values[flags][:, None] - values[~flags])
    return float((pairs + 1).mean() / 2)


def agreement(context: GroupContext, task: Task) -> Iterator[dict[str, Any]]:
    """What agreement says of an answer."""
    for name in (SINGLE, *STRATEGIES):
        verdicts = decided(context, name, task.test)
        values = [verdict.agreement for verdict in verdicts]
        right = np.array(marks(task.test, verdicts))
        half = np.argsort(values, kind="stable")[len(values) // 2 :]
        yield {
            "part": "agreement",
            "condition": "as it is",
            "method": name,
            "auc": auc(values, right.tolist()),
            "accuracy": float(right.mean()),
            "upper_half": float(right[half].mean()),
        }


def liars(members: Sequence[Member], task: Task) -> Iterator[dict[str, Any]]:
    """Accuracy while some members attack on test; they have earned their weights on dev."""
    for lie in (together, alone, unknowing):
        for count in LIARS:
            scores: dict[str, list[float]] = {name: [] for name in STRATEGIES}
            for draw in range(DRAWS):
                chosen = random.Random(f"{count} {draw}").sample(range(len(members)), count)
                group = [
                    Liar(member, lie, task.dev) if k in chosen else member
                    for k, member in enumerate(members)
                ]
                context = GroupContext(group, task, "likelihood")
                for name, values in scores.items():
                    values.append(fmean(marks(task.test, decided(context, name, task.test))))
            for name, values in scores.items():
                condition = f"{count}, {lie.__name__}"
                row = {"part": "liars", "condition": condition, "method": name}
                yield {**row, "accuracy": fmean(values)}


def chosen_on_dev(members: Sequence[Member], task: Task, strategy: str, count: int) -> list[int]:
    """The members that greedy selection takes one after the other: the one with which the group is
    best on dev, the first on a tie.
    """
    chosen: list[int] = []
    while len(chosen) < count:
        left = [k for k in range(len(members)) if k not in chosen]
        scores = []
        for k in left:
            context = GroupContext([members[j] for j in (*chosen, k)], task, "likelihood")
            scores.append(fmean(marks(task.dev, decided(context, strategy, task.dev))))
        chosen.append(left[int(np.argmax(scores))])
    return chosen


def sizes(members: Sequence[Member], task: Task) -> Iterator[dict[str, Any]]:
    """Groups of 1 to all members."""
    for name in ("majority", "weighted", "confidence"):
        chosen = chosen_on_dev(members, task, name, len(members))
        for count in range(1, len(members) + 1):
            context = GroupContext([members[k] for k in chosen[:count]], task, "likelihood")
            verdicts = decided(context, name, task.test)
            yield {
                "part": "size",
                "condition": str(count),
                "method": name,
                "accuracy": fmean(marks(task.test, verdicts)),
                "tokens": fmean(verdict.tokens for verdict in verdicts),
            }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder that lab.py made")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file of outcomes")
    parser.add_argument("--tasks", nargs="+", default=["t4", "t5", "t6"])
    args = parser.parse_args()
    members = lab_members(args.lab, args.work)
    log = AppendLog(args.outcomes)
    done = {(row["task"], row["part"]) for row in log.repaired()}
    for name in args.tasks:
        task = load_task(str(args.lab / "tasks" / f"{name}.json"))
        context = GroupContext(members, task, "likelihood")
        parts = {
            "inputs": inputs(context, task),
            "agreement": agreement(context, task),
            "liars": liars(members, task),
            "size": sizes(members, task),
        }
        for part, rows in parts.items():
            if (name, part) in done:
                continue
            for row in list(rows):  # all or none, since a part that has begun counts as done
                log.append({"task": name, **row})
            print(name, part, flush=True)


if __name__ == "__main__":
    main()
