"""Generated tasks: every answer recomputed from the text of the question by another method."""

from __future__ import annotations

import calendar
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest

from pyswarmopt_llm.published.builtin import (
    BUILTINS,
    DESKS,
    SKILLS,
    builtin_task,
    builtin_training_items,
)
from pyswarmopt_llm.scores.tasks import Item, load_task
from pyswarmopt_llm.training.examples import load_examples

# The number words, spelled out once more and differently from the library.
UNITS = "one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = [
    "zero",
    *UNITS,
    *TEENS,
    *itertools.chain(*([t, *(f"{t}-{u}" for u in UNITS)] for t in TENS)),
]
NUMBER = {word: n for n, word in enumerate(WORDS)}

GIRLS = set(
    "Anna Beth Clara Dora Emma Fay Grace Helen Iris Julia Kate Lucy Mary Nina Olga Paula".split()
)


# Arithmetic


def solve_arithmetic(question: str) -> str:
    numbers = [NUMBER[w] for w in re.findall(r"[a-z-]+", question) if w in NUMBER]
    a, b = numbers
    return WORDS[a - b if "gives away" in question or "fewer" in question else a + b]


# Graph


def reachable(question: str, start: str) -> set[str]:
    """By powers of the adjacency matrix."""
    edges = re.findall(r"([A-Z][a-z]+)-([A-Z][a-z]+)", question)
    nodes = sorted({node for edge in edges for node in edge})
    adjacency = np.eye(len(nodes), dtype=int)
    for a, b in edges:
        i, j = nodes.index(a), nodes.index(b)
        adjacency[i, j] = adjacency[j, i] = 1
    paths = np.linalg.matrix_power(adjacency, len(nodes))
    return {
        node
        for node, n in zip(nodes, paths[nodes.index(start)], strict=True)
        if n and node != start
    }


def check_graph(item: Item) -> None:
    match = re.search(r"Which town can be reached from (\w+)\?", item.question)
    assert match is not None
    near = reachable(item.question, match[1])
    assert {letter for letter, town in item.choices.items() if town in near} == {item.answer}
    assert match[1] not in item.choices.values()


# Dates


def weekday(start: str, steps: int) -> str:
    monday = date(2024, 1, 1)
    day = monday + timedelta(days=list(calendar.day_name).index(start) + steps)
    return calendar.day_name[day.weekday()]


def solve_dates(question: str) -> str:
    match = re.search(r"is ([\w-]+) (days|months) (after|before) (\w+)\.", question)
    steps = NUMBER[match[1]] * (1 if match[3] == "after" else -1)
    if match[2] == "days":
        return weekday(match[4], steps)
    month = list(calendar.month_name).index(match[4])
    return calendar.month_name[(month + steps - 1) % 12 + 1]


# Kinship, as paths: U to a parent, D to a child, S to a sibling, M to who is married to one

PATHS = {
    "U": ("mother", "father"),
    "D": ("daughter", "son"),
    "S": ("sister", "brother"),
    "M": ("wife", "husband"),
    "UU": ("grandmother", "grandfather"),
    "DD": ("granddaughter", "grandson"),
    "US": ("aunt", "uncle"),
    "SD": ("niece", "nephew"),
    "USD": ("cousin", "cousin"),
    "MU": ("mother-in-law", "father-in-law"),
    "DM": ("daughter-in-law", "son-in-law"),
    "MS": ("sister-in-law", "brother-in-law"),
    "SM": ("sister-in-law", "brother-in-law"),
}
PATH = {name: path for path, names in PATHS.items() for name in names}
# a parent's spouse is the other parent, a cousin's parent an aunt, ...
SHORTER = {"USDU": "US", "USM": "US", "UM": "U", "UD": "S", "DS": "D", "SU": "U"}


def solve_kinship(question: str) -> str:
    """The one relation that follows, by shortening the path from one to the other."""
    asked = re.search(r"What is (\w+) to (\w+)\?", question)
    told = re.search(r"(\w+) is the ([\w-]+) of (?:the (\w+) of )?(\w+)'s (\w+)\.", question)
    if told:
        x, kin, middle, y, of = told.groups()
        path = "".join(PATH[step] for step in (of, middle, kin) if step)
        assert (x in GIRLS) == (kin in {female for female, _ in PATHS.values()})
        assert asked.groups() == (x, y)
    else:
        y, x, relation = re.search(r"(\w+) is (\w+)'s ([\w-]+)\.", question).groups()
        path = PATH[relation][::-1].translate(str.maketrans("UD", "DU"))
        assert asked.groups() == (x, y)
    while path not in PATHS:
        longer = next(rule for rule in SHORTER if rule in path)
        path = path.replace(longer, SHORTER[longer], 1)
    return PATHS[path][asked[1] not in GIRLS]


SOLVERS: dict[str, Callable[[str], str]] = {
    "arithmetic": solve_arithmetic,
    "dates": solve_dates,
    "kinship": solve_kinship,
}


@pytest.mark.parametrize("seed", [0, 1])
def test_every_answer_is_right(seed: int) -> None:
    task = load_task(f"builtin:mixture:{seed}", dev=350, test=700)
    domains = Counter()
    for item in task.dev + task.test:
        domain = item.meta["domain"]
        domains[domain] += 1
        if domain == "graph":
            check_graph(item)
        else:
            assert item.answer_text == SOLVERS[domain](item.question), item
    assert set(domains) == set(SKILLS)
    for name in set(SKILLS) - {"graph"}:
        for example in load_examples(f"builtin:{name}", 150, seed):
            user, assistant = example["messages"]
            question = user["content"].removeprefix("Question: ")
            assert assistant["content"] == SOLVERS[name](question), question


# Form and partitions


# Where they are not the usual ones: sizes of dev and test, number of training examples.
TRAINING = {"requests": 768, "five-desks": 480, "everyday": 0}


def canonical(question: str) -> str:
    """Independent of the order in which roads, summands or relatives are told."""
    return " ".join(sorted(re.findall(r"\w+", question.lower())))


@pytest.mark.parametrize("name", BUILTINS)
def test_train_dev_and_test_are_disjoint_across_seeds(name: str) -> None:
    train, dev, test = set(), set(), set()
    for seed in (0, 1):
        count = TRAINING.get(name, 96 if name in DESKS else 1500)
        for item in builtin_training_items(name, count, seed):
            train.add(canonical(item.question))
        task = builtin_task(name, seed)
        dev |= {canonical(item.question) for item in task.dev}
        test |= {canonical(item.question) for item in task.test}
    assert not (train & dev or train & test or dev & test)


def test_the_seed_decides_and_nothing_else() -> None:
    before = random.getstate()
    first, again, other = (load_task(f"builtin:requests:{seed}") for seed in (4, 4, 5))
    assert random.getstate() == before
    assert first == again
    assert first.fingerprint != other.fingerprint
    assert load_task("builtin:requests:4", dev=30).dev == first.dev[:30]
    # in any process: strings are hashed anew in each
    assert first.fingerprint[:8] == "97adaca8"
    # what was scored on these questions is compared with what will be
    assert load_task("builtin:mixture:0").fingerprint[:8] == "27498c40"
