"""Conversations in a model's chat template, which is a program of a stranger's: it may fail, end
never, or want to write to the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pyswarmopt_llm.common.errors import UserError, first_line

_STEPS = 1_000_000  # lines and calls of a template; those of models take some hundred
_LONGEST = 10_000_000  # characters
# Models that may think before they answer do not, where their template knows the variable.
UNTHOUGHT = {"enable_thinking": False}

Message = Mapping[str, str]
Turns = Sequence[Message]


@dataclass(frozen=True)
class Chat:
    """What goes around the turns of a user.

    Attributes:
        system: the first turn, unless a conversation has its own; "" for none.
    """

    system: str = ""

    def prompt(self, tokenizer: Any, user: str, earlier: Turns = ()) -> str:
        """A user turn after earlier ones, up to the start of the assistant's turn.

        Without a chat template: the texts, each with a line break.

        Raises:
            UserError: the chat template fails.
        """
        system = any(message["role"] == "system" for message in earlier)
        first = [{"role": "system", "content": self.system}] if self.system and not system else []
        messages = [*first, *earlier, {"role": "user", "content": user}]
        if tokenizer.chat_template is None:
            return "".join(f"{message['content']}\n" for message in messages)
        return rendered(tokenizer, messages, add_generation_prompt=True)


def rendered(tokenizer: Any, messages: Turns, **options: Any) -> str:
    """Turns in the chat template of a tokenizer.

    Args:
        tokenizer: of transformers, which runs templates in a sandbox.
        messages: the turns.
        options: variables of the template, and `add_generation_prompt`.

    Raises:
        UserError: the template fails, does not end, or gives nothing or far too much.
    """
    where = f"{tokenizer.name_or_path or 'the tokenizer'}: its chat template"
    try:
        _refuse_powers(str(tokenizer.chat_template))
        with _at_most(_STEPS):
            text = tokenizer.apply_chat_template(
                list(messages), tokenize=False, **UNTHOUGHT, **options
            )
    except Exception as error:  # a template may raise anything, what it wants to say included
        raise UserError(f"{where} fails ({first_line(error)}); use that of another copy") from error
    if len(text) > _LONGEST or not text.strip():
        raise UserError(f"{where} makes {len(text)} characters of a turn; use that of another copy")
    return str(text)


@contextmanager
def _at_most(steps: int) -> Iterator[None]:
    """Raise `TimeoutError` in code that takes more steps than these: lines of a template, and calls
    of functions.
    """
    left, before = steps, sys.gettrace()

    def count(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            sys.settrace(None)
            raise TimeoutError("it does not end")
        return count if "template" in frame.f_code.co_filename else None

    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)


@lru_cache
def _refuse_powers(template: str) -> None:
    """Refuse `a ** b`, which may take for ever in one step.

    Raises:
        ValueError: the template has such a product.
        Exception: it is no template.
    """
    from jinja2 import Environment

    before = ""
    for _, _, token in Environment().lex(template):
        if token == "**" and before not in ("(", ","):  # there it is a function's arguments
            raise ValueError("it takes a number to the power of another")
        before = token if token.strip() else before
