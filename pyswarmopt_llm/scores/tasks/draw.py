"""Draws dev and test, by a seed, from a table without splits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.items import content, normalise
from pyswarmopt_llm.scores.tasks.types import Item

Stratum = tuple[str, str]  # answer, if there are choices, and domain
Items = tuple[Item, ...]


def draw_splits(
    items: Sequence[Item], seed: int, where: str, share: int
) -> tuple[Items, Items, str]:
    """Draw one item in `share` as dev and the rest as test; the first N of each are a sample.

    Systematic sampling: each stratum (items with one answer and domain) is shuffled and spread
    evenly over the order. Equal questions stay together. The draw depends only on questions,
    answers and seed, not on the file's order.

    Returns:
        Dev, test, and the strata ("answer", "domain", "answer and domain" or "").
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
    """At most `size` items as dev, in whole groups, but at least one group; and the rest as test."""
    dev: list[Item] = []
    test: list[Item] = []
    for group in groups:
        (dev if len(dev) + len(group) <= size else test).extend(group)
    if dev:
        return dev, test
    smallest = min(groups, key=len)  # a few questions repeated many times
    return smallest, [item for group in groups if group is not smallest for item in group]


def _grouped(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Items by question, or by question and options if most items share a question ("Which sentence
    is right?").
    """
    groups = _by(items, lambda item: normalise(item.conversation))
    if groups and 2 * max(map(len, groups.values())) > len(items):
        groups = _by(items, _unordered)
    return groups


def _by(items: Sequence[Item], key: Callable[[Item], str]) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _unordered(item: Item) -> str:
    """Question and options, these in alphabetical order."""
    question, *options = content(item)
    return "\0".join((question, *sorted(options)))


def _stratum(item: Item) -> Stratum:
    return item.answer if item.choices else "", item.meta.get("domain", "")


def _spread(strata: Mapping[str, Stratum], seed: int) -> list[str]:
    """The keys in an order in which strata are evenly spread."""
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
