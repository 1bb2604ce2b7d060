"""Labels of a table as choices of each question: spelling variants are joined, numbers get names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice, product
from string import ascii_uppercase

from pyswarmopt.base.words import in_list
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.items import normalise
from pyswarmopt_llm.scores.tasks.types import Item

MOST_LABELS = 200
LISTED = 20  # most labels in a note
_BETWEEN_WORDS = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")


def listed(names: Sequence[str], most: int) -> str:
    """The first `most` names, and the number of others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def spelling(label: str) -> str:
    """A key shared by labels that differ only in case, blanks or punctuation.

    Example:
        >>> spelling("Sign-up ") == spelling("SIGN UP") == spelling("sign_up!")
        True
        >>> spelling("-"), spelling("-1") == spelling("1")
        ('-', False)
    """
    return _BETWEEN_WORDS.sub(" ", normalise(label)) or label


def check_label(item: Item, names: Mapping[str, str]) -> None:
    """Refuse an item with several labels, or with a label that is neither a named number nor a name.

    Raises:
        UserError: names the label.
    """
    if item.choices is not None:
        return
    if item.meta.get("answers"):
        raise UserError(
            f"{item.location}: several labels, {', '.join(item.references)}, of which one is "
            'chosen; give one to each row, or call the column "answer" where each is right'
        )
    label = plain_number(item.answer)
    if names and label not in names and spelling(label) not in map(spelling, names.values()):
        spec = ",".join(f"{number}={name}" for number, name in names.items())
        advice = f"add {label}=NAME" if _is_number(label) else "write one of these"
        raise UserError(
            f"{item.location}: the label {label!r} has no name in `columns` {spec}; {advice}"
        )


def label_choices(
    items: Sequence[Item], names: Mapping[str, str], where: str
) -> tuple[list[Item], str]:
    """Give items the set of their labels as choices, with a note on it.

    Args:
        items: open questions with labels as answers; see `check_label`.
        names: number in the file -> name of the label; empty: as in the file.
        where: start of messages.

    Raises:
        UserError: the answers are not labels.

    Example:
        >>> from pyswarmopt_llm.scores.tasks import Item
        >>> items = [Item(str(i), f"text {i}", None, "01"[i % 2]) for i in range(4)]
        >>> labelled, note = label_choices(items, {"0": "yes", "1": "no"}, "mine.csv")
        >>> labelled[0].choices, labelled[0].answer, note
        ({'A': 'no', 'B': 'yes'}, 'B', 'its 2 labels are the choices: no 2, yes 2')
        >>> label_choices(items, {}, "mine.csv")[1].partition("columns` ")[2]
        '0=NAME,1=NAME'
    """
    numbers = [plain_number(item.answer) for item in items]
    written = [names.get(number, number) for number in numbers]
    label_of = _label_of(written, names.values())
    answers = [label_of[text] for text in written]
    labels = sorted(set(answers))
    _check_labels(labels, len(items), where)
    choices = dict(zip(label_letters(len(labels)), labels, strict=True))
    letters = {label: letter for letter, label in choices.items()}
    note = "; ".join([*_joined(label_of), *_counts(answers), *_unnamed(labels)])
    pairs = zip(items, answers, strict=True)
    return [replace(item, choices=choices, answer=letters[answer]) for item, answer in pairs], note


def _label_of(written: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """Written label -> label: as the user names it, else the commonest variant of its spelling."""
    counts = Counter(written)
    best: dict[str, str] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label.isupper(), label)):
        best.setdefault(spelling(label), label)
    best |= {spelling(label): label for label in names}
    return {text: best[spelling(text)] for text in counts}


def _joined(label_of: Mapping[str, str]) -> list[str]:
    """A note on labels written in several ways."""
    others: dict[str, list[str]] = {}
    for text, label in sorted(label_of.items()):
        if text != label:
            others.setdefault(label, []).append(repr(text))
    groups = [f"{' and '.join(texts)} as {label!r}" for label, texts in sorted(others.items())]
    return [f"read {listed(groups, LISTED)}"] if groups else []


def _counts(answers: Sequence[str]) -> list[str]:
    """A note on the frequency of each label, and on possible mistakes."""
    counts = Counter(sorted(answers)).most_common()
    all_labels = listed([f"{in_list(label)} {count}" for label, count in counts], LISTED)
    once = [repr(label) for label, count in counts if count == 1]
    lines = [f"its {len(counts)} labels are the choices: {all_labels}"]
    if 0 < len(once) <= len(counts) // 2:
        lines.append(f"once only: {listed(once, LISTED)} (mistakes?)")
    return lines


def _unnamed(labels: Sequence[str]) -> list[str]:
    """A note on labels that are numbers, all or some."""
    numbers = list(filter(_is_number, labels))
    if not numbers:
        return []
    spec = ",".join(f"{label}=NAME" for label in numbers[:2]) + ",..." * (len(numbers) > 2)
    why = "they are numbers, which tell a model nothing: name them with `columns`"
    if len(numbers) < len(labels):
        why = (
            "some are numbers, others words: if they mean the same, name the numbers with `columns`"
        )
    return [f"{why} {spec}"]


def _is_number(label: str) -> bool:
    return label.removeprefix("-").isdigit()


def plain_number(label: str) -> str:
    """A label as a whole number: pandas writes decimals in columns with gaps.

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
