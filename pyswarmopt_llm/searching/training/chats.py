"""Train on chats: encoding, steps of chats of about equal length, and the loss of the last turn."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.chat import rendered

# Examples sorted by length together: enough for little padding, few enough to stay shuffled.
_CHUNK = 400


@dataclass(frozen=True)
class ChatTokens:
    """Token ids of one chat; the last `answer` of them are the target. Some may be `cut` off."""

    ids: list[int]
    answer: int
    cut: bool = False


def encode_chat(
    tokenizer: Any, examples: Sequence[Mapping[str, Any]], max_len: int
) -> list[ChatTokens]:
    """Chats as tokens, truncated to `max_len` tokens; those with nothing of the answer left are
    dropped.

    Args:
        tokenizer: a transformers tokenizer with a chat template.
        examples: each ``{"messages": [{"role": ..., "content": ...}, ...]}``, the last one the
            assistant's.
        max_len: maximum length in tokens.

    Raises:
        UserError: no chat template, or a malformed example (named by its number, from 1).
    """
    if not tokenizer.chat_template:
        raise UserError(
            "the base model's tokenizer has no chat template; use an instruction-tuned base"
        )
    chats = []
    for number, example in enumerate(examples, start=1):
        messages = _messages(example, number)
        prompt, whole = _before_and_after(tokenizer, messages)
        if not whole.startswith(prompt):
            raise UserError(
                "the base model's chat template rewrites earlier turns; use another base"
            )
        before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        # The template's line break after the end-of-turn token is never generated, so it is no
        # target.
        answer = tokenizer(whole[len(prompt) :].rstrip("\n"), add_special_tokens=False)["input_ids"]
        whole_ids = before + answer
        ids = whole_ids[:max_len]
        if len(ids) > len(before):
            cut = len(ids) < len(whole_ids)
            chats.append(ChatTokens(ids=ids, answer=len(ids) - len(before), cut=cut))
    return chats


def _messages(example: Mapping[str, Any], number: int) -> Sequence[Mapping[str, str]]:
    messages = example.get("messages") if isinstance(example, Mapping) else None
    if not isinstance(messages, Sequence) or len(messages) < 2:
        raise UserError(f'example {number}: needs "messages" with a user and an assistant turn')
    for message in messages:
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise UserError(f'example {number}: each message needs "role" and "content"')
        if not isinstance(message["content"], str):
            raise UserError(f"example {number}: the content of a message must be text")
    if messages[-1]["role"] != "assistant" or not messages[-1]["content"].strip():
        raise UserError(
            f"example {number}: the last message must be the assistant's answer and not empty"
        )
    return messages


def _before_and_after(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> tuple[str, str]:
    """A chat in the chat template up to the start of its last turn, and as a whole."""
    prompt = rendered(tokenizer, messages[:-1], add_generation_prompt=True)
    return prompt, rendered(tokenizer, messages)


def reply_frame(tokenizer: Any) -> tuple[str, str]:
    """White space before an assistant's reply, and the text that ends it, as the chat template has
    them.

    Without a template, or with one that rewrites earlier turns: nothing, and the end-of-sequence
    token.
    """
    plain = "", tokenizer.eos_token or ""
    if not tokenizer.chat_template:
        return plain
    messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "reply"}]
    prompt, whole = _before_and_after(tokenizer, messages)
    if not whole.startswith(prompt):
        return plain
    before, _, after = whole[len(prompt) :].partition("reply")
    # As in `encode_chat`: the template's last line break is never generated. A frame of thoughts is
    # the model's.
    return before if not before.strip() else "", after.rstrip("\n")


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


def chat_losses(model: Any, pad: int, chats: Sequence[ChatTokens]) -> Iterator[Tensor]:
    """Mean loss over the answer tokens of each chat, in nats: short answers count like long ones.

    Args:
        model: a transformers causal LM.
        pad: id of the padding token.
        chats: one batch.

    Yields:
        (N,) float32, once.
    """
    device = model.device
    inputs, answers = left_padded(chats, pad)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    # Answers end in the last column: only these need logits, and the column before them.
    width = max(chat.answer for chat in chats)
    # As a tensor, not as a number: a slice of the hidden states is not contiguous, and on CPU the
    # output layer would then copy its whole weight for every row of the batch.
    columns = torch.arange(answers.shape[1] - width - 1, answers.shape[1], device=device)
    logits = model(**inputs, use_cache=False, logits_to_keep=columns).logits[:, :-1]
    answers = answers[:, -width:].to(device)
    ids = inputs["input_ids"][:, -width:][answers]
    losses = torch.zeros(answers.shape, device=device)
    losses[answers] = F.cross_entropy(logits[answers].float(), ids, reduction="none")
    yield losses.sum(1) / answers.sum(1)


@torch.no_grad()
def mean_loss(model: Any, chats: Sequence[ChatTokens], pad: int) -> float:
    """Mean loss over chats; nan if there are none."""
    by_length = sorted(chats, key=lambda chat: len(chat.ids))
    total = 0.0
    for start in range(0, len(chats), 8):
        for values in chat_losses(model, pad, by_length[start : start + 8]):
            total += float(values.sum())
    return total / len(chats) if chats else math.nan
