"""The likelihood of user turns: how familiar a model is with a question."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.interfaces import Engine


def as_users_words(engine: Engine, turns: Sequence[str]) -> list[tuple[str, str]]:
    """Each user turn, already in the chat template, as a (context, continuation) pair whose likelihood is its own.

    The context is the template's header of a user turn; without a template, the first word.
    """
    header = _header(engine)
    return [
        (header, text[len(header) :]) if header and text.startswith(header) else _after_first_word(text)
        for text in turns
    ]


def _header(engine: Engine) -> str:
    """The chat template's text before the user's words; empty without a template."""
    with_a, with_b = engine.chat("a"), engine.chat("b")
    length = next(i for i, (x, y) in enumerate(zip(with_a, with_b, strict=False)) if x != y)
    return with_a[:length]


def _after_first_word(text: str) -> tuple[str, str]:
    head, space, tail = text.partition(" ")
    return (head, space + tail) if tail.strip() else (text[:1], text[1:])
