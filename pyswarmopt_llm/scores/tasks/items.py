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
    ``prompt`` instead of ``question`` is given to the model verbatim and needs no ``answer``.
    `location` starts error messages. Without `answered`, answers are ignored.

    Example:
        >>> parse_item({"question": "2+2?", "choices": ["4", "5"], "answer": "4"}, "mine.json: dev 1", "1")
        Item(id='1', question='2+2?', choices={'A': '4', 'B': '5'}, answer='A', meta={}, plain=False)
    """
    plain = "prompt" in record and "question" not in record
    column = "question"
    if plain:
        column = "prompt"
    meta = {str(k): _meta(v) for k, v in record.items() if k not in _RESERVED and v is not None}
    answers: list[str] = []
    if answered:
        answers = _right_answers(record, location)
        if not (plain or answers):
            raise UserError(f"{location}: no answer; fill it in or remove the example")
    answer = next(iter(answers), "")
    choices = None
    if record.get("choices") is not None:
        choices, letters = _choices(record["choices"], location)
        if answers:
            answer = _right_letter(record.get("answer"), answers, choices, letters, location)
    elif answers[1:]:
        meta["answers"] = _meta(answers[1:])
    if record.get("id") in (None, ""):
        record = {**record, "id": default_id}
    return Item(
        id=_text(record["id"], "id", location),
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
    found: list[str] = []
    for name in ("answer", "answers"):
        value = record.get(name)
        if value is None:
            continue
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, list):
            value = [value]
        found += [_text(part, name, where) for part in value]
    return list(dict.fromkeys(found))


def _choices(raw: object, where: str) -> tuple[dict[str, str], dict[str, str]]:
    """Letter -> text in alphabetical order, and label -> letter."""
    labels: Any = []
    texts = raw
    if isinstance(raw, Mapping) and raw.keys() == {"text", "label"}:
        labels, texts = raw["label"], raw["text"]
    elif isinstance(raw, Mapping):
        labels = sorted(raw, key=lambda label: str(label).strip().upper())
        texts = [raw[label] for label in labels]
    if not (isinstance(texts, list) and isinstance(labels, list)) or (
        raw is not texts and len(labels) != len(texts)
    ):
        raise UserError(f"{where}: choices must be a list, or an object with letters as keys")
    if len(texts) > len(ascii_uppercase):
        raise UserError(f"{where}: {len(texts)} choices; at most 26 can be lettered")
    letters = [str(label).strip().upper() for label in labels]
    if not letters or letters != sorted(set(letters) & {*ascii_uppercase}):
        letters = list(ascii_uppercase[: len(texts)])
    choices = {
        letter: _text(text, f"choice {letter}", where)
        for letter, text in zip(letters, texts, strict=True)
    }
    if len({*choices.values()}) < 2:
        raise UserError(f"{where}: use two different choices, or none for an open question")
    first_of = {choices[letter]: letter for letter in reversed(letters)}
    return (
        {first_of[text]: text for text in choices.values()},
        {
            label: first_of[text]
            for label, text in zip(map(str, labels or letters), choices.values(), strict=True)
        },
    )


def _right_letter(
    raw: object,
    answers: Sequence[str],
    choices: Mapping[str, str],
    labels: Mapping[str, str],
    where: str,
) -> str:
    """The letter of the right choice, given by label or text; a number may mean its index."""
    answer = answers[0]
    if len(answers) > 1:
        raise UserError(f"{where}: {len(answers)} answers, but only one option can be right")
    if answer in labels:
        return labels[answer]
    texts = {text: letter for letter, text in choices.items()}
    if answer in texts and type(raw) is not int:
        return texts[answer]
    if answer.upper() in choices:
        return answer.upper()
    raise UserError(
        f"{where}: the answer {answer!r} is not among the choices {', '.join(choices)}; use the "
        "letter or the exact text of the correct one"
    )


def _text(value: object, what: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        inside = ""
        if value and isinstance(value, Mapping):
            inside = f" of {', '.join(map(str, value))}"
        raise UserError(f"{where}: {what} must be a string, not {type(value).__name__}{inside}")
    text = str(value).strip()
    if not text:
        raise UserError(f"{where}: empty {what}; fill it in or remove the example")
    return text


def _meta(value: object) -> str:
    if isinstance(value, str | float):  # a number as it was written
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)
