"""Parse a record into an `Item`, with one-line errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.types import Item
from pyswarmopt_llm.scores.words import typography

EDGES = " \t\r\n.,;:!?\"'`*_()[]{}"  # quotes and brackets around a text
_RESERVED = ("question", "prompt", "choices", "answer", "answers", "id", "split")


def parse_item(
    record: Mapping[str, Any], location: str, default_id: str, answered: bool = True
) -> Item:
    """An item from a record with ``question``, ``answer`` and, for multiple choice, ``choices``.

    ``choices`` is a mapping from labels, a list, or two lists ``text`` and ``label`` as in ARC;
    ``answer`` is a label or the text of a choice. A choice given twice is kept once, under its first
    letter, so that no right answer counts as wrong. A list as ``answer``, and ``answers``, give
    further right answers; ``id`` is optional; other fields go to `Item.meta`. A record with
    ``prompt`` instead of ``question`` is given to the model verbatim and needs no ``answer``, nor
    does any without `answered`. `location` starts error messages.

    Example:
        >>> parse_item({"question": "2+2?", "choices": ["4", "5"], "answer": "4"}, "mine.json: dev 1", "1")
        Item(id='1', question='2+2?', choices={'A': '4', 'B': '5'}, answer='A', meta={}, plain=False)
    """
    plain = "prompt" in record and "question" not in record
    column = "prompt" if plain else "question"
    meta = {str(k): _meta(v) for k, v in record.items() if k not in _RESERVED and v is not None}
    answers = _right_answers(record, location)
    if answered and not (plain or answers):
        raise UserError(f"{location}: no answer")
    answer = next(iter(answers), "")
    choices = None
    if record.get("choices") is not None:
        choices, letters = _choices(record["choices"], location)
        if answers:
            answer = _right_letter(record.get("answer"), answers, choices, letters, location)
    elif answers[1:]:
        meta["answers"] = _meta(answers[1:])
    name = record.get("id")
    if name in (None, ""):
        name = default_id
    return Item(
        id=_text(name, "id", location),
        question=_text(record.get(column), column, location),
        choices=choices,
        answer=answer,
        meta=meta,
        plain=plain,
        location=location,
    )


def normalise(text: str) -> str:
    """Normalise a text: plain typography, lower case, single spaces, no punctuation around it.

    Example:
        >>> normalise("  The  Answer. ")
        'the answer'
    """
    return " ".join(typography(text).casefold().split()).strip(EDGES)


def content(item: Item) -> tuple[str, ...]:
    """The normalised question and sorted options of an item; equal content means the same item."""
    return (normalise(item.conversation), *sorted(map(normalise, item.options)))


def repeated(items: Sequence[Item]) -> list[int]:
    """The number of each item's `content`; empty if all differ.

    Example:
        >>> asked = [Item(str(k), text, None, "x") for k, text in enumerate(["Why?", "How?", "why"])]
        >>> repeated(asked), repeated(asked[:2])
        ([0, 1, 0], [])
    """
    seen: dict[tuple[str, ...], int] = {}
    numbers = [seen.setdefault(content(item), len(seen)) for item in items]
    if len(seen) == len(items):
        return []
    return numbers


def _right_answers(record: Mapping[str, Any], where: str) -> list[str]:
    """The right answers of a record."""
    parts: list[object] = []
    for value in (record.get("answer"), record.get("answers")):
        parts += value if isinstance(value, list) else [value]
    found = (_text(part, "answer", where) for part in parts if part is not None)
    return list(dict.fromkeys(found))


def _choices(raw: object, where: str) -> tuple[dict[str, str], dict[str, str]]:
    """Letter -> text in alphabetical order, and label -> letter."""
    labels: Any = None
    texts: Any = raw
    if isinstance(raw, list):
        labels = list(ascii_uppercase[: len(raw)])
    elif isinstance(raw, Mapping) and raw.keys() == {"text", "label"}:
        labels, texts = raw["label"], raw["text"]
    elif isinstance(raw, Mapping):
        labels = sorted(raw, key=lambda label: str(label).strip().upper())
        texts = [raw[label] for label in labels]
    lists = isinstance(labels, list) and isinstance(texts, list)
    if not lists or not len(labels) == len(texts) <= len(ascii_uppercase):
        why = "choices must be a list of at most 26, or an object with letters as keys"
        raise UserError(f"{where}: {why}")
    letters = [str(label).strip().upper() for label in labels]
    if letters != sorted(set(letters) & {*ascii_uppercase}):
        letters = list(ascii_uppercase)
    letter_of: dict[str, str] = {}
    first: dict[str, str] = {}
    for label, letter, text in zip(labels, letters, texts, strict=False):
        text = _text(text, f"choice {letter}", where)
        letter_of[str(label)] = first.setdefault(text, letter)
    if len(first) < 2:
        raise UserError(f"{where}: use two different choices, or none for an open question")
    return {letter: text for text, letter in first.items()}, letter_of


def _right_letter(
    raw: object,
    answers: Sequence[str],
    choices: Mapping[str, str],
    labels: Mapping[str, str],
    where: str,
) -> str:
    """The letter of the right choice, given by label or text; a number may mean its index."""
    if len(answers) > 1:
        raise UserError(f"{where}: {len(answers)} answers, but only one option can be right")
    (answer,) = answers
    names = dict(labels)
    if type(raw) is not int:
        names = {text: letter for letter, text in choices.items()} | names
    letter = names.get(answer, answer.upper())
    if letter not in choices:
        raise UserError(
            f"{where}: the answer {answer!r} is not among the choices {', '.join(choices)}; use the "
            "letter or the exact text of the correct one"
        )
    return letter


def _text(value: object, what: str, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    if value is None or not text:
        raise UserError(f"{where}: no {what}")
    if not isinstance(value, str | int | float):
        raise UserError(f"{where}: {what} must be a string, not {type(value).__name__}")
    return text


def _meta(value: object) -> str:
    if isinstance(value, str | float):  # a number as it was written
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)
