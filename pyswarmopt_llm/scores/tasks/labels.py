"""Labels of a table as the choices of each of its questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from string import ascii_uppercase

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.items import normalise
from pyswarmopt_llm.scores.tasks.types import Item

MOST_LABELS = 200


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
