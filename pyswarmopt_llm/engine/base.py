"""What engines with a tokenizer have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.chat import Turns, prompt_of


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
