"""Chats as tokens, and as a padded batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.engine.chat import split_chat


@dataclass(frozen=True)
class ChatTokens:
    """Token ids of one chat; the last `answer` of them are the target."""

    ids: list[int]
    answer: int


def encode_chat(
    tokenizer: Any, examples: Sequence[Mapping[str, Any]], max_len: int
) -> list[ChatTokens]:
    """Chats as tokens, truncated to `max_len` tokens; those with nothing of the answer left are
    dropped.
    """
    chats = []
    for example in examples:
        before, answer = (
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in split_chat(tokenizer, example["messages"])
        )
        ids = (before + answer)[:max_len]
        if len(ids) > len(before):
            chats.append(ChatTokens(ids=ids, answer=len(ids) - len(before)))
    return chats


def left_padded(chats: Sequence[ChatTokens], pad: int) -> tuple[dict[str, Tensor], Tensor]:
    """Chats as one batch, padded on the left so that only the last columns need logits.

    Returns:
        ``input_ids``, ``attention_mask`` (0 on padding) and ``position_ids`` (0 at each chat's
        first token), (N, T) each; and which tokens are answers, (N, T) bool. All answers end in the
        last column.
    """
    width = max(len(chat.ids) for chat in chats)
    ids = torch.full((len(chats), width), pad)
    attention = torch.zeros((len(chats), width), dtype=torch.long)
    answers = torch.zeros((len(chats), width), dtype=torch.bool)
    for row, chat in enumerate(chats):
        ids[row, width - len(chat.ids) :] = torch.tensor(chat.ids)
        attention[row, width - len(chat.ids) :] = 1
        answers[row, width - chat.answer :] = True
    positions = (attention.cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": ids, "attention_mask": attention, "position_ids": positions}
    return inputs, answers
