"""What studies of frozen models in the laboratory share: tokens of items, losses and accuracies of
any model of transformers, and a line of outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from chats import ChatTokens, encode_chat, left_padded
from torch import Tensor

LONGEST, ROWS = 64, 500  # tokens of a chat, and chats of a pass
ASKS = "Question: {question}"
Encoded = Sequence[ChatTokens]
LogitsOf = Callable[[Mapping[str, Tensor]], Tensor]
"""Inputs of a model -> logits, (N, T, V)."""


def told(item: Mapping[str, Any], answer: str, asks: str = ASKS) -> dict[str, Any]:
    """An item with an answer, as a chat."""
    asked = {"role": "user", "content": asks.format(**item)}
    return {"messages": [asked, {"role": "assistant", "content": answer}]}


def right_answers(tokenizer: Any, items: Sequence[Mapping[str, Any]]) -> Encoded:
    """Each item with its right answer."""
    return encode_chat(
        tokenizer, [told(item, item["choices"][item["answer"]]) for item in items], LONGEST
    )


def all_options(tokenizer: Any, items: Sequence[Mapping[str, Any]], asks: str = ASKS) -> Encoded:
    """Each item with each of its options, in the order of their letters."""
    texts = [
        told(item, text, asks) for item in items for _, text in sorted(item["choices"].items())
    ]
    return encode_chat(tokenizer, texts, LONGEST)


def token_losses(logits_of: LogitsOf, chats: Encoded, pad: int) -> tuple[Tensor, Tensor]:
    """Negative log-probability of each token of the answers, and whose answer it is."""
    inputs, answers = left_padded(chats, pad)
    answers = answers[:, 1:]
    logits = logits_of(inputs)[:, :-1][answers]
    losses = torch.nn.functional.cross_entropy(
        logits, inputs["input_ids"][:, 1:][answers], reduction="none"
    )
    return losses, answers.nonzero()[:, 0]


def loss(logits_of: LogitsOf, chats: Encoded, pad: int) -> Tensor:
    """Mean over the tokens of the answers."""
    return token_losses(logits_of, chats, pad)[0].mean()


@torch.no_grad()
def correct(
    logits_of: LogitsOf, tokenizer: Any, items: Sequence[Mapping[str, Any]], asks: str = ASKS
) -> str:
    """1 for each item whose right option is the likeliest, else 0; `asks` is the form of a prompt."""
    chats = all_options(tokenizer, items, asks)
    sums = torch.cat(
        [
            torch.zeros(len(part)).index_add(0, rows, losses)
            for part in (chats[start : start + ROWS] for start in range(0, len(chats), ROWS))
            for losses, rows in (token_losses(logits_of, part, tokenizer.pad_token_id),)
        ]
    )
    chosen = sums.view(len(items), -1).argmin(1).tolist()
    letters = [sorted(item["choices"]).index(item["answer"]) for item in items]
    return "".join(str(int(a == b)) for a, b in zip(chosen, letters, strict=True))


def share(test: str) -> float:
    """Of right answers."""
    return test.count("1") / len(test)
