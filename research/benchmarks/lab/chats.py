"""Train all weights of a base on chats: encoding, and steps of chats of about equal length."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.engine.turns import split_chat

# Examples sorted by length together: enough for little padding, few enough to stay shuffled.
_CHUNK = 400


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


def chat_steps(
    chats: Sequence[ChatTokens],
    max_tokens: int,
    epochs: float,
    batch_tokens: int,
    draws: random.Random,
) -> list[list[ChatTokens]]:
    """The chats of each step, epoch after epoch, until the budget of tokens or epochs is spent.

    Args:
        chats: to train on; at least one.
        max_tokens: budget in tokens, padding excluded.
        epochs: maximum number of passes over the chats.
        batch_tokens: tokens per step, padding included.
        draws: of the order.
    """
    lengths = [len(chat.ids) for chat in chats]
    budget = min(max_tokens, epochs * sum(lengths))
    steps: list[list[ChatTokens]] = []
    tokens = 0
    while tokens < budget:
        for batch in length_buckets(lengths, batch_tokens, draws):
            steps.append([chats[index] for index in batch])
            tokens += sum(lengths[index] for index in batch)
            if tokens >= budget:
                break
    return steps


def length_buckets(
    lengths: Sequence[int], batch_tokens: int, rng: random.Random
) -> list[list[int]]:
    """One epoch as batches of example indices, each of at most `batch_tokens` tokens with padding.

    A longer example is a batch of its own.

    Example:
        >>> sorted(map(sorted, length_buckets([5, 1, 5, 1], 10, random.Random(0))))
        [[0, 2], [1, 3]]
    """
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), _CHUNK):
        batch: list[int] = []
        for index in sorted(order[start : start + _CHUNK], key=lambda i: lengths[i]):
            if batch and lengths[index] * (len(batch) + 1) > batch_tokens:
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    rng.shuffle(batches)
    return batches


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
