"""Parse a record into an `Item`, with one-line errors."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks.types import Item

EDGES = " \t\r\n.,;:!?\"'`*_()[]{}\u201c\u201d\u2018\u2019"  # around a text
_RESERVED = ("question", "prompt", "choices", "answer", "answers", "id", "split")
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


def parse_item(raw: object, where: str, default_id: str, answered: bool = True) -> Item:
    """An item from a record with ``question``, ``answer`` and, for multiple choice, ``choices``.

    ``choices`` is a mapping from labels, a list, or two lists ``text`` and ``label`` as in ARC;
    ``answer`` a label or, if unambiguous, the text of a choice. An ``answer`` that is a list, and
    ``answers``, hold further right answers; ``id`` is optional; the rest goes to `Item.meta`. A
    record with ``prompt`` instead of ``question`` is given to the model verbatim and needs no
    ``answer``. `where` begins error messages. Unless `answered`, an answer is neither needed nor
    looked at.

    Example:
        >>> parse_item({"question": "2+2?", "choices": ["4", "5"], "answer": "4"}, "mine.json: dev 1", "1")
        Item(id='1', question='2+2?', choices={'A': '4', 'B': '5'}, answer='A', meta={}, plain=False)
    """
    record = as_object(raw, where)
    plain = "prompt" in record and "question" not in record
    column = "prompt" if plain else "question"
    meta = {str(k): _meta(v) for k, v in record.items() if k not in _RESERVED and v is not None}
    answer, others = "", _texts(record.get("answers"), where)
    choices, labels = _choices(record.get("choices"), where)
    if answered and not (plain and record.get("answer") is None):
        first, *more = _right_answers(_field(record, "answer", where))
        answer, others = _text(first, "answer", where), [*more, *others]
        if choices is not None:
            answer = _right_letter(answer, choices, labels, where, isinstance(first, int))
    if others:
        meta["answers"] = _meta(others)
    return Item(
        id=default_id if record.get("id") in (None, "") else _text(record["id"], "id", where),
        question=_text(_field(record, column, where), column, where),
        choices=choices,
        answer=answer,
        meta=meta,
        plain=plain,
    )


def as_object(raw: object, where: str) -> Mapping[Any, Any]:
    """A record; anything but an object is refused."""
    if not isinstance(raw, Mapping):
        raise UserError(f"{where}: an item is an object with question and answer, not {_kind(raw)}")
    return raw


def normalise(text: str) -> str:
    """Normalise a text: Unicode NFKC, lower case, single spaces, no punctuation around it.

    Example:
        >>> normalise("  The  Answer. ")
        'the answer'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(EDGES)


def content(item: Item) -> tuple[str, ...]:
    """The question and options of an item, normalised: of one content is one item."""
    return (
        normalise(item.conversation),
        *(normalise(text) for text in (item.choices or {}).values()),
    )


def unordered(item: Item) -> tuple[str, ...]:
    """`content` with the options in alphabetical order."""
    question, *options = content(item)
    return (question, *sorted(options))


def check_unicode(text: str, what: str, where: str) -> None:
    """Refuse a text with an unpaired surrogate, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise UserError(
            f"{where}: {what} has an unpaired surrogate at character {e.start}; fix it"
        ) from e


def _field(record: Mapping[Any, Any], name: str, where: str) -> Any:
    if name not in record:
        found = ", ".join(map(str, record)) or "nothing"
        raise UserError(f'{where}: no "{name}" (found: {found}); add it')
    return record[name]


def _right_answers(value: object) -> list[Any]:
    """The answers of a record: one, or all of a list."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return list(dict.fromkeys(value))
    return [value]


def _texts(value: object, where: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UserError(f'{where}: "answers" must be a list of texts, not {_kind(value)}')
    return value


def _choices(raw: object, where: str) -> tuple[dict[str, str] | None, dict[str, str]]:
    """Letter -> text in alphabetical order, and label -> letter."""
    if raw is None:
        return None, {}
    labels, texts = _labelled(raw, where)
    if len(texts) < 2:
        raise UserError(
            f"{where}: {len(texts)} choice; give at least two, or none for an open question"
        )
    if len(texts) > len(ascii_uppercase):
        raise UserError(f"{where}: {len(texts)} choices; at most 26 can be lettered")
    letters = [label.strip().upper() for label in labels]
    if letters != sorted(set(letters) & {*ascii_uppercase}):
        letters = list(ascii_uppercase[: len(texts)])
    pairs = zip(letters, texts, strict=True)
    choices = {letter: _text(text, f"choice {letter}", where) for letter, text in pairs}
    return choices, dict(zip(labels, letters, strict=True))


def _labelled(raw: object, where: str) -> tuple[list[str], list[Any]]:
    """The labels of options, and their texts."""
    if isinstance(raw, list):
        return [chr(ord("A") + i) for i in range(len(raw))], raw
    if not isinstance(raw, Mapping):
        raise UserError(f"{where}: choices are an object of letters or a list, not {_kind(raw)}")
    if raw.keys() != {"text", "label"}:
        pairs = sorted(raw.items(), key=lambda pair: str(pair[0]).strip().upper())
        return [str(label) for label, _ in pairs], [text for _, text in pairs]
    texts, labels = raw["text"], raw["label"]
    if not (isinstance(texts, list) and isinstance(labels, list) and len(texts) == len(labels)):
        raise UserError(
            f"{where}: choices: text and label must be two lists of one length; fix them there"
        )
    return list(map(str, labels)), texts


def _right_letter(
    answer: str, choices: Mapping[str, str], labels: Mapping[str, str], where: str, number: bool
) -> str:
    """The letter of the right choice, given by label or text; a number may mean its place."""
    if answer in labels:
        return labels[answer]
    if number:
        raise UserError(
            f"{where}: the answer {answer} is a number, of an option or its text; give the letter"
        )
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


def _meta(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _short(text: str, limit: int = 40) -> str:
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def _kind(value: object) -> str:
    number = "a number" if isinstance(value, int | float) else type(value).__name__
    return "null" if value is None else _KINDS.get(type(value), number)
