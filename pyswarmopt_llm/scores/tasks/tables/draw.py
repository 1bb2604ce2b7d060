"""Dev and test: as a file says, or drawn by a seed from items without a split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.items import normalise, unordered
from pyswarmopt_llm.scores.tasks.tables.names import SPLITS, Reading
from pyswarmopt_llm.scores.tasks.types import Item, RawTask

Located = tuple[str, Item]  # its place in the file, for messages, and the item
Placed = tuple[str, Item, str]  # the same and its split, "" if the file has none
# dev is one item in so many; of prompts, which nobody has to answer, every other one
DEV_SHARE, DEV_SHARE_OF_PROMPTS = 3, 2


def placed_task(
    items: Sequence[Placed],
    path: Path,
    reading: Reading,
    note: str,
    column: str,
    share: int = DEV_SHARE,
) -> RawTask:
    """The task of items, in the splits that their file names, or in drawn ones."""
    if not any(split for *_, split in items):
        located = [(place, item) for place, item, _ in items]
        splits, strata = draw_splits(located, reading.seed, str(path), share)
        return RawTask(path.stem, None, splits, strata=strata, note=note, column=column)
    splits = {split: [] for split in SPLITS}
    for place, item, split in items:
        splits[split].append((place, item))
    return RawTask(path.stem, None, splits, note=note, column=column)


def draw_splits(
    items: Sequence[Located], seed: int, where: str, share: int = DEV_SHARE
) -> tuple[dict[str, list[Located]], str]:
    """One item in `share` as dev, the rest as test, in drawn order: the first N are a sample.

    Systematic sampling: each stratum, the items of one answer and domain, is shuffled and spread
    evenly over the order. Equal questions stay together. The draw depends on questions, answers and
    seed only, not on the order of the file.

    Returns:
        ``dev`` and ``test``, and what the strata are ("answer", "domain", "answer and domain" or
        "").
    """
    groups = _grouped(items)
    if len(groups) < 2:
        raise UserError(
            f"{where}: {counted(len(groups), 'different question')}; at least two are needed for "
            "dev and test"
        )
    strata = {key: _stratum(group) for key, group in groups.items()}
    target = max(1, len(items) // share)
    dev: list[Located] = []
    test: list[Located] = []
    order = _spread(strata, seed)
    for group in (groups[key] for key in order):
        (dev if len(dev) + len(group) <= target else test).extend(group)
    if not dev:  # few questions that are repeated many times
        smallest = min(order, key=lambda key: len(groups[key]))
        dev = groups[smallest]
        test = [item for key in order if key != smallest for item in groups[key]]
    values = zip(*strata.values(), strict=True)
    parts = [
        name
        for name, column in zip(("answer", "domain"), values, strict=False)
        if len(set(column)) > 1
    ]
    return {"dev": dev, "test": test}, " and ".join(parts)


def _grouped(items: Sequence[Located]) -> dict[str, list[Located]]:
    """Items by question; by question and options where most items share one ("Which sentence is
    right?").
    """
    groups = _by(items, lambda item: normalise(item.asked))
    if groups and 2 * max(map(len, groups.values())) > len(items):
        groups = _by(items, lambda item: "\0".join(unordered(item)))
    return groups


def _by(items: Sequence[Located], key: Callable[[Item], str]) -> dict[str, list[Located]]:
    groups: dict[str, list[Located]] = {}
    for placed in items:
        groups.setdefault(key(placed[1]), []).append(placed)
    return groups


def _stratum(group: Sequence[Located]) -> tuple[str, str]:
    """Answer, if there are choices, and domain."""
    return min(
        (item.answer if item.choices else "", item.meta.get("domain", "")) for _, item in group
    )


def _spread(strata: Mapping[str, tuple[str, str]], seed: int) -> list[str]:
    """The keys in an order in which every stretch has about the same share of each stratum."""
    members: dict[tuple[str, str], list[str]] = {}
    for key in sorted(strata, key=lambda key: _random(seed, key)):
        members.setdefault(strata[key], []).append(key)
    place: dict[str, float] = {}
    for stratum, keys in members.items():
        offset = _random(seed, "\0".join(("stratum", *stratum)))
        place |= {key: (rank + offset) / len(keys) for rank, key in enumerate(keys)}
    return sorted(place, key=lambda key: (place[key], _random(seed, key)))


def _random(seed: int, text: str) -> float:
    """A hash of the arguments as a number in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}\0{text}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
