"""Parse a record into an `Item`, with one-line errors."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Mapping
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import closest
from pyswarmopt_llm.scores.tasks.types import Item

EDGES = " \t\r\n.,;:!?\"'`*_()[]{}\u201c\u201d\u2018\u2019"  # around a text
_RESERVED = ("question", "prompt", "choices", "answer", "id", "split")


def parse_item(raw: object, where: str, default_id: str, answered: bool = True) -> Item:
    """An item from a record with ``question``, ``answer`` and, for multiple choice, ``choices``.

    ``choices`` is a mapping from letters or a list, ``answer`` a letter or, if unambiguous, the
    text of a choice. ``answers`` may list further right answers, ``id`` is optional; the rest goes
    to `Item.meta`. A record with ``prompt`` instead of ``question`` is given to the model verbatim
    and needs no ``answer``. `where` begins error messages. Unless `answered`, an answer is neither
    needed nor looked at.

    Example:
        >>> parse_item({"question": "2+2?", "choices": ["4", "5"], "answer": "4"}, "mine.json: dev 1", "1")
        Item(id='1', question='2+2?', choices={'A': '4', 'B': '5'}, answer='A', meta={}, plain=False)
    """
    raw = as_object(raw, where)
    plain = "prompt" in raw and "question" not in raw
    column = "prompt" if plain else "question"
    require_columns(raw, (column,) if plain or not answered else (column, "answer"), where)
    question = _text(raw[column], column, where)
    unanswered = not answered or (plain and raw.get("answer") is None)
    answer = "" if unanswered else _text(raw["answer"], "answer", where)
    answers = raw.get("answers")
    if answers is not None and not (
        isinstance(answers, list) and all(isinstance(text, str) for text in answers)
    ):
        raise UserError(f'{where}: "answers" must be a list of texts, not {_kind(answers)}')
    choices = _choices(raw.get("choices"), where)
    if choices is not None and answered:
        answer = _right_letter(answer, choices, where)
    item_id = raw.get("id")
    return Item(
        id=default_id if item_id in (None, "") else _text(item_id, "id", where),
        question=question,
        choices=choices,
        answer=answer,
        meta={str(k): _meta(v) for k, v in raw.items() if k not in _RESERVED and v is not None},
        plain=plain,
    )


def as_object(raw: object, where: str) -> Mapping[Any, Any]:
    """A record; anything but an object is refused."""
    if not isinstance(raw, Mapping):
        raise UserError(f"{where}: an item is an object with question and answer, not {_kind(raw)}")
    return raw


def require_columns(columns: Collection[str], required: tuple[str, ...], where: str) -> None:
    """Refuse a record or a table that lacks a column."""
    for column in required:
        if column not in columns:
            names = [str(name) for name in columns]
            close = closest(column, names)
            hint = "add it" if close is None else f'rename "{close}"'
            raise UserError(
                f'{where}: no "{column}" (found: {", ".join(names) or "nothing"}); {hint}'
            )


def normalise(text: str) -> str:
    """Normalise a text: Unicode NFKC, lower case, single spaces, no punctuation around it.

    Example:
        >>> normalise("  The  Answer. ")
        'the answer'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(EDGES)


def content(item: Item) -> tuple[str, ...]:
    """The question and options of an item, normalised: of one content is one item."""
    return (normalise(item.asked), *(normalise(text) for text in (item.choices or {}).values()))


def unordered(item: Item) -> tuple[str, ...]:
    """`content` with the options in alphabetical order."""
    question, *options = content(item)
    return (question, *sorted(options))


def _choices(raw: object, where: str) -> dict[str, str] | None:
    if raw is None:
        return None
    if isinstance(raw, list):
        if len(raw) > len(ascii_uppercase):
            raise UserError(
                f"{where}: {len(raw)} choices; at most {len(ascii_uppercase)} can be lettered"
            )
        raw = dict(zip(ascii_uppercase, raw, strict=False))
    if not isinstance(raw, Mapping):
        raise UserError(f"{where}: choices are an object of letters or a list, not {_kind(raw)}")
    choices: dict[str, str] = {}
    for key, value in raw.items():
        letter = str(key).strip().upper()
        if len(letter) != 1 or letter not in ascii_uppercase:
            raise UserError(
                f"{where}: choice {key!r} is not lettered; name the choices A, B, C, ..."
            )
        if letter in choices:
            raise UserError(
                f"{where}: choice {letter} is given twice; give each choice its own letter"
            )
        choices[letter] = _text(value, f"choice {letter}", where)
    if len(choices) < 2:
        raise UserError(
            f"{where}: {len(choices)} choice; give at least two, or none for an open question"
        )
    return dict(sorted(choices.items()))


def _right_letter(answer: str, choices: dict[str, str], where: str) -> str:
    if answer in choices:
        return answer
    letters = [letter for letter, text in choices.items() if text == answer]
    if len(letters) == 1:
        return letters[0]
    if letters:
        several = " and ".join(letters)
        raise UserError(
            f"{where}: the answer {_short(answer)} is the text of {several}; give the letter"
        )
    if answer.upper() in choices:
        return answer.upper()
    raise UserError(
        f"{where}: the answer {_short(answer)} is not among the choices {', '.join(choices)}; "
        "give the letter or the exact text of the right one"
    )


def _text(value: object, what: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"{where}: {what} must be a text, not {_kind(value)}")
    text = str(value).strip()
    if not text:
        raise UserError(f"{where}: empty {what}; fill it in or remove the item")
    check_unicode(text, what, where)
    return text


def check_unicode(text: str, what: str, where: str) -> None:
    """Refuse a text with an unpaired surrogate, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise UserError(
            f"{where}: {what} has an unpaired surrogate at character {e.start}; fix it"
        ) from e


def _meta(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _short(text: str, limit: int = 40) -> str:
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(
        type(value), "a number" if isinstance(value, int | float) else type(value).__name__
    )
