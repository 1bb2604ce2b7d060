"""Parse a record into an `Item`, with one-line errors."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from types import NoneType
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.types import Item

EDGES = " \t\r\n.,;:!?\"'`*_()[]{}\u201c\u201d\u2018\u2019"  # quotes and brackets around a text
_RESERVED = ("question", "prompt", "choices", "answer", "answers", "id", "split")
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    NoneType: "null",
}
_LONG = 40  # most characters of an answer in a message


def parse_item(
    record: Mapping[str, Any], location: str, default_id: str, answered: bool = True
) -> Item:
    """An item from a record with ``question``, ``answer`` and, for multiple choice, ``choices``.

    ``choices`` is a mapping from labels, a list, or two lists ``text`` and ``label`` as in ARC;
    ``answer`` is a label or the text of a choice. A choice given twice is kept once, under its first
    letter, so that no right answer counts as wrong. A list as ``answer``, and ``answers``, give
    further right answers; ``id`` is optional; other fields go to `Item.meta`. A record with
    ``prompt`` instead of ``question`` is given to the model verbatim and needs no ``answer``.
    `location` starts error messages. Without `answered`, answers are optional and ignored.

    Example:
        >>> parse_item({"question": "2+2?", "choices": ["4", "5"], "answer": "4"}, "mine.json: dev 1", "1")
        Item(id='1', question='2+2?', choices={'A': '4', 'B': '5'}, answer='A', meta={}, plain=False)
    """
    plain = "question" not in record
    column = "prompt" if plain else "question"
    meta = {str(k): _meta(v) for k, v in record.items() if k not in _RESERVED and v is not None}
    others = record.get("answers") or []
    if not isinstance(others, list) or not all(isinstance(text, str) for text in others):
        raise UserError(f'{location}: "answers" must be a list of texts, not {kind_of(others)}')
    answer = ""
    choices, letters = _choices(record.get("choices"), location)
    if answered and not (plain and record.get("answer") is None):
        first, *more = _right_answers(record["answer"])
        answer = _text(first, "answer", location)
        others = [*more, *others]
        if choices is not None and more:
            why = f"{len(more) + 1} answers, of which one option only is right; give its letter"
            raise UserError(f"{location}: {why}")
        if choices is not None:
            answer = _right_letter(answer, choices, letters, location, isinstance(first, int))
    if choices is not None:  # a text given twice is kept under its first letter
        first_of = {text: letter for letter, text in reversed(choices.items())}
        answer = answer and first_of[choices[answer]]
        choices = {first_of[text]: text for text in choices.values()}
    if others:
        meta["answers"] = _meta(others)
    has_id = record.get("id") not in (None, "")
    return Item(
        id=_text(record["id"], "id", location) if has_id else default_id,
        question=_text(record[column], column, location),
        choices=choices,
        answer=answer,
        meta=meta,
        plain=plain,
        location=location,
    )


def normalise(text: str) -> str:
    """Normalise a text: Unicode NFKC, lower case, single spaces, no punctuation around it.

    Example:
        >>> normalise("  The  Answer. ")
        'the answer'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(EDGES)


def content(item: Item) -> tuple[str, ...]:
    """The normalised question and options of an item; equal content means the same item."""
    return (
        normalise(item.conversation),
        *(normalise(text) for text in item.options),
    )


def repeated(items: Sequence[Item]) -> list[int]:
    """The number of each item's `content`; empty if all differ.

    Example:
        >>> asked = [Item(str(k), text, None, "x") for k, text in enumerate(["Why?", "How?", "why"])]
        >>> repeated(asked), repeated(asked[:2])
        ([0, 1, 0], [])
    """
    seen: dict[tuple[str, ...], int] = {}
    numbers = [seen.setdefault(content(item), len(seen)) for item in items]
    return numbers if len(seen) < len(items) else []


def check_unicode(text: str, what: str, where: str) -> None:
    """Refuse a text with an unpaired surrogate, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise UserError(
            f"{where}: {what} has an unpaired surrogate at character {e.start}; fix it"
        ) from e


def _right_answers(value: object) -> list[Any]:
    """The right answers of a record, as a list."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return list(dict.fromkeys(value))
    return [value]


def _choices(raw: object, where: str) -> tuple[dict[str, str] | None, dict[str, str]]:
    """Letter -> text in alphabetical order, and label -> letter."""
    if raw is None:
        return None, {}
    labels, texts = _labelled(raw, where)
    if len(texts) > len(ascii_uppercase):
        raise UserError(f"{where}: {len(texts)} choices; at most 26 can be lettered")
    letters = [label.strip().upper() for label in labels]
    if letters != sorted(set(letters) & {*ascii_uppercase}):
        letters = list(ascii_uppercase[: len(texts)])
    pairs = zip(letters, texts, strict=True)
    choices = {letter: _text(text, f"choice {letter}", where) for letter, text in pairs}
    if len({*choices.values()}) < 2:
        raise UserError(
            f"{where}: give at least two choices that differ, or none for an open question"
        )
    return choices, dict(zip(labels, letters, strict=True))


def _labelled(raw: object, where: str) -> tuple[list[str], list[Any]]:
    """The labels of options, and their texts."""
    if isinstance(raw, list):
        return [chr(ord("A") + i) for i in range(len(raw))], raw
    if not isinstance(raw, Mapping):
        raise UserError(f"{where}: choices are an object of letters or a list, not {kind_of(raw)}")
    if raw.keys() != {"text", "label"}:
        pairs = sorted(raw.items(), key=lambda pair: str(pair[0]).strip().upper())
        return [str(label) for label, _ in pairs], [text for _, text in pairs]
    texts, labels = raw["text"], raw["label"]
    if not (isinstance(texts, list) and isinstance(labels, list) and len(texts) == len(labels)):
        raise UserError(f"{where}: choices: text and label must be lists of one length; fix them")
    return list(map(str, labels)), texts


def _right_letter(
    answer: str, choices: Mapping[str, str], labels: Mapping[str, str], where: str, number: bool
) -> str:
    """The letter of the right choice, given by label or text; a number may mean its index."""
    if answer in labels:
        return labels[answer]
    if number:
        raise UserError(
            f"{where}: the answer {answer} is a number, of an option or its text; give the letter"
        )
    for letter, text in choices.items():
        if text == answer:
            return letter
    if answer.upper() in choices:
        return answer.upper()
    shown = repr(answer if len(answer) <= _LONG else answer[: _LONG - 3] + "...")
    raise UserError(
        f"{where}: the answer {shown} is not among the choices {', '.join(choices)}; "
        "give the letter or the exact text of the right one"
    )


def _text(value: object, what: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"{where}: {what} must be a text, not {kind_of(value)}")
    text = str(value).strip()
    if not text:
        raise UserError(f"{where}: empty {what}; fill it in or remove the example")
    check_unicode(text, what, where)
    return text


def _meta(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def kind_of(value: object) -> str:
    """Name the type of a JSON value, for messages."""
    return _KINDS.get(type(value), type(value).__name__)
