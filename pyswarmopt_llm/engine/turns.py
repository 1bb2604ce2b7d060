"""Splits the last turn of a conversation, which is trained on, from the text before it."""

from __future__ import annotations

from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.chat import Turns, rendered


def split_chat(tokenizer: Any, messages: Turns) -> tuple[str, str]:
    """A rendered chat up to the start of its last turn, and that turn.

    A line break after the end of the turn is never generated, so it is not included.

    Raises:
        UserError: the chat template fails, or rewrites earlier turns.
    """
    prompt = rendered(tokenizer, messages[:-1], add_generation_prompt=True)
    whole = rendered(tokenizer, messages)
    if not whole.startswith(prompt):
        raise UserError("the base model's chat template rewrites earlier turns; use another base")
    return prompt, whole[len(prompt) :].rstrip("\n")


def reply_frame(tokenizer: Any) -> tuple[str, str]:
    """White space before an assistant's reply, and the text that ends it, in the chat template.

    Without a template, or with one that rewrites earlier turns: "" and the end-of-sequence token.
    """
    messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "reply"}]
    try:
        _, turn = split_chat(tokenizer, messages)
    except UserError:
        return "", tokenizer.eos_token or ""
    before, _, after = turn.partition("reply")
    # Thoughts around it are the model's.
    return before if not before.strip() else "", after
