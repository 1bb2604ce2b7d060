"""What a table of questions may leave open: dev and test, drawn by a seed, and its labels as the
choices of each question.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.scores.tasks.columns import Columns
from pyswarmopt_llm.scores.tasks.items import normalise, unordered
from pyswarmopt_llm.scores.tasks.types import Item

MOST_LABELS = 200


def label_choices(
    items: list[Item], columns: Columns, path: Path, names: Mapping[str, str]
) -> tuple[list[Item], str]:
    """The items of a file with their labels as choices, if they have no options; and a note on that.

    Raises:
        UserError: see `with_label_choices`; or there are options, and names of labels.
    """
    if not any(item.choices for item in items):
        where = f'{path}: column "{columns.header("answer")}"'
        return with_label_choices(items, names, where)
    if names:
        why = f"names labels, but {path} has options; remove it"
        raise InvalidOption("columns", ",".join(names), why)
    return items, ""


def with_label_choices(
    items: Sequence[Item], names: Mapping[str, str], where: str
) -> tuple[list[Item], str]:
    """Give items the set of their answers as choices, and say so in a note.

    Args:
        items: open questions.
        names: a label of the file -> what it is called; empty: as in the file.
        where: begins messages.

    Raises:
        UserError: the answers are no labels, or one has no name.

    Example:
        >>> from pyswarmopt_llm.scores.tasks import Item
        >>> items = [Item(str(i), f"text {i}", None, "01"[i % 2]) for i in range(4)]
        >>> labelled, note = with_label_choices(items, {"0": "yes", "1": "no"}, "mine.csv")
        >>> labelled[0].choices, labelled[0].answer, note
        ({'A': 'no', 'B': 'yes'}, 'B', 'its 2 labels are the choices')
        >>> with_label_choices(items, {}, "mine.csv")[1].partition("columns` ")[2]
        '0=NAME,1=NAME'
    """
    several = next((item for item in items if item.meta.get("answers")), None)
    if several is not None:
        raise UserError(
            f"{several.location}: several labels, {', '.join(several.references)}, of which one is "
            'chosen; give one to each row, or call the column "answer" where each is right'
        )
    items = [replace(item, answer=plain_number(item.answer)) for item in items]
    unnamed = next((item for item in items if names and item.answer not in names), None)
    if unnamed is not None:
        spec = ",".join(f"{number}={name}" for number, name in names.items())
        raise UserError(
            f"{unnamed.location}: the label {unnamed.answer!r} has no name in `columns` {spec}; add "
            f"{unnamed.answer}=NAME"
        )
    answers = [names.get(item.answer, item.answer) for item in items]
    labels = sorted(set(answers))
    _check_labels(labels, len(items), where)
    choices = dict(zip(label_letters(len(labels)), labels, strict=True))
    letters = {label: letter for letter, label in choices.items()}
    note = f"its {len(labels)} labels are the choices"
    if all(label.lstrip("-").isdigit() for label in labels):
        spec = ",".join(f"{label}=NAME" for label in labels[:2]) + ",..." * (len(labels) > 2)
        note += f"; they are numbers, which tell a model nothing: name them with `columns` {spec}"
    pairs = zip(items, answers, strict=True)
    return [replace(item, choices=choices, answer=letters[answer]) for item, answer in pairs], note


def plain_number(label: str) -> str:
    """A label as a whole number, which pandas writes with a decimal beside gaps.

    Example:
        >>> plain_number("1.0"), plain_number("-2.00"), plain_number("1.5"), plain_number("v1.0")
        ('1', '-2', '1.5', 'v1.0')
    """
    return re.sub(r"^(-?[0-9]+)\.0+$", r"\1", label)


def label_letters(n: int) -> list[str]:
    """Names of `n` choices: A, B, ...; beyond the alphabet AA, AB, ..., for likelihoods.

    Example:
        >>> label_letters(3), label_letters(30)[-1]
        (['A', 'B', 'C'], 'BD')
    """
    if n <= len(ascii_uppercase):
        return list(ascii_uppercase[:n])
    return ["".join(pair) for pair in islice(product(ascii_uppercase, repeat=2), n)]


def _check_labels(labels: Sequence[str], n: int, where: str) -> None:
    if len(labels) < 2:
        raise UserError(f"{where}: {len(labels)} label; at least two are needed")
    if len(labels) > MOST_LABELS or (n > 10 and 2 * len(labels) > n):
        raise UserError(
            f"{where}: {len(labels)} different labels in {n} rows look like free text, and at most "
            f'{MOST_LABELS} can be choices; join some, or call the column "answer" for answers '
            "to be written"
        )
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(normalise(label) or label, label)
        if other != label:
            why = "differ only in case or punctuation; make them one"
            raise UserError(f"{where}: the labels {other!r} and {label!r} {why}")


Stratum = tuple[str, str]  # answer, if there are choices, and domain
Items = tuple[Item, ...]


def draw_splits(
    items: Sequence[Item], seed: int, where: str, share: int
) -> tuple[Items, Items, str]:
    """One item in `share` as dev, the rest as test, in drawn order: the first N are a sample.

    Systematic sampling: each stratum, the items of one answer and domain, is shuffled and spread
    evenly over the order. Equal questions stay together. The draw depends on questions, answers and
    seed only, not on the order of the file.

    Returns:
        Dev, test, and what the strata are ("answer", "domain", "answer and domain" or "").
    """
    groups = _grouped(items)
    if len(groups) < 2:
        raise UserError(
            f"{where}: {counted(len(groups), 'different question')}; at least two are needed for "
            "dev and test"
        )
    strata = {key: min(map(_stratum, group)) for key, group in groups.items()}
    order = _spread(strata, seed)
    dev, test = _filled([groups[key] for key in order], max(1, len(items) // share))
    answers, domains = map(set, zip(*strata.values(), strict=True))
    named = (("answer", answers), ("domain", domains))
    parts = [name for name, values in named if len(values) > 1]
    return tuple(dev), tuple(test), " and ".join(parts)


def _filled(groups: Sequence[list[Item]], size: int) -> tuple[list[Item], list[Item]]:
    """Dev of at most `size` items, as many as fit of whole groups, but not none; and the rest."""
    dev: list[Item] = []
    test: list[Item] = []
    for group in groups:
        (dev if len(dev) + len(group) <= size else test).extend(group)
    if dev:
        return dev, test
    smallest = min(groups, key=len)  # few questions that are repeated many times
    return smallest, [item for group in groups if group is not smallest for item in group]


def _grouped(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Items by question; by question and options where most items share one ("Which sentence is
    right?").
    """
    groups = _by(items, lambda item: normalise(item.conversation))
    if groups and 2 * max(map(len, groups.values())) > len(items):
        groups = _by(items, lambda item: "\0".join(unordered(item)))
    return groups


def _by(items: Sequence[Item], key: Callable[[Item], str]) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _stratum(item: Item) -> Stratum:
    return item.answer if item.choices else "", item.meta.get("domain", "")


def _spread(strata: Mapping[str, Stratum], seed: int) -> list[str]:
    """The keys in an order in which every stretch has about the same share of each stratum."""
    members: dict[Stratum, list[str]] = {}
    for key in sorted(strata, key=lambda key: _random(seed, key)):
        members.setdefault(strata[key], []).append(key)
    position: dict[str, float] = {}
    for stratum, keys in members.items():
        offset = _random(seed, "\0".join(("stratum", *stratum)))
        position |= {key: (rank + offset) / len(keys) for rank, key in enumerate(keys)}
    return sorted(position, key=lambda key: (position[key], _random(seed, key)))


def _random(seed: int, text: str) -> float:
    """A hash of the arguments as a number in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}\0{text}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
