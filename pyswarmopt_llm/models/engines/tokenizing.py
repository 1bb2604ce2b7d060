"""From texts to token ids: what every engine does with its tokenizer before a model is asked."""

from __future__ import annotations

from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.models.engines.base import BaseEngine


class TokenizingEngine(BaseEngine):
    """An engine of one causal language model and its tokenizer.

    Args:
        tokenizer: of transformers.
        window: most tokens that the model holds; None: no limit is known.

    Attributes:
        tokenizer, window: as given.
    """

    def __init__(self, tokenizer: Any, window: int | None) -> None:
        self.tokenizer, self.window = tokenizer, window
        # A chat template writes its special tokens itself.
        self._lead = leading_specials(tokenizer) if tokenizer.chat_template is None else []

    def chat(self, user: str) -> str:
        """`user` as a user turn of the chat template, ready for the assistant's turn.

        Without a chat template: the text itself and a line break.
        """
        if self.tokenizer.chat_template is None:
            return f"{user}\n"
        messages = [{"role": "user", "content": user}]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def encode(self, text: str) -> list[int]:
        """Token ids with the special tokens that begin a text, never with those that end one."""
        ids = [int(i) for i in self.tokenizer(text, add_special_tokens=False)["input_ids"]]
        return ids if ids[: len(self._lead)] == self._lead else self._lead + ids

    def encode_prompt(self, prompt: str) -> tuple[int, ...]:
        """Token ids of a prompt, with the special tokens that begin a text."""
        ids = self.encode(prompt)
        if not ids:
            raise ValueError("a prompt is empty: there is nothing to continue")
        return tuple(ids)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text; with the tokenizer's special tokens where no chat template has written them."""
        return len(self.tokenizer(text, add_special_tokens=self.tokenizer.chat_template is None)["input_ids"])

    def check_length(self, n: int, text: str) -> None:
        """Raise `UserError` if `n` tokens, of an item that begins with `text`, do not fit into the context window."""
        if self.window is not None and n > self.window:
            raise UserError(
                f"the item that begins {text[:40]!r} needs {n} tokens, the model's context window holds "
                f"{self.window}; shorten the item"
            )


def leading_specials(tokenizer: Any) -> list[int]:
    """The special tokens that a tokenizer puts before a text, such as BOS; what it appends is left out."""
    with_specials = [int(i) for i in tokenizer("a")["input_ids"]]
    bare = [int(i) for i in tokenizer("a", add_special_tokens=False)["input_ids"]]
    starts = range(len(with_specials) - len(bare) + 1)
    return with_specials[: next((k for k in starts if with_specials[k : k + len(bare)] == bare), 0)]


def window_of(config: Any) -> int | None:
    """The context window that a model's configuration states."""
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if found is None else int(found)


__all__ = ["TokenizingEngine", "leading_specials", "window_of"]
