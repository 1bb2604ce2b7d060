#!/usr/bin/env python3
"""Debates among simulated members: what refinement, its early end and its filter, and the societies
of Zhang et al. do where members read as the model below says. The negotiation is the real one; only
the members are simulated, because models that this machine can run write at chance about four
options.

The model. Every question has four options and a tempting wrong one. A member is right on its own
share of questions; where it is wrong it falls for the tempting option with probability TRAP, else
for one of the others. On reading others, it takes the answer with the greatest weight: its own
answer has its stubbornness, each argument that it reads 1, but `persuasion` if it argues for the
right answer. With persuasion 1 an argument carries no more than a vote.

    python benchmarks/groups/simulated_debates.py
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from statistics import fmean
from unittest import mock

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Answer, Likelihood, Pair, Texts
from pyswarmopt_groups.negotiation import refinement
from pyswarmopt_groups.registry import load_strategy, society_names
from pyswarmopt_groups.responses import is_right
from pyswarmopt_llm.tasks import Item, Scoring, Task

ACCURACIES = (0.75, 0.70, 0.65, 0.60, 0.55)
TRAP = 0.6  # probability that a wrong answer is the tempting one
STUBBORN, CONFIDENT = 1.5, 3.5  # weight of one's own answer, usually and if told to be confident
REASONS = "because of what is known about this and of all that follows from it"
_QUESTION = re.compile(r"Question: (.+)")
_OWN = re.compile(r"Your answer so far: .*The answer is ([A-D])")
_OTHERS = re.compile(r"Somebody else says: .*The answer is ([A-D])")


class Talker:
    """A simulated `Member`; the same question or prompt always gets the same reply."""

    gives_likelihoods = False

    def __init__(
        self, number: int, accuracy: float, persuasion: float, items: Sequence[Item], seed: int
    ) -> None:
        self.name = self.fingerprint = f"member {number}"
        self._accuracy, self._persuasion, self._seed = accuracy, persuasion, seed
        self._items = {item.question: item for item in items}

    def alone(self, item: Item) -> str:
        """Its answer before it has read anybody."""
        rng = random.Random(f"{self._seed} {self.name} {item.question}")
        if rng.random() < self._accuracy:
            return item.answer
        others = [letter for letter in "ABCD" if letter not in (item.answer, item.meta["trap"])]
        return item.meta["trap"] if rng.random() < TRAP else rng.choice(others)

    def _reply(self, prompt: str) -> str:
        found = _QUESTION.search(prompt)
        item = self._items[found[1] if found else ""]
        own = _OWN.search(prompt)
        if own is None:
            return self._argument(self.alone(item))
        weights = {own[1]: CONFIDENT if "You are confident" in prompt else STUBBORN}
        for letter in _OTHERS.findall(prompt):
            weights[letter] = weights.get(letter, 0.0) + (
                self._persuasion if letter == item.answer else 1.0
            )
        # of equal ones its own, then the first
        return self._argument(max(weights, key=lambda letter: weights[letter]))

    def _argument(self, letter: str) -> str:
        return f"{self.name} says so {REASONS}. The answer is {letter}."

    def answer(
        self, items: Sequence[Item], scoring: Scoring, template: str | None = None
    ) -> list[Answer]:
        """See `Member`."""
        return [Answer(self.alone(item), self.count(item.question) + 1) for item in items]

    def generate(
        self,
        prompts: Sequence[str],
        n: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
        max_new_tokens: int = 128,
    ) -> list[Texts]:
        """See `Member`; a word is a token."""
        replies = [self._reply(prompt) for prompt in prompts]
        pairs = zip(prompts, replies, strict=True)
        return [
            Texts((reply,) * n, self.count(prompt) + n * self.count(reply))
            for prompt, reply in pairs
        ]

    def likelihoods(self, pairs: Sequence[Pair]) -> list[Likelihood]:
        """See `Member`."""
        raise NotImplementedError("a simulated member gives no likelihoods")

    def count(self, text: str) -> int:
        """See `Member`."""
        return len(text.split())


def quiz(n: int, seed: int) -> tuple[Item, ...]:
    """Questions with four options, one right and one tempting."""
    rng = random.Random(seed)
    found = []
    for i in range(n):
        right, trap = rng.sample("ABCD", 2)
        choices = {letter: f"option {letter}" for letter in "ABCD"}
        found.append(Item(str(i), f"What is right of number {i}?", choices, right, {"trap": trap}))
    return tuple(found)


def group(n: int, accuracies: Sequence[float], persuasion: float, seed: int) -> GroupContext:
    """Simulated members before `n` test items."""
    items = quiz(n, seed)
    members = [Talker(k, p, persuasion, items, seed) for k, p in enumerate(accuracies)]
    return GroupContext(members, Task("quiz", items[:1], items), "generate")


def _everything(own: object, others: Sequence[tuple[str | None, str]], *rest: object) -> list[str]:
    return [text for _, text in others]


# Name of a variant of refinement -> the strategy, and the functions that it goes without.
VARIANTS: dict[str, tuple[str, dict[str, Callable[..., object]]]] = {
    "no round of arguments (majority)": ("refine", {"agreed": lambda ballots: True}),
    "reads all, three rounds": (
        "refine",
        {"pass_on": _everything, "agreed": lambda ballots: False},
    ),
    "reads all, until all agree": ("refine", {"pass_on": _everything}),
    "supported": ("refine", {}),
    "different": ("refine:pass=different", {}),
    "different, one argument at most": ("refine:pass=different:budget=25", {}),
}

Row = tuple[float, float, float]  # accuracy, rounds after the first answers, tokens an item


def refined(name: str, n: int, persuasion: float, seed: int) -> Row:
    """A variant of refinement on `n` items."""
    strategy, without = VARIANTS[name]
    with ExitStack() as stack:
        for function, stand_in in without.items():
            stack.enter_context(mock.patch.object(refinement, function, stand_in))
        context = group(n, ACCURACIES, persuasion, seed)
        verdicts = load_strategy(strategy).fit(context)(context.task.test if context.task else ())
    rounds = fmean(len(one.notes["rounds"]) - 1 for one in verdicts)
    return score(context, verdicts), rounds, fmean(one.tokens for one in verdicts)


def score(context: GroupContext, verdicts: Sequence[Verdict]) -> float:
    """Accuracy."""
    items = context.task.test if context.task else ()
    return fmean(
        is_right(item, verdict.answer) for item, verdict in zip(items, verdicts, strict=True)
    )


def societies(n: int, persuasion: float, seed: int) -> Iterator[tuple[str, float, float, float]]:
    """Name, accuracy, conformity and last number of different answers of each society of three
    agents, three rounds.
    """
    for name in society_names(3, 3):
        context = group(n, ACCURACIES[1:4], persuasion, seed)
        strategy = load_strategy(name)
        items = context.task.test if context.task else ()
        verdicts = strategy.fit(context)(items)
        measured = strategy.measures(items, verdicts)
        yield (
            name,
            score(context, verdicts),
            measured["conformity"] or 0.0,
            measured["consensus"][-1],
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--persuasion", type=float, nargs="+", default=[1.0, 1.5, 2.0])
    args = parser.parse_args()
    for persuasion in args.persuasion:
        print(
            f"\npersuasion {persuasion:g}\n\n| refinement | accuracy | rounds | tokens "
            "|\n|---|---:|---:|---:|"
        )
        for name in VARIANTS:
            rows = [refined(name, args.items, persuasion, seed) for seed in range(args.seeds)]
            accuracy, rounds, tokens = (fmean(column) for column in zip(*rows, strict=True))
            print(f"| {name} | {accuracy:.3f} | {rounds:.2f} | {tokens:.0f} |", flush=True)
        print(
            "\n| society | accuracy | conformity | different answers at the end "
            "|\n|---|---:|---:|---:|"
        )
        seeds = [list(societies(args.items, persuasion, seed)) for seed in range(args.seeds)]
        for rows in zip(*seeds, strict=True):
            values = [fmean(row[k] for row in rows) for k in (1, 2, 3)]
            print(
                f"| {rows[0][0]} | {values[0]:.3f} | {values[1]:.2f} | {values[2]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
