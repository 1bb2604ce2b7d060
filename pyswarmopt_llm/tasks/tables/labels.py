"""The labels of a table as the choices of all its items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product
from string import ascii_uppercase

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tasks.answers import extract_number, normalise
from pyswarmopt_llm.tasks.tables.draw import Located

MOST_LABELS = 200
# A column of another name holds labels if there are few of them, short, and each is frequent.
_FEW, _WORDS, _REPEATS = 20, 5, 5


def with_label_choices(items: Sequence[Located], where: str, named: bool = False) -> tuple[list[Located], str]:
    """Give items without choices the set of their answers as choices, if the answers are labels.

    `named` says that the column's name marks labels. Returns the items, open questions unchanged, and a note on what
    was decided.

    Example:
        >>> from pyswarmopt_llm.tasks.types import Item
        >>> items = [(f"line {i}", Item(str(i), f"text {i}", None, "no" if i % 2 else "yes")) for i in range(4)]
        >>> found, note = with_label_choices(items, "mine.csv", named=True)
        >>> found[0][1].choices, found[0][1].answer, note
        ({'A': 'no', 'B': 'yes'}, 'B', 'its 2 labels are the choices')
    """
    labels = sorted({item.answer for _, item in items})
    if not named and not _look_like_labels(items, labels):
        return list(items), "answers are written, since there are no choices"
    _check(labels, len(items), where)
    choices = dict(zip(label_letters(len(labels)), labels, strict=True))
    letters = {label: letter for letter, label in choices.items()}
    note = f"its {len(labels)} labels are the choices"
    if all(label.lstrip("-").isdigit() for label in labels):
        note += "; they are numbers, which tell a model nothing: words work better"
    return [(place, replace(item, choices=choices, answer=letters[item.answer])) for place, item in items], note


def label_letters(n: int) -> list[str]:
    """Names of `n` choices: A, B, ...; beyond the alphabet AA, AB, ..., which likelihood scoring only can tell apart.

    Example:
        >>> label_letters(3), label_letters(30)[-1]
        (['A', 'B', 'C'], 'BD')
    """
    if n <= len(ascii_uppercase):
        return list(ascii_uppercase[:n])
    return ["".join(pair) for pair in islice(product(ascii_uppercase, repeat=2), n)]


def _look_like_labels(items: Sequence[Located], labels: Sequence[str]) -> bool:
    few = 2 <= len(labels) <= _FEW and _REPEATS * len(labels) <= len(items)
    return few and all(len(label.split()) <= _WORDS and extract_number(label) is None for label in labels)


def _check(labels: Sequence[str], n: int, where: str) -> None:
    written = 'for answers to be written, call the column "answer"'
    if len(labels) < 2:
        raise UserError(f"{where}: {len(labels)} label; at least two are needed")
    if n > 10 and 2 * len(labels) > n:
        raise UserError(f"{where}: {len(labels)} different labels in {n} rows look like free text; {written}")
    if len(labels) > MOST_LABELS:
        raise UserError(f"{where}: {len(labels)} labels; at most {MOST_LABELS} can be choices; join some, or {written}")
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(normalise(label) or label, label)
        if other != label:
            why = "differ only in case or punctuation; make them one"
            raise UserError(f"{where}: the labels {other!r} and {label!r} {why}")
