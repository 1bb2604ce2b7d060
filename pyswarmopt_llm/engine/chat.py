"""Conversations in a model's chat template, which is a program of a stranger's: it may fail, end
never, or want to write to the terminal; and the tokenizer of an engine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from pyswarmopt_llm.common.errors import UserError, first_line

_STEPS = 1_000_000  # lines and calls of a template; those of models take some hundred
_LONGEST = 10_000_000  # characters

Message = Mapping[str, str]
Turns = Sequence[Message]


def prompt_of(
    tokenizer: Any, system: str, user: str, earlier: Turns = (), thinking: int = 0
) -> str:
    """A user turn after earlier ones, up to the start of the assistant's turn.

    Without a chat template: the texts, each with a line break.

    Args:
        tokenizer: of transformers.
        system: the first turn, unless the earlier ones have their own; "" for none.
        user: the user's words.
        earlier: the turns before.
        thinking: above 0 the model may think first, where its template knows `enable_thinking`.

    Raises:
        UserError: the chat template fails.
    """
    own = any(message["role"] == "system" for message in earlier)
    first = [{"role": "system", "content": system}] if system and not own else []
    messages = [*first, *earlier, {"role": "user", "content": user}]
    if tokenizer.chat_template is None:
        return "".join(f"{message['content']}\n" for message in messages)
    return rendered(tokenizer, messages, add_generation_prompt=True, enable_thinking=thinking > 0)


def rendered(tokenizer: Any, messages: Turns, **options: Any) -> str:
    """Turns in the chat template of a tokenizer.

    Args:
        tokenizer: of transformers, which runs templates in a sandbox.
        messages: the turns.
        options: variables of the template, and `add_generation_prompt`. Models that may think
            before they answer do not, unless `enable_thinking` says so.

    Raises:
        UserError: the template fails, does not end, or gives nothing or far too much.
    """
    where = f"{tokenizer.name_or_path or 'the tokenizer'}: its chat template"
    try:
        _refuse_powers(str(tokenizer.chat_template))
        with _at_most(_STEPS):
            text = tokenizer.apply_chat_template(
                list(messages), tokenize=False, **{"enable_thinking": False, **options}
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


class PromptTokenizer:
    """A tokenizer with the chat template, special tokens and context window of a causal language
    model.

    Args:
        tokenizer: of transformers.
        window: the model's context window in tokens; None if unknown.

    Attributes:
        tokenizer, window: as given.
        system: the first turn of a conversation that has none of its own; "" for none.
        progress, thinking: see `interfaces.Engine`.
    """

    progress: Callable[[int, int], None] | None = None
    thinking: int = 0

    def __init__(self, tokenizer: Any, window: int | None) -> None:
        self.tokenizer, self.window, self.system = tokenizer, window, ""
        # A chat template includes its special tokens.
        self._lead = leading_specials(tokenizer) if tokenizer.chat_template is None else []

    def tell(self, done: int, count: int) -> None:
        """Tell of texts that were read, where somebody follows."""
        if self.progress is not None:
            self.progress(done, count)

    def chat(self, user: str, earlier: Turns = ()) -> str:
        """A user turn after earlier ones, up to the start of the assistant's; see `prompt_of`."""
        return prompt_of(self.tokenizer, self.system, user, earlier, self.thinking)

    def encode(self, text: str) -> list[int]:
        """Token ids with leading special tokens, without trailing ones."""
        ids = [int(i) for i in self.tokenizer(text, add_special_tokens=False)["input_ids"]]
        return ids if ids[: len(self._lead)] == self._lead else self._lead + ids

    def encode_prompt(self, prompt: str) -> tuple[int, ...]:
        """Token ids of a prompt, with leading special tokens."""
        ids = self.encode(prompt)
        if not ids:
            raise ValueError("a prompt is empty: there is nothing to continue")
        return tuple(ids)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text; with the tokenizer's special tokens where no chat template has written
        them.
        """
        bare = self.tokenizer.chat_template is None
        return len(self.tokenizer(text, add_special_tokens=bare)["input_ids"])

    def encode_prompts(self, prompts: Sequence[str], max_new_tokens: int) -> list[tuple[int, ...]]:
        """Token ids of prompts, each of which must leave room for `max_new_tokens` in the context
        window.
        """
        encoded = [self.encode_prompt(prompt) for prompt in prompts]
        for prompt, ids in zip(prompts, encoded, strict=True):
            self.check_length(len(ids) + max_new_tokens, prompt)
        return encoded

    def check_length(self, n: int, text: str) -> None:
        """Raise `UserError` if the `n` tokens of an item that begins with `text` exceed the context
        window.
        """
        if self.window is not None and n > self.window:
            raise UserError(
                f"the example that begins {text[:40]!r} needs {n} tokens, the model's context window "
                "holds "
                f"{self.window}; shorten the example"
            )


def leading_specials(tokenizer: Any) -> list[int]:
    """The special tokens that a tokenizer prepends to a text, such as BOS."""
    with_specials = [int(i) for i in tokenizer("a")["input_ids"]]
    bare = [int(i) for i in tokenizer("a", add_special_tokens=False)["input_ids"]]
    starts = range(len(with_specials) - len(bare) + 1)
    return with_specials[: next((k for k in starts if with_specials[k : k + len(bare)] == bare), 0)]


def window_of(config: Any) -> int | None:
    """The context window stated in a model's configuration."""
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if length is None else int(length)
