"""Ensembles of two experts of whom each knows a skill, where what they have to answer is worked by
hand.

The options of a test item are words of the other skill: who routes by more than the question sends
it to the wrong expert.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch

from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.tokens.mixing import OptionTable
from pyswarmopt_rivals.methods import ENSEMBLES
from pyswarmopt_rivals.methods.method import Settings

FRUIT = "apple pear plum cherry grape melon lemon peach".split()
TRAFFIC = "car bus tram truck bicycle train ferry lorry".split()
LETTERS = "ABC"


def asked(skill: int, number: int, fresh: bool) -> Item:
    own, other = (FRUIT, TRAFFIC) if skill == 0 else (TRAFFIC, FRUIT)
    options = [f"{other[0]} {other[1]} {word}" for word in other[number : number + 3]]
    choices = dict(zip(LETTERS, options if fresh else ("one", "two", "three"), strict=True))
    name = f"{'test' if fresh else 'dev'} {skill} {number}"
    return Item(name, f"{own[0]} {own[1]} {own[2 + number]}", choices, LETTERS[number % 3])


def sheet(fresh: bool) -> Accuracy:
    """Six items of each skill."""
    items = [asked(skill, number, fresh) for number in range(6) for skill in (0, 1)]
    return Accuracy(items, "letter", lambda turn, _: turn)


class TwoExperts:
    """A panel whose experts know a skill each: there the right letter has 0.9.

    Elsewhere the letter behind the right one has `loud` and the right one what is left but 0.01.
    """

    n = 2

    def __init__(self, loud: float, *sheets: Accuracy) -> None:
        self.loud = loud
        self.items = {
            p: item for of in sheets for p, item in zip(of.prompts, of.items, strict=True)
        }

    def probability(self, expert: int, prompt: str, letter: str) -> float:
        item = self.items[prompt]
        behind = (LETTERS.index(letter) - LETTERS.index(item.answer)) % 3
        known = f" {expert} " in item.id
        return ([0.9, 0.05, 0.05] if known else [0.99 - self.loud, self.loud, 0.01])[behind]

    def option_scores(self, of: Accuracy, expert: int) -> list[dict[str, float]]:
        return [
            {letter: math.log(self.probability(expert, prompt, letter)) for letter in LETTERS}
            for prompt in of.prompts
        ]

    def answers(self, of: Accuracy) -> list[list[str]]:
        said = [self.option_scores(of, expert) for expert in range(2)]
        return [[max(row, key=lambda letter: row[letter]) for row in rows] for rows in said]

    def table(self, pairs: Sequence[tuple[str, str]]) -> OptionTable:
        rows = [[math.log(self.probability(k, *pair)) for k in range(2)] for pair in pairs]
        values = torch.tensor(rows, dtype=torch.float64)
        return OptionTable(values, torch.arange(len(pairs)), len(pairs))


# With a quiet wrong letter any even mixture is right: (0.9 + 0.39) / 2 to (0.05 + 0.6) / 2. With a
# loud one no fixed weights are right on both skills: 0.85 c > 0.95 (1 - c) and the reverse exclude
# each other. A vote of two is the first one's answer.
@pytest.mark.parametrize(
    ("name", "quiet", "loud"),
    [
        ("prediction-merge", 0.5, 0.5),
        ("top-k", 1.0, 0.5),
        ("token", 1.0, 0.5),
        ("cbtm", 1.0, 1.0),
    ],
)
def test_what_each_makes_of_two_skills(name: str, quiet: float, loud: float) -> None:
    dev, test = sheet(fresh=False), sheet(fresh=True)
    for expected, wrong in ((quiet, 0.6), (loud, 0.98)):
        panel = TwoExperts(wrong, dev, test)
        trial = SimpleNamespace(bench=SimpleNamespace(panel=panel, labelled=dev))
        settings = Settings("delta", torch.ones(2), trial=trial)
        found = ENSEMBLES[name].execute([], settings)
        for questions in (dev, test):
            right = questions.judge(found.answers(questions))
            assert sum(right) / len(right) == expected, (name, wrong, questions.items[0].id)
